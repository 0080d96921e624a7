//! How lines of the log are written. The one about a request is written for every request, so it has a
//! formatter of its own that asks `core::fmt` for next to nothing, and is not written one by one but some
//! tens of milliseconds' worth at once. Whatever else is told goes out at once, after what is waiting.
//!
//! `cargo bench --bench hit` shows what a line costs either way.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    io::{self, Write},
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    registry::LookupSpan,
};

use super::log::Format;
use crate::clock::{Clock, Timestamp};

/// The target of the lines about requests.
pub const ACCESS: &str = "faceplate::access";

/// Formats lines about requests itself, and leaves the rest to `Other`.
pub(super) struct Lines<Other> {
    pub(super) format: Format,
    pub(super) is_ansi: bool,
    pub(super) other: Other,
}

impl<S, N, Other> FormatEvent<S, N> for Lines<Other>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    Other: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.is_ansi || event.metadata().target() != ACCESS {
            return self.other.format_event(context, writer, event);
        }
        let (mut failed, level) = (Ok(()), event.metadata().level());
        match self.format {
            Format::Text => {
                write_time(&mut writer)?;
                writer.write_str("  ")?;
                writer.write_str(level.as_str())?;
                writer.write_str(" ")?;
                writer.write_str(ACCESS)?;
                writer.write_str(":")?;
            }
            Format::Json => {
                writer.write_str("{\"timestamp\":\"")?;
                write_time(&mut writer)?;
                writer.write_str("\",\"level\":\"")?;
                writer.write_str(level.as_str())?;
                writer.write_str("\"")?;
            }
        }
        event.record(&mut Fields {
            format: self.format,
            writer: &mut writer,
            failed: &mut failed,
        });
        failed?;
        match self.format {
            Format::Text => writer.write_str("\n"),
            Format::Json => {
                writer.write_str(",\"target\":\"")?;
                writer.write_str(ACCESS)?;
                writer.write_str("\"}\n")
            }
        }
    }
}

/// Writes fields as they are visited.
struct Fields<'a, 'w> {
    format: Format,
    writer: &'a mut Writer<'w>,
    failed: &'a mut fmt::Result,
}

impl Fields<'_, '_> {
    fn field(&mut self, name: &str, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.failed.is_err() {
            return;
        }
        let (before, after) = match self.format {
            Format::Text => (" ", "="),
            Format::Json => (",\"", "\":"),
        };
        *self.failed = self
            .writer
            .write_str(before)
            .and_then(|()| self.writer.write_str(name))
            .and_then(|()| self.writer.write_str(after))
            .and_then(|()| value(self.writer));
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field.name(), |writer| quoted(writer, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field.name(), |writer| {
            writer.write_str(itoa::Buffer::new().format(value))
        });
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field.name(), |writer| {
            writer.write_str(ryu::Buffer::new().format(value))
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.record_str(field, &text);
    }
}

/// The text in quotes, with what would break out of them escaped as JSON does it.
fn quoted(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    writer.write_str("\"")?;
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7F;
    if text.bytes().all(is_plain) {
        writer.write_str(text)?;
    } else {
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(writer, "\\{character}")?,
                control if control < ' ' || control == '\x7F' => {
                    write!(writer, "\\u{:04x}", u32::from(control))?;
                }
                other => writer.write_char(other)?,
            }
        }
    }
    writer.write_str("\"")
}

/// The time in RFC 3339, to the millisecond. The part before the seconds'
/// fraction is kept from one line to the next.
fn write_time(writer: &mut Writer<'_>) -> fmt::Result {
    thread_local! {
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = Clock::system().now();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() || text.is_empty() {
            *second = now.as_secs();
            text.clear();
            date(text, now);
        }
        writer.write_str(text)
    })?;
    let fraction = now.as_millis() % 1000;
    let digits = [fraction / 100, fraction / 10 % 10, fraction % 10];
    for digit in digits {
        writer.write_char(char::from(b'0' + digit as u8))?;
    }
    writer.write_str("Z")
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

/// Standard output, where lines about requests wait for a moment.
#[derive(Clone, Copy)]
pub(super) struct Out;

/// Writes one line.
pub(super) enum Line {
    Waits,
    AtOnce,
}

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
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line::AtOnce
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        if metadata.target() == ACCESS {
            Line::Waits
        } else {
            Line::AtOnce
        }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut bytes = WAITING.bytes();
        let is_first = bytes.is_empty();
        bytes.extend_from_slice(line);
        match self {
            Line::Waits if bytes.len() < Waiting::MOST => {
                drop(bytes);
                if is_first {
                    WAITING.began.notify_one();
                }
            }
            _ => write_out(&mut bytes)?,
        }
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
        quoted(&mut Writer::new(&mut line), text).unwrap();
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
