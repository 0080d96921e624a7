//! Range requests (RFC 9110 §14): one range of a picture's bytes. Several ranges at once, and units
//! other than bytes, are answered with the whole picture, as the RFC allows.

use std::{ops::Range, time::SystemTime};

use http::{HeaderMap, header};

/// What a `Range` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything.
    Whole,
    /// These bytes: 206.
    Some(Range<u64>),
    /// Bytes that do not exist: 416.
    Unsatisfiable,
}

/// Reads `Range`, which counts only if `If-Range` names the representation at hand.
pub(crate) fn part<T: AsRef<str>>(
    headers: &HeaderMap,
    length: u64,
    etag: impl FnOnce() -> T,
    modified: SystemTime,
) -> Part {
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    match range {
        Some(range) if is_current(headers, etag().as_ref(), modified) => read(range, length),
        _ => Part::Whole,
    }
}

/// `If-Range` compares strongly: after a weak tag, or another date than ours, the whole picture is sent.
fn is_current(headers: &HeaderMap, etag: &str, modified: SystemTime) -> bool {
    let Some(validator) = headers.get(header::IF_RANGE) else {
        return true;
    };
    let Ok(validator) = validator.to_str() else {
        return false;
    };
    validator == etag || validator == httpdate::fmt_http_date(modified)
}

fn read(range: &str, length: u64) -> Part {
    let Some((unit, ranges)) = range.split_once('=') else {
        return Part::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return Part::Whole;
    }
    let Some((first, last)) = ranges.trim().split_once('-') else {
        return Part::Whole;
    };
    match (number(first), number(last)) {
        (Ok(Some(first)), Ok(last)) => {
            let last = last.unwrap_or(u64::MAX);
            if last < first {
                Part::Whole
            } else if first >= length {
                Part::Unsatisfiable
            } else {
                Part::Some(first..last.saturating_add(1).min(length))
            }
        }
        (Ok(None), Ok(Some(0))) => Part::Unsatisfiable,
        (Ok(None), Ok(Some(suffix))) => Part::Some(length.saturating_sub(suffix)..length),
        _ => Part::Whole,
    }
}

/// A number, nothing, or neither. A number too large to count is larger than any picture.
fn number(text: &str) -> Result<Option<u64>, ()> {
    match text {
        "" => Ok(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const ETAG: &str = "\"abc\"";

    fn find_part(fields: &[(&'static str, &'static str)]) -> Part {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let modified = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        part(&headers, 100, || ETAG, modified)
    }

    #[test]
    fn one_range_of_bytes_is_a_part() {
        for (range, part) in [
            ("bytes=0-9", 0..10),
            ("bytes=10-", 10..100),
            ("bytes=90-1000", 90..100),
            ("bytes=-10", 90..100),
            ("bytes=-1000", 0..100),
            ("Bytes=5-5", 5..6),
        ] {
            assert_eq!(find_part(&[("range", range)]), Part::Some(part), "{range}");
        }
    }

    #[test]
    fn what_is_beyond_the_end_does_not_exist() {
        for range in [
            "bytes=100-",
            "bytes=200-300",
            "bytes=-0",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(
                find_part(&[("range", range)]),
                Part::Unsatisfiable,
                "{range}"
            );
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_asks_for_the_whole() {
        for range in [
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=9-0",
            "bytes=a-b",
            "lines=1-2",
            "bytes=0-1,5-6",
            "",
        ] {
            assert_eq!(find_part(&[("range", range)]), Part::Whole, "{range}");
        }
    }

    #[test]
    fn a_part_of_something_else_is_the_whole() {
        let range = ("range", "bytes=0-9");
        for (validator, part) in [
            (ETAG, Part::Some(0..10)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Part::Some(0..10)),
            ("W/\"abc\"", Part::Whole),
            ("\"x\"", Part::Whole),
            ("Sun, 06 Nov 1994 08:49:38 GMT", Part::Whole),
        ] {
            assert_eq!(
                find_part(&[range, ("if-range", validator)]),
                part,
                "{validator}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_part_always_lies_within_the_whole(range in "(bytes=)?[-0-9,]{0,24}", length in 0u64..1000) {
            if let Part::Some(part) = read(&range, length) {
                prop_assert!(part.start <= part.end && part.end <= length);
            }
        }
    }
}
