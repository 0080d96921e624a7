//! Header fields as the text that goes over the wire, written once and in order: a map of them costs more to
//! fill, to walk and to free than all that a hit in memory does besides.

use std::{fmt, iter, ops::Range, str};

use hyper::{HeaderMap, header::HeaderName, header::HeaderValue};

/// Header fields.
#[derive(Clone, Default)]
pub struct HeaderBlock(Vec<u8>);

// === impl HeaderBlock ===

impl HeaderBlock {
    /// What the fields of a picture need.
    const USUAL: usize = 1024;

    /// An empty block with room for the headers of a picture.
    pub(super) fn for_reply() -> Self {
        Self(Vec::with_capacity(Self::USUAL))
    }

    /// Adds a field that is not there yet. A value that would break out of its line is left out.
    pub fn add(&mut self, name: HeaderName, value: &str) {
        debug_assert!(self.get(&name).is_none(), "{name} twice");
        // Without branches, this takes several bytes at a time.
        let is_odd = |byte: u8| (byte < b' ') | (byte == 0x7F);
        if value.bytes().fold(false, |odd, byte| odd | is_odd(byte)) {
            return;
        }
        for part in [name.as_str(), ": ", value, "\r\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// Adds a number.
    pub fn add_number(&mut self, name: HeaderName, number: u64) {
        self.add(name, itoa::Buffer::new().format(number));
    }

    /// Adds all of `others`, none of which is there yet.
    pub fn add_all(&mut self, others: &HeaderBlock) {
        self.add_lines(&others.0);
    }

    /// Adds what [`HeaderBlock::into_lines`] gave, none of which is there yet.
    pub fn add_lines(&mut self, lines: &[u8]) {
        self.0.extend_from_slice(lines);
    }

    /// The lines, to be kept as they are.
    pub fn into_lines(self) -> Box<[u8]> {
        self.0.into()
    }

    /// Puts a field in the place of the one of its name.
    pub fn replace(&mut self, name: HeaderName, value: &str) {
        self.remove(&name);
        self.add(name, value);
    }

    /// Removes a field.
    pub fn remove(&mut self, name: &HeaderName) {
        if let Some(line) = self.find(name) {
            self.0.drain(line);
        }
    }

    /// The value of a field.
    pub fn get(&self, name: &HeaderName) -> Option<&str> {
        let line = &self.0[self.find(name)?];
        let value = &line[name.as_str().len() + 2..line.len() - 2];
        str::from_utf8(value).ok()
    }

    /// The lines.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn to_map(&self) -> HeaderMap {
        let lines = self.lines().filter_map(|line| {
            let (name, value) = str::from_utf8(&self.0[line]).ok()?.split_once(": ")?;
            let value = HeaderValue::from_str(value.trim_end()).ok()?;
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
        });
        lines.collect()
    }

    fn find(&self, name: &HeaderName) -> Option<Range<usize>> {
        self.lines().find(|line| {
            let rest = self.0[line.clone()].strip_prefix(name.as_str().as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b": "))
        })
    }

    /// The lines, the last one first: who looks for one mostly looks for what was added last.
    fn lines(&self) -> impl Iterator<Item = Range<usize>> {
        let mut end = self.0.len();
        iter::from_fn(move || {
            let above = end.checked_sub(1)?;
            let before = self.0[..above].iter().rposition(|byte| *byte == b'\n');
            let line = before.map_or(0, |before| before + 1)..end;
            end = line.start;
            Some(line)
        })
    }
}

impl fmt::Debug for HeaderBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use hyper::header;

    use super::*;

    #[test]
    fn no_value_breaks_out_of_its_line() {
        let mut headers = HeaderBlock::default();
        for value in ["a\r\nset-cookie: b", "a\nb", "\u{7f}", "a\tb\0"] {
            headers.add(header::SERVER, value);
        }
        assert!(headers.as_bytes().is_empty());
    }
}
