//! How often a request that misses the cache looks on disk, counted by `strace` on the real program.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use crate::support::{
    Answer, LIMIT,
    program::{Program, Running},
    until,
};
use faceplate::emulator::{Emulator, Options};

const FACE: &str = "/avatar/waha/628100000001";
const NOBODY: &str = "/avatar/waha/628100000102";

/// A server under `strace`, which writes each system call with a path to a file.
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
            .args(["-D", "-f", "-qq", "-e", "trace=%file", "-o"])
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

    /// Stops the server. Returns the system calls about each index file, by its name, until it was first written.
    async fn look_ups(self) -> BTreeMap<String, Vec<String>> {
        self.running.signal("TERM");
        let ended = tokio::task::spawn_blocking(|| self.running.end());
        let (code, output) = ended.await.unwrap();
        assert_eq!(code, Some(0), "{output}");
        let (mut look_ups, mut written) = (BTreeMap::<_, Vec<_>>::new(), BTreeSet::new());
        for line in fs::read_to_string(self.trace).unwrap().lines() {
            // The process's number, spaces, the name of the call, and its arguments.
            let Some((call, arguments)) = line.split_once('(') else {
                continue;
            };
            let path = arguments.split('"').nth(1).unwrap_or_default();
            let Some(name) = path
                .rsplit('/')
                .next()
                .filter(|name| is_index_file(path, name))
            else {
                continue;
            };
            let calls = look_ups.entry(name.to_owned()).or_default();
            if arguments.contains("O_WRONLY") {
                written.insert(name.to_owned());
            } else if !written.contains(name) {
                let call = call.rsplit(' ').next().unwrap_or(call);
                calls.push(call.to_owned());
            }
        }
        assert_eq!(written.len(), 2, "both faces are stored");
        look_ups
    }
}

/// An index file is named by all but the first two bytes of a SHA-1.
fn is_index_file(path: &str, name: &str) -> bool {
    path.contains("index-v5")
        && name.len() == 36
        && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn emulator() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_reads_an_absent_index_file_at_most_once() {
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
    // The kernel is asked without waiting. If it does not know the file, the disk is asked.
    for (name, calls) in traced.look_ups().await {
        assert!(
            calls == ["openat2"] || calls == ["openat2", "openat"],
            "{name}: {calls:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_reads_no_index_file_if_the_index_is_complete() {
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
    for (name, calls) in traced.look_ups().await {
        assert!(calls.is_empty(), "{name}: {calls:?}");
    }
}
