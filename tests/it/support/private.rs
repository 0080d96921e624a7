//! The secrets and phone numbers of the tests. None of them may appear in a log line, a metric, an error body or
//! a panic of any test.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use faceplate::telemetry::log;

/// Credentials, keys, phone numbers, and the secret parts of picture links.
const PRIVATE: [&str; 15] = [
    "emulator-token",
    "a signing key for tests",
    "another signing key",
    "a bearer token for tests",
    "an admin token",
    "hook secret for tests",
    "hook key for tests",
    "wrong-secret-token",
    "6281000000",
    "6285550",
    "4915700000",
    "oh=01_",
    "&oe=",
    "_nc_sid",
    "t61.24694",
];

/// Panics if `text` holds anything private.
#[track_caller]
pub fn assert_none_in(place: &str, text: &str) {
    for private in PRIVATE {
        if holds(text, private) && !std::thread::panicking() {
            let line = text.lines().find(|line| holds(line, private));
            panic!("{private:?} is in {place}: {}", line.unwrap_or(text));
        }
    }
}

/// Whether a text holds a private one. The number of a request, as in `f44dd80f9-16285550`, is none.
fn holds(text: &str, private: &str) -> bool {
    let is_of_request = |at| {
        let before: &str = &text[..at];
        let digits = |c: char| c.is_ascii_digit();
        before.trim_end_matches(digits).ends_with('-')
    };
    text.match_indices(private)
        .any(|(at, _)| !is_of_request(at))
}

/// The log of every server in this process, in full.
static LOG: LazyLock<Log> = LazyLock::new(Log::default);

/// Texts that tests wait for in the log, and in how many lines each has been. All tests of the process write there, so
/// a text has to be one test's own.
static WATCHED: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        // The writer gets a whole line at once.
        let line = String::from_utf8_lossy(bytes);
        for (text, lines) in &mut *WATCHED.lock().unwrap_or_else(PoisonError::into_inner) {
            *lines += usize::from(line.contains(text));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts the lines with `text` in the log from the first call of this function with it.
pub fn lines_with(text: &'static str) -> usize {
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    *watched.entry(text).or_default()
}

/// Starts to record the log of this process.
pub fn keep_log() {
    // The emulated vendors may log phone numbers.
    let filter = log::filter("debug,faceplate::emulator=off");
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| LOG.clone())
        .try_init();
}

/// Checks the recorded log, and empties it.
#[track_caller]
pub fn assert_none_in_log() {
    let mut log = LOG.0.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&std::mem::take(&mut *log)).into_owned();
    drop(log);
    assert_none_in("the log", &text);
}
