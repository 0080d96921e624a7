//! The places of a call, compared with a request's values.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq;

use super::template::{Part, Placeholder, Template};

/// A place of a call: its template, and the request's value.
pub(super) struct Place<'a> {
    pub(super) template: Cow<'a, Template>,
    pub(super) given: Option<&'a str>,
    pub(super) part: CallPart,
}

/// The part of a request that a place is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CallPart {
    Segment,
    Query,
    Header,
    /// A header whose first word is a scheme in any case (RFC 9110 §11.1).
    Authorization,
}

/// A template with the values of an instance: a text, or two around a value that the caller chose.
pub(super) struct Pattern<'a> {
    pub(super) before: String,
    pub(super) chosen: Option<(&'a Placeholder, String)>,
    pub(super) is_secret: bool,
}

/// The findings about one picture call.
#[derive(Default)]
pub(super) struct Findings<'a> {
    pub(super) is_wrong_credential: bool,
    /// Whether a credential that is not empty was right.
    pub(super) is_proven: bool,
    pub(super) is_wrong_account: bool,
    pub(super) face: Option<(&'a Placeholder, String)>,
    pub(super) refresh: bool,
    /// The number of texts in the query that only the description has, and the number that both have.
    pub(super) missing: usize,
    pub(super) agreeing: usize,
}

// === impl Findings ===

impl<'a> Findings<'a> {
    /// Compares the request's value in a place; `None` if the text around the face is another one.
    pub(super) fn add(&mut self, pattern: &Pattern<'a>, place: &Place<'_>) -> Option<()> {
        let Some((of, after)) = &pattern.chosen else {
            // A call leaves an empty value out, but no segment of its path.
            if pattern.before.is_empty() && place.part != CallPart::Segment {
                return Some(());
            }
            let given = place.given.unwrap_or_default();
            let is_right = match place.part {
                CallPart::Authorization => is_equal_authorization(given, &pattern.before),
                _ => is_equal(given, &pattern.before),
            };
            match (pattern.is_secret, is_right) {
                (true, true) => self.is_proven = true,
                (true, false) => self.is_wrong_credential = true,
                (false, true) => {}
                (false, false) => self.is_wrong_account = true,
            }
            return Some(());
        };
        if **of == Placeholder::Refresh {
            self.refresh = matches!(place.given, Some("true" | "1"));
            return Some(());
        }
        let Some(given) = place.given else {
            return Some(());
        };
        let text = given
            .strip_prefix(pattern.before.as_str())?
            .strip_suffix(after.as_str())?;
        self.face = Some((of, text.to_owned()));
        Some(())
    }
}

/// Whether a value is the caller's choice.
pub(super) fn is_chosen(of: &Placeholder) -> bool {
    matches!(
        of,
        Placeholder::Jid | Placeholder::User | Placeholder::Refresh
    )
}

/// Whether a text may be made of this template.
pub(super) fn fits(template: &Template, text: &str) -> bool {
    let decoded = |literal: &str| percent_decode_str(literal).decode_utf8_lossy().into_owned();
    match template.parts() {
        [] => text.is_empty(),
        [Part::Text(literal)] => decoded(literal) == text,
        parts => {
            let begin = match parts.first() {
                Some(Part::Text(literal)) => decoded(literal),
                _ => String::new(),
            };
            let end = match parts.last() {
                Some(Part::Text(literal)) => decoded(literal),
                _ => String::new(),
            };
            let rest = text.strip_prefix(begin.as_str());
            let rest = rest.and_then(|rest| rest.strip_suffix(end.as_str()));
            rest.is_some_and(|rest| !rest.is_empty())
        }
    }
}

/// Compares hashes, in constant time: they all have one length, so the time does not reveal the value's.
fn is_equal(given: &str, expected: &str) -> bool {
    let given = blake3::hash(given.as_bytes());
    let expected = blake3::hash(expected.as_bytes());
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

fn is_equal_authorization(given: &str, expected: &str) -> bool {
    match (given.split_once(' '), expected.split_once(' ')) {
        (Some((given_scheme, given)), Some((scheme, expected))) => {
            is_equal(given.trim(), expected) & given_scheme.eq_ignore_ascii_case(scheme)
        }
        _ => is_equal(given, expected),
    }
}
