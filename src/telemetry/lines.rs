//! How lines of the log are written. The one about a request is written for every request, so it passes by
//! the log's machinery, and is not written one by one but some tens of milliseconds' worth at once. Whatever
//! else is told goes out at once, after what is waiting.
//!
//! `cargo bench --bench hit` shows what a line costs.

use std::{
    cell::RefCell,
    fmt::Write as _,
    io::{self, Write},
    sync::{Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use super::log::Format;
use crate::clock::{Clock, Timestamp};

/// The target of the lines about requests.
pub(super) const ACCESS: &str = "faceplate::access";

/// What a line about a request tells. Names no JID, no token, no link.
#[derive(Debug)]
pub struct Access<'a> {
    /// The request's own name.
    pub request: &'a str,
    /// Its method, as the client wrote it.
    pub method: &'a str,
    /// Its route.
    pub route: &'static str,
    /// The instance asked for, if it exists.
    pub instance: &'a str,
    /// The answer's status.
    pub status: u16,
    /// Its `Cache-Status`.
    pub cache: &'a str,
    /// Whether it is a picture.
    pub source: &'static str,
    /// Why not a better one.
    pub reason: &'static str,
    /// How long it took.
    pub took: Duration,
    /// The length of its body.
    pub bytes: u64,
}

/// How lines about requests are written; unset if they are not, or not yet.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// Lines about requests are written like this from now on.
pub(super) fn start(format: Format) {
    // A second log of the process changes nothing.
    let _ = FORMAT.set(format);
}

/// Tells of a request, if such lines are written.
pub fn access(line: &Access<'_>) {
    thread_local! {
        static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
    }
    let Some(format) = FORMAT.get() else {
        return;
    };
    TEXT.with_borrow_mut(|text| {
        text.clear();
        line.write(*format, text);
        WAITING.add(text.as_bytes());
    });
}

impl Access<'_> {
    fn write(&self, format: Format, text: &mut String) {
        match format {
            Format::Text => self.write_as::<false>(text),
            Format::Json => self.write_as::<true>(text),
        }
    }

    /// Once for each format, so that what is the same in every line is known beforehand and costs
    /// nothing to put together.
    fn write_as<const JSON: bool>(&self, text: &mut String) {
        macro_rules! name {
            ($name:literal) => {
                text.push_str(match JSON {
                    true => concat!(",\"", $name, "\":"),
                    false => concat!(" ", $name, "="),
                })
            };
        }
        if JSON {
            text.push_str("{\"timestamp\":\"");
            write_time(text);
            text.push_str("\",\"level\":\"INFO\"");
        } else {
            write_time(text);
            text.push_str("  INFO ");
            text.push_str(ACCESS);
            text.push(':');
        }
        name!("request");
        quoted(text, self.request);
        name!("method");
        quoted(text, self.method);
        name!("route");
        quoted(text, self.route);
        name!("instance");
        quoted(text, self.instance);
        name!("status");
        number(text, self.status.into());
        name!("cache");
        quoted(text, self.cache);
        name!("source");
        quoted(text, self.source);
        name!("reason");
        quoted(text, self.reason);
        name!("ms");
        millis(text, self.took);
        name!("bytes");
        number(text, self.bytes);
        if JSON {
            name!("target");
            quoted(text, ACCESS);
            text.push('}');
        }
        text.push('\n');
    }
}

fn number(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
}

fn millis(text: &mut String, time: Duration) {
    let micros = time.as_micros() as u64;
    number(text, micros / 1000);
    text.push('.');
    three_digits(text, micros % 1000);
}

/// The text in quotes, with what would break out of them escaped as JSON does it.
fn quoted(text: &mut String, value: &str) {
    text.push('"');
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7F;
    if value.bytes().all(is_plain) {
        text.push_str(value);
    } else {
        for character in value.chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                control if control < ' ' || control == '\x7F' => {
                    // Writing to a `String` cannot fail.
                    let _ = write!(text, "\\u{:04x}", u32::from(control));
                }
                other => text.push(other),
            }
        }
    }
    text.push('"');
}

fn three_digits(text: &mut String, number: u64) {
    for digit in [number / 100, number / 10 % 10, number % 10] {
        text.push(char::from(b'0' + digit as u8));
    }
}

