//! How often a request that misses the cache looks on disk, counted by `strace` on the real program.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use crate::support::{
    Answer, LIMIT,
    program::{Program, Running},
    until,
};
use faceplate::emulator::{Emulator, Options};

const FACE: &str = "/avatar/waha/628100000001";
const NOBODY: &str = "/avatar/waha/628100000102";

/// A server under `strace`, which writes each `openat2` call to a file.
struct Traced {
    running: Running,
    trace: PathBuf,
}

impl Traced {
    fn serve(program: &Program) -> Self {
        let trace = program.folder.path().join("trace");
        let serve = program.command(&["serve"]);
        // With `-D` the server is the child process, and gets the signals.
        let mut command = Command::new("strace");
        command
            .args(["-D", "-f", "-qq", "-e", "trace=openat2", "-o"])
            .arg(&trace)
            .arg(serve.get_program())
            .args(serve.get_args());
        for (name, value) in serve.get_envs() {
            command.env(name, value.unwrap());
        }
        let mut running = Running::start(command);
        running.wait_for("serving faces");
        Self { running, trace }
    }

    /// Stops the server. Returns how often each index file was opened without waiting.
    async fn opened_index_files(self) -> BTreeMap<String, usize> {
        self.running.signal("TERM");
        let ended = tokio::task::spawn_blocking(|| self.running.end());
        let (code, output) = ended.await.unwrap();
        assert_eq!(code, Some(0), "{output}");
        let mut opened = BTreeMap::new();
        for call in fs::read_to_string(self.trace).unwrap().lines() {
            let path = call.contains("openat2(").then(|| call.split('"').nth(1));
            if let Some(path) = path.flatten().filter(|path| path.contains("index-v5")) {
                *opened.entry(path.to_owned()).or_default() += 1;
            }
        }
        opened
    }
}

async fn emulator() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_opens_an_absent_index_file_at_most_once() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    // With a file that belongs to no known face, the index in memory cannot say that a face is absent.
    let folder = program.folder.path().join("cache/index-v5/aa/bb");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("unidentified"), "not a line of an index").unwrap();
    let traced = Traced::serve(&program);
    let address = traced.running.address("listen");
    for path in [FACE, NOBODY] {
        let answer = Answer::to(&address, "GET", path, &[]).await;
        assert!(answer.header("cache-status").contains("fwd=uri-miss"));
    }
    let opened = traced.opened_index_files().await;
    assert_eq!(opened.len(), 2, "{opened:?}");
    assert!(opened.values().all(|count| *count == 1), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_opens_no_index_file_if_the_index_is_complete() {
    let emulator = emulator().await;
    let program = Program::before(&emulator, "");
    let traced = Traced::serve(&program);
    let admin = traced.running.address("admin");
    let is_complete = async || {
        let cache = Answer::to(&admin, "GET", "/v1/cache", &[]).await;
        cache.text().contains("\"counted\":true")
    };
    until(is_complete, LIMIT).await;
    let address = traced.running.address("listen");
    for path in [FACE, NOBODY] {
        let answer = Answer::to(&address, "GET", path, &[]).await;
        assert!(answer.header("cache-status").contains("fwd=uri-miss"));
    }
    let opened = traced.opened_index_files().await;
    assert!(opened.is_empty(), "{opened:?}");
}
