//! A rule about replies: the first that holds decides.

use serde_json::Value;

use super::{
    pointer::Pointer,
    words::{self, Meaning},
};
use crate::avatar::{Empty, Trouble};

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    /// The statuses that it is for; all of them if it is empty.
    pub(super) statuses: Vec<StatusPattern>,
    /// The place that it looks at; without one, the messages of a JSON error, or the text of another one.
    pub(super) at: Option<Pointer>,
    pub(super) test: Test,
    pub(super) then: Then,
    /// The reason, for the log.
    pub(super) why: Option<String>,
}

/// A status, or all of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusPattern {
    One(u16),
    /// `"5xx"` is class 5.
    Class(u16),
}

/// The condition on the place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// None: the status alone decides.
    Always,
    /// It is one of these values.
    Is(Vec<Value>),
    /// It has one of these texts in it, in any case.
    Has(Vec<String>),
    /// It is missing or empty; `false`: it has a value.
    Absent(bool),
}

/// The verdict of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Empty(Empty),
    Trouble(Trouble),
    /// WhatsApp's own words, if there are any; else the next rule.
    Words,
}

/// The parts of a reply that rules look at.
#[derive(Clone, Copy)]
pub(super) struct Subject<'r> {
    pub(super) status: u16,
    pub(super) json: Option<&'r Value>,
    /// The body as text, if it is not JSON.
    pub(super) text: Option<&'r str>,
}

/// The verdict of the rules.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Then(Then),
    Words(Meaning),
}

// === impl Then ===

impl Then {
    pub(super) const NAMES: [(&'static str, Then); 9] = [
        ("not_set", Then::Empty(Empty::NotSet)),
        ("hidden", Then::Empty(Empty::Hidden)),
        ("unknown", Then::Empty(Empty::Unknown)),
        ("not_found", Then::Empty(Empty::NotFound)),
        ("rate_limited", Then::Trouble(Trouble::RateLimited)),
        ("auth", Then::Trouble(Trouble::Auth)),
        ("session_down", Then::Trouble(Trouble::SessionDown)),
        ("vendor_error", Then::Trouble(Trouble::VendorError)),
        ("words", Then::Words),
    ];
}

// === impl StatusPattern ===

impl StatusPattern {
    pub(super) fn holds(self, status: u16) -> bool {
        match self {
            StatusPattern::One(one) => one == status,
            StatusPattern::Class(class) => status / 100 == class,
        }
    }

    /// Whether no status of this pattern is a success.
    pub(super) fn is_error(self) -> bool {
        match self {
            StatusPattern::One(status) => status / 100 >= 4,
            StatusPattern::Class(class) => class >= 4,
        }
    }
}

// === impl Rule ===

impl Rule {
    /// Whether the status alone makes the face's picture unknown.
    pub(super) fn says_unknown_by_status(&self) -> bool {
        self.test == Test::Always && self.then == Then::Empty(Empty::Unknown)
    }

    /// The rule's verdict, if it holds.
    pub(super) fn judge(&self, reply: Subject<'_>) -> Option<Verdict> {
        let is_for_status = self.statuses.is_empty()
            || self
                .statuses
                .iter()
                .any(|pattern| pattern.holds(reply.status));
        if !is_for_status || !self.holds(reply) {
            return None;
        }
        match self.then {
            Then::Words => self.words(reply).map(Verdict::Words),
            then => Some(Verdict::Then(then)),
        }
    }

    fn holds(&self, reply: Subject<'_>) -> bool {
        match (&self.test, &self.at) {
            (Test::Always, _) => true,
            (Test::Is(values), Some(at)) => {
                let value = reply.json.and_then(|json| at.find(json));
                value.is_some_and(|value| values.contains(value))
            }
            (Test::Absent(wanted), Some(at)) => reply.json.is_some_and(|json| {
                let value = at.find(json);
                value.is_none_or(super::pointer::is_blank) == *wanted
            }),
            (Test::Has(parts), Some(at)) => {
                let text = reply.json.and_then(|json| at.text(json));
                text.is_some_and(|text| has_any(&text, parts))
            }
            (Test::Has(parts), None) => texts(reply).iter().any(|text| has_any(text, parts)),
            // The loader refuses these two without a place.
            (Test::Is(_) | Test::Absent(_), None) => false,
        }
    }

    fn words(&self, reply: Subject<'_>) -> Option<Meaning> {
        match (&self.at, reply.json) {
            (Some(at), json) => words::find_in_text(&at.text(json?)?),
            (None, Some(json)) => words::find_in_errors(json),
            (None, None) => words::find_in_text(reply.text?),
        }
    }
}

/// The messages of a JSON error, or the whole text of another one.
fn texts(reply: Subject<'_>) -> Vec<&str> {
    match reply.json {
        Some(json) => words::messages(json, u8::MAX),
        None => reply.text.into_iter().collect(),
    }
}

fn has_any(text: &str, parts: &[String]) -> bool {
    let text = text.to_lowercase();
    parts.iter().any(|part| text.contains(part.as_str()))
}
