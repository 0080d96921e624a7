//! The real binary, with a configuration for one test.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use faceplate::emulator::Emulator;

use super::{LIMIT, private};

/// The least configuration: one account of a gateway that is not called.
pub const GOOD: &str = r#"
[access]
signing_keys = ["env:SIGNING_KEY"]
[cache]
dir = "DIR/cache"
[instances.sales]
provider = "wawp"
account = "123456789"
token = "env:TOKEN"
"#;

/// How many bytes of output [`Running::bound_output`] leaves.
const MAX_OUTPUT: usize = 1 << 20;

/// A folder with a configuration in it.
pub struct Program {
    pub folder: tempfile::TempDir,
}

/// A running program, which is killed on drop.
pub struct Running {
    pub process: Child,
    pub output: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
    /// Whether its output must hold no secret. The emulator prints its token.
    is_discreet: bool,
}

impl Program {
    /// Writes `text` to `faceplate.toml` in a folder of its own; `DIR` in it is that folder.
    pub fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display().to_string();
        fs::write(
            folder.path().join("faceplate.toml"),
            text.replace("DIR", &dir),
        )
        .unwrap();
        Self { folder }
    }

    /// An open proxy in front of `emulator`, on free ports.
    pub fn before(emulator: &Emulator, more: &str) -> Self {
        Self::with(&format!(
            r#"
            {more}
            [server]
            listen = "127.0.0.1:0"
            [admin]
            listen = "127.0.0.1:0"
            [access]
            mode = "open"
            signing_keys = ["env:SIGNING_KEY"]
            [cache]
            dir = "DIR/cache"
            [instances.waha]
            provider = "waha"
            account = "shop"
            token = "env:TOKEN"
            base_url = "http://{}"
            lookups = {{ per_minute = 60000, burst = 10000 }}
            refreshes = {{ per_minute = 6000, burst = 1000 }}
            picture_hosts = ["{}"]
            allow_private = ["127.0.0.0/8"]
            "#,
            emulator.api(),
            emulator.cdn()
        ))
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("faceplate.toml")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faceplate"));
        command
            .args(args)
            .arg("--config")
            .arg(self.config())
            .env("TOKEN", "emulator-token")
            .env("SIGNING_KEY", "a signing key for tests")
            .stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts `serve` and waits until it serves.
    pub fn serve(&self) -> Running {
        let mut running = Running::start(self.command(&["serve"]));
        running.wait_for("serving faces");
        running
    }
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let is_discreet = command.get_args().any(|arg| arg == "serve");
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            follow(process.stdout.take().unwrap(), output.clone()),
            follow(process.stderr.take().unwrap(), output.clone()),
        ];
        Self {
            process,
            output,
            readers,
            is_discreet,
        }
    }

    /// Waits until the output holds `word`, and returns the output.
    pub fn wait_for(&mut self, word: &str) -> String {
        let began = Instant::now();
        loop {
            let output = self.output.lock().unwrap().clone();
            if output.contains(word) {
                return output;
            }
            let has_ended = self.process.try_wait().unwrap().is_some();
            assert!(!has_ended, "it ended: {output}");
            assert!(began.elapsed() < LIMIT, "no {word:?} in time: {output}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The address behind `key=` in the first line that has it.
    pub fn address(&self, key: &str) -> String {
        let output = self.output.lock().unwrap();
        let (_, rest) = output
            .split_once(&format!("{key}="))
            .or_else(|| output.split_once(&format!("\"{key}\":\"")))
            .unwrap();
        rest.split([' ', '"', '\n']).next().unwrap().to_owned()
    }

    /// Checks a long output as the drop does, and forgets it. A server under attack prints gigabytes.
    pub fn bound_output(&self) {
        let mut output = self.output.lock().unwrap();
        if output.len() <= MAX_OUTPUT {
            return;
        }
        let checked = std::mem::take(&mut *output);
        drop(output);
        self.assert_discreet(&checked);
    }

    /// Sends a signal such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
    }

    /// Waits for the process to exit, and returns its exit code and output.
    pub fn end(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(
                began.elapsed() < 2 * LIMIT,
                "it does not exit: {}",
                self.output.lock().unwrap()
            );
            thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let output = self.output.lock().unwrap().clone();
        (status.code(), output)
    }

    #[track_caller]
    fn assert_discreet(&self, output: &str) {
        if self.is_discreet {
            private::assert_none_in("what the server printed", output);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        self.assert_discreet(&output);
    }
}

/// Adds every line from `pipe` to `output`, until the program closes it.
fn follow(pipe: impl Read + Send + 'static, output: Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    })
}

/// The text on standard error.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A path below a regular file, where no folder can be created.
pub fn impossible(folder: &Path) -> String {
    let file = folder.join("file");
    fs::write(&file, "").unwrap();
    file.join("cache").display().to_string()
}

/// Starts a command on a terminal, whose contents go to `screen`.
pub fn on_a_terminal(command: &Command, screen: &Path) -> Child {
    let quoted = |word: &OsStr| format!("'{}'", word.to_str().unwrap());
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let words: Vec<_> = words.map(quoted).collect();
    let env = command.get_envs();
    Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command"])
        .arg(words.join(" "))
        .arg(screen)
        .envs(env.filter_map(|(name, value)| Some((name, value?))))
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("there is no script: run make setup")
}
