//! Preconditions (RFC 9110 §13): whether the caller has the representation already.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

/// What the preconditions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send the representation.
    Send,
    /// The caller has it: 304.
    NotModified,
    /// The caller wants another one: 412.
    Failed,
}

/// Checks the preconditions of a GET or HEAD against the representation's validators.
/// `If-None-Match`, where it stands, makes `If-Modified-Since` count for nothing (§13.2.2).
pub(crate) fn check<T: AsRef<str>>(
    headers: &HeaderMap,
    etag: impl Fn() -> T,
    modified: Option<SystemTime>,
) -> Verdict {
    if !is_expected(headers, &etag, modified) {
        return Verdict::Failed;
    }
    let mut tags = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
    let is_known = if tags.peek().is_some() {
        let etag = etag();
        tags.filter_map(|tags| tags.to_str().ok())
            .any(|tags| lists(tags, etag.as_ref(), Comparison::Weak))
    } else {
        modified.is_some_and(|modified| is_unmodified(headers, modified))
    };
    if is_known {
        Verdict::NotModified
    } else {
        Verdict::Send
    }
}

/// How tags are compared (§8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// `W/` does not matter.
    Weak,
    /// A tag with `W/` equals none.
    Strong,
}

/// Whether `If-Match` and `If-Unmodified-Since` hold. The first one makes the second one count for nothing.
fn is_expected<T: AsRef<str>>(
    headers: &HeaderMap,
    etag: impl Fn() -> T,
    modified: Option<SystemTime>,
) -> bool {
    let mut tags = headers.get_all(header::IF_MATCH).iter().peekable();
    if tags.peek().is_some() {
        let etag = etag();
        return tags
            .filter_map(|tags| tags.to_str().ok())
            .any(|tags| lists(tags, etag.as_ref(), Comparison::Strong));
    }
    let since = headers.get(header::IF_UNMODIFIED_SINCE);
    let since = since.and_then(|since| httpdate::parse_http_date(since.to_str().ok()?).ok());
    match (since, modified) {
        (Some(since), Some(modified)) => modified < since + Duration::from_secs(1),
        _ => true,
    }
}

/// Whether a list of entity tags holds `etag`. A comma may stand inside a tag, so the list is read tag by tag.
fn lists(tags: &str, etag: &str, comparison: Comparison) -> bool {
    let mut rest = tags.trim();
    if rest == "*" {
        return true;
    }
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let opaque = rest.strip_prefix("W/").unwrap_or(rest);
        let Some(end) = opaque.strip_prefix('"').and_then(|inner| inner.find('"')) else {
            return false;
        };
        let (tag, after) = opaque.split_at(end + 2);
        let is_weak = opaque.len() < rest.len();
        if tag == etag && !(is_weak && comparison == Comparison::Strong) {
            return true;
        }
        rest = after;
    }
}

fn is_unmodified(headers: &HeaderMap, modified: SystemTime) -> bool {
    headers
        .get(header::IF_MODIFIED_SINCE)
        .and_then(|since| httpdate::parse_http_date(since.to_str().ok()?).ok())
        // Dates have whole seconds: what changed within the named one counts as known.
        .is_some_and(|since| modified < since + Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const ETAG: &str = "\"abc\"";

    fn verdict(fields: &[(&'static str, &'static str)]) -> Verdict {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let modified = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        check(
            &headers,
            || ETAG,
            Some(modified + Duration::from_millis(400)),
        )
    }

    #[test]
    fn a_tag_matches_alone_in_a_list_weakly_or_by_star() {
        for tags in [
            "\"abc\"",
            "W/\"abc\"",
            "\"x\", \"abc\"",
            "\"a,b\",W/\"abc\"",
            "*",
            " * ",
        ] {
            assert_eq!(
                verdict(&[("if-none-match", tags)]),
                Verdict::NotModified,
                "{tags}"
            );
        }
        for tags in ["\"ab\"", "abc", "\"abc", "", "\"x\", \"y\"", "\"\"abc\"\""] {
            assert_eq!(verdict(&[("if-none-match", tags)]), Verdict::Send, "{tags}");
        }
    }

    #[test]
    fn a_date_matches_from_its_own_second_on() {
        for (date, expected) in [
            ("Sun, 06 Nov 1994 08:49:36 GMT", Verdict::Send),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Verdict::NotModified),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Verdict::NotModified),
            ("yesterday", Verdict::Send),
        ] {
            assert_eq!(verdict(&[("if-modified-since", date)]), expected, "{date}");
        }
    }

    #[test]
    fn tags_win_over_dates() {
        let later = ("if-modified-since", "Mon, 07 Nov 1994 08:49:37 GMT");
        let earlier = ("if-modified-since", "Sat, 05 Nov 1994 08:49:37 GMT");
        assert_eq!(verdict(&[("if-none-match", "\"x\""), later]), Verdict::Send);
        assert_eq!(
            verdict(&[("if-none-match", ETAG), earlier]),
            Verdict::NotModified
        );
    }

    #[test]
    fn tags_may_be_spread_over_several_lines() {
        let fields = [("if-none-match", "\"x\""), ("if-none-match", ETAG)];
        assert_eq!(verdict(&fields), Verdict::NotModified);
    }

    #[test]
    fn another_representation_than_the_expected_one_fails() {
        let weak = "W/\"abc\"";
        let before = "Sun, 06 Nov 1994 08:49:36 GMT";
        let at = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (fields, expected) in [
            (vec![("if-match", ETAG)], Verdict::Send),
            (vec![("if-match", "*")], Verdict::Send),
            (vec![("if-match", "\"x\", \"abc\"")], Verdict::Send),
            (vec![("if-match", "\"x\"")], Verdict::Failed),
            (vec![("if-match", weak)], Verdict::Failed),
            (vec![("if-unmodified-since", at)], Verdict::Send),
            (vec![("if-unmodified-since", before)], Verdict::Failed),
            (
                vec![("if-match", ETAG), ("if-unmodified-since", before)],
                Verdict::Send,
            ),
            (
                vec![("if-match", "\"x\""), ("if-none-match", ETAG)],
                Verdict::Failed,
            ),
            (
                vec![("if-match", ETAG), ("if-none-match", ETAG)],
                Verdict::NotModified,
            ),
        ] {
            assert_eq!(verdict(&fields), expected, "{fields:?}");
        }
    }
}
