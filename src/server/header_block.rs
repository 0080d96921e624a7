//! The header fields of a reply as the text that goes over the wire, in order.
//!
//! For the headers of a picture, building and sending this text takes 140 ns, and a `HeaderMap` 450 ns, of some 10 µs that
//! a hit takes (`cargo bench --bench hit headers`).

use std::{fmt, iter, ops::Range, str};

use bytes::Bytes;
use hyper::{HeaderMap, header::HeaderName};
use memchr::memchr;

use super::parsed_lines;
use crate::telemetry::PROCESS;

/// Header fields, each of a name of its own.
#[derive(Clone, Default)]
pub struct HeaderBlock(Vec<u8>);

impl HeaderBlock {
    /// Enough bytes for the headers of a picture.
    const USUAL_LENGTH: usize = 1024;

    /// An empty block with room for the headers of a picture.
    pub(super) fn for_reply() -> Self {
        Self(Vec::with_capacity(Self::USUAL_LENGTH))
    }

    /// Adds a header. A value that is no field value (RFC 9110 §5.5) and a name that the block has already are mistakes of the
    /// caller, and panic in debug builds. A release build leaves out a header with such a value, counts it and logs its name.
    pub fn add(&mut self, name: HeaderName, value: &str) {
        debug_assert!(self.get(&name).is_none(), "a second header named {name}");
        if !is_field_value(value) {
            debug_assert!(false, "the value of {name} has control characters");
            return report_refused(&name);
        }
        for part in [name.as_str(), ": ", value, "\r\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// Adds a header whose value is a number.
    pub fn add_number(&mut self, name: HeaderName, number: u64) {
        self.add(name, itoa::Buffer::new().format(number));
    }

    /// Adds all headers of `others`, whose names the block does not have.
    pub fn add_all(&mut self, others: &HeaderBlock) {
        self.0.extend_from_slice(&others.0);
    }

    /// Removes the header of this name, and adds it with another value.
    pub fn replace(&mut self, name: HeaderName, value: &str) {
        self.remove(&name);
        self.add(name, value);
    }

    /// Removes the header of this name, if there is one.
    pub fn remove(&mut self, name: &HeaderName) {
        if let Some(line) = self.find(name) {
            self.0.drain(line);
        }
    }

    /// The value of the header of this name.
    pub fn get(&self, name: &HeaderName) -> Option<&str> {
        let line = &self.0[self.find(name)?];
        let value = &line[name.as_str().len() + 2..line.len() - 2];
        str::from_utf8(value).ok()
    }

    /// The text, without the empty line behind it.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same headers for hyper.
    pub fn to_map(&self) -> HeaderMap {
        self.clone().into_map()
    }

    /// The same, of a block that is not needed any more. The values share its text.
    pub(super) fn into_map(self) -> HeaderMap {
        /// More than an image has, so that the map does not grow.
        const MOST: usize = 24;
        let text = Bytes::from(self.0);
        let mut map = HeaderMap::with_capacity(MOST);
        let mut rest = 0..text.len();
        while let Some(length) = memchr(b'\n', &text[rest.clone()]) {
            let line = rest.start..(rest.start + length).saturating_sub(1);
            rest.start += length + 1;
            if let Some((name, value)) = parsed_lines::parse(&text, line) {
                map.append(name, value);
            }
        }
        map
    }

    fn find(&self, name: &HeaderName) -> Option<Range<usize>> {
        self.lines().find(|line| {
            let rest = self.0[line.clone()].strip_prefix(name.as_str().as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b": "))
        })
    }

    /// The lines from last to first, because callers mostly look for headers that were added last.
    fn lines(&self) -> impl Iterator<Item = Range<usize>> {
        let mut end = self.0.len();
        iter::from_fn(move || {
            let last = end.checked_sub(1)?;
            let before = self.0[..last].iter().rposition(|byte| *byte == b'\n');
            let line = before.map_or(0, |before| before + 1)..end;
            end = line.start;
            Some(line)
        })
    }
}

/// Whether `value` has no control characters but tabs, so that it cannot end its line.
fn is_field_value(value: &str) -> bool {
    let is_control = |byte: u8| ((byte < b' ') & (byte != b'\t')) | (byte == 0x7F);
    // Without branches, the compiler checks several bytes at a time.
    !value
        .bytes()
        .fold(false, |found, byte| found | is_control(byte))
}

#[cold]
fn report_refused(name: &HeaderName) {
    let count = PROCESS.refused_headers.inc() + 1;
    // A mistake in a hot path must not fill the log.
    if count.is_power_of_two() {
        tracing::error!(%name, count, "a response header was left out, because its value has control characters");
    }
}

impl fmt::Debug for HeaderBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{self, HeaderValue};

    use super::*;

    #[test]
    fn a_value_cannot_break_out_of_its_line() {
        for value in ["a\r\nset-cookie: b", "a\nb", "\u{7f}", "a\tb\0"] {
            assert!(!is_field_value(value), "{value:?}");
        }
        for value in ["", "a b", "a\tb", "\"ü\""] {
            assert!(is_field_value(value), "{value:?}");
        }
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "the value of server has control characters")]
    fn a_refused_value_fails_tests() {
        HeaderBlock::default().add(header::SERVER, "a\r\nset-cookie: b");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a second header named server")]
    fn a_second_header_of_the_same_name_fails_tests() {
        let mut headers = HeaderBlock::default();
        headers.add(header::SERVER, "a");
        headers.add(header::SERVER, "b");
    }

    #[test]
    fn a_refused_header_is_counted() {
        let before = PROCESS.refused_headers.get();
        report_refused(&header::SERVER);
        assert_eq!(PROCESS.refused_headers.get(), before + 1);
    }

    #[test]
    fn hyper_gets_the_headers_that_the_fast_path_sends() {
        let mut headers = HeaderBlock::default();
        let other = HeaderName::from_static("cache-status");
        for (name, value) in [
            (header::SERVER, ""),
            (header::VIA, "1.1 a\tb: ü"),
            (other, "faceplate; hit"),
        ] {
            headers.add(name, value);
        }
        let map = headers.into_map();
        assert_eq!(map["server"], "");
        assert_eq!(map["via"].as_bytes(), "1.1 a\tb: ü".as_bytes());
        assert_eq!(map["cache-status"], "faceplate; hit");
        assert_eq!(map.len(), 3);
        let unshared = |name| HeaderValue::is_sensitive(&map[name]);
        assert!(unshared("cache-status") && !unshared("via"));
    }
}
