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

/// Whether a text holds a private one. The number of a request, as in `f44dd80f9-16285550`, is none. Neither are the
/// digits of a longer number, as in `0.16285550`, but a phone number may begin with zeros.
fn holds(text: &str, private: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let is_number = private.chars().all(is_digit);
    let is_of_other = |at| {
        let before: &str = &text[..at];
        let start = before.trim_end_matches(is_digit);
        let is_longer = !before[start.len()..].trim_start_matches('0').is_empty();
        let is_fraction = start
            .strip_suffix('.')
            .is_some_and(|whole| whole.ends_with(is_digit));
        start.ends_with('-') || is_number && (is_longer || is_fraction)
    };
    text.match_indices(private).any(|(at, _)| !is_of_other(at))
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
    // The emulated vendors may log phone numbers, and in signatures that the tests' S3 store logs, any digits may come together.
    let filter = log::filter("debug,faceplate::emulator=off,s3s=off");
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

#[test]
fn a_phone_number_is_found_and_the_digits_of_a_longer_number_are_none() {
    for text in [
        "1 628100000001",
        "+628100000001",
        "00628100000001",
        "to.628100000001",
    ] {
        assert!(holds(text, "6281000000"), "{text}");
    }
    for text in [
        "0.16281000000",
        "12.6281000000",
        "96281000000",
        "f44d-16281000000",
    ] {
        assert!(!holds(text, "6281000000"), "{text}");
    }
    assert!(holds("12.an admin token", "an admin token"));
}