/// The time in RFC 3339, to the millisecond. The part before the seconds'
/// fraction is kept from one line to the next.
fn write_time(text: &mut String) {
    thread_local! {
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = Clock::system().now();
    SECOND.with_borrow_mut(|(second, known)| {
        if *second != now.as_secs() || known.is_empty() {
            *second = now.as_secs();
            known.clear();
            date(known, now);
        }
        text.push_str(known);
    });
    three_digits(text, now.as_millis() % 1000);
    text.push('Z');
}

/// `2026-11-20T18:40:00.`
fn date(text: &mut String, time: Timestamp) {
    // `Sun, 06 Nov 1994 08:49:37 GMT` has all that is needed, in another order.
    let http = httpdate::fmt_http_date(time.as_system_time());
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(&http[8..11]).unwrap_or_default() / 3 + 1;
    // Writing to a `String` cannot fail.
    let _ = write!(
        text,
        "{}-{month:02}-{}T{}.",
        &http[12..16],
        &http[5..7],
        &http[17..25]
    );
}

/// Standard output, behind what waits.
#[derive(Clone, Copy)]
pub(super) struct Out;

/// What waits.
static WAITING: LazyLock<Waiting> = LazyLock::new(Waiting::start);

#[derive(Default)]
struct Waiting {
    bytes: Mutex<Vec<u8>>,
    /// Told when something begins to wait.
    began: Condvar,
}

impl Waiting {
    /// How long a line may wait.
    const LONGEST: Duration = Duration::from_millis(50);
    /// How much may wait.
    const MOST: usize = 64 * 1024;

    fn start() -> Self {
        let ends = thread::Builder::new().name("log".into()).spawn(|| {
            loop {
                let mut bytes = WAITING.bytes();
                while bytes.is_empty() {
                    bytes = WAITING
                        .began
                        .wait(bytes)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                drop(bytes);
                thread::sleep(Self::LONGEST);
                flush();
            }
        });
        // Without that thread, lines go out when enough of them wait.
        drop(ends);
        Self::default()
    }

    /// Adds a line that may wait.
    fn add(&self, line: &[u8]) {
        let mut bytes = self.bytes();
        let is_first = bytes.is_empty();
        bytes.extend_from_slice(line);
        if bytes.len() >= Self::MOST {
            // A reader of our output that went away is nothing to us.
            let _ = write_out(&mut bytes);
        } else if is_first {
            drop(bytes);
            self.began.notify_one();
        }
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes out what waits.
pub fn flush() {
    // A reader of our output that went away is nothing to us.
    let _ = write_out(&mut WAITING.bytes());
}

fn write_out(bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    bytes.clear();
    written
}

impl<'a> MakeWriter<'a> for Out {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Out {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut bytes = WAITING.bytes();
        bytes.extend_from_slice(line);
        write_out(&mut bytes)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_rfc_3339_does() {
        for (secs, expected) in [
            (784_111_777, "1994-11-06T08:49:37."),
            (1_795_200_000, "2026-11-20T18:40:00."),
            (951_782_400, "2000-02-29T00:00:00."),
        ] {
            let mut text = String::new();
            date(&mut text, Timestamp::from_secs(secs));
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn nothing_breaks_out_of_its_quotes() {
        let text = "a \"b\" \\ \n \x1b[31m ü";
        let mut line = String::new();
        quoted(&mut line, text);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn a_line_is_json_for_machines_and_pairs_for_people() {
        let line = Access {
            request: "f1-2",
            method: "G\"T",
            route: "avatar",
            instance: "sales",
            status: 200,
            cache: "faceplate; hit; ttl=60",
            source: "picture",
            reason: "-",
            took: Duration::from_micros(12_034),
            bytes: 4096,
        };
        let mut json = String::new();
        line.write(Format::Json, &mut json);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["method"], "G\"T");
        assert_eq!(
            (&value["ms"], &value["bytes"]),
            (&12.034.into(), &4096.into())
        );
        let mut text = String::new();
        line.write(Format::Text, &mut text);
        let fields = text.split_once("faceplate::access: ").unwrap().1;
        assert_eq!(
            fields,
            "request=\"f1-2\" method=\"G\\\"T\" route=\"avatar\" instance=\"sales\" status=200 \
             cache=\"faceplate; hit; ttl=60\" source=\"picture\" reason=\"-\" ms=12.034 bytes=4096\n"
        );
    }
}
