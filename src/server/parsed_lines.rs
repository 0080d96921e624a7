//! Parses the header lines of replies for hyper, with a cache of parsed lines: most lines are the same in every reply, and a
//! look-up is cheaper than parsing.

use std::{cell::RefCell, ops::Range};

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use memchr::memchr;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A line that was parsed.
struct Line {
    text: Bytes,
    name: HeaderName,
    value: HeaderValue,
}

/// Lines by the hash of their names. A line takes the place of an earlier one.
type Lines = [Option<Line>; PLACES];

const PLACES: usize = 128;

thread_local! {
    static LINES: RefCell<Lines> = const { RefCell::new([const { None }; PLACES]) };
}

/// The name and the value of a line without its end; `None` if that is no header line.
pub(super) fn parse(text: &Bytes, line: Range<usize>) -> Option<(HeaderName, HeaderValue)> {
    let bytes = &text[line.clone()];
    let colon = memchr(b':', bytes)?;
    bytes.get(colon + 2..)?;
    if let Some(name) = seldom_repeated(&bytes[..colon]) {
        let value = text.slice(line.start + colon + 2..line.end);
        let mut value = HeaderValue::from_maybe_shared(value).ok()?;
        // HPACK never indexes a sensitive value (RFC 7541 §6.2.3), so it evicts no value that does repeat.
        value.set_sensitive(true);
        return Some((name, value));
    }
    LINES.with_borrow_mut(|lines| {
        let slot = &mut lines[place_of(&bytes[..colon])];
        let known = slot.as_ref().filter(|known| known.text == bytes);
        if let Some(known) = known {
            return Some((known.name.clone(), known.value.clone()));
        }
        let text = Bytes::copy_from_slice(bytes);
        let name = HeaderName::from_bytes(&text[..colon]).ok()?;
        let value = HeaderValue::from_maybe_shared(text.slice(colon + 2..)).ok()?;
        *slot = Some(Line {
            text,
            name: name.clone(),
            value: value.clone(),
        });
        Some((name, value))
    })
}

/// A hash of a name. No two headers that images have share a place.
fn place_of(name: &[u8]) -> usize {
    let byte = |at: usize| name.get(at).copied().map_or(0, usize::from);
    let length = name.len();
    (length + byte(0) + byte(length / 2) + 3 * byte(length.wrapping_sub(1))) % PLACES
}

/// The header of this name, if replies seldom repeat its value.
fn seldom_repeated(name: &[u8]) -> Option<HeaderName> {
    Some(match name {
        b"age" => header::AGE,
        b"cache-status" => CACHE_STATUS,
        b"content-length" => header::CONTENT_LENGTH,
        b"content-range" => header::CONTENT_RANGE,
        b"etag" => header::ETAG,
        b"last-modified" => header::LAST_MODIFIED,
        b"location" => header::LOCATION,
        b"retry-after" => header::RETRY_AFTER,
        b"x-request-id" => REQUEST_ID,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(HeaderName, HeaderValue)> {
        let text = Bytes::from(format!("before\r\n{line}\r\n"));
        parse(&text, 8..8 + line.len())
    }

    #[test]
    fn a_line_is_the_same_when_it_comes_again_and_others_do_not_change_it() {
        for value in ["a", "b", "a", ""] {
            for name in ["vary", "x-other", "age", "cache-status"] {
                let (found, is) = parsed(&format!("{name}: {value}")).unwrap();
                assert_eq!((found.as_str(), is.to_str().unwrap()), (name, value));
            }
        }
    }

    #[test]
    fn what_is_no_line_is_left_out() {
        assert!(parsed("no colon").is_none());
        assert!(parsed("bad name: x").is_none());
        assert!(parsed("name: a\0").is_none());
    }
}
