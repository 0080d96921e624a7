//! What came of asking for a face: a picture, a truthful "there is none", or trouble.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The ten outcomes. Their names are the reasons that headers, logs and metrics show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Outcome {
    /// Image bytes, validated.
    Picture,
    /// The vendor answered, and there is nothing to show.
    Empty(Empty),
    /// Nobody really answered the question.
    Trouble(Trouble),
}

/// A vendor's answer that holds no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Empty {
    /// The contact has set no picture.
    NotSet,
    /// Privacy, a block, or unauthorized for this contact.
    Hidden,
    /// A vendor that flattens the two above into one null.
    Unknown,
    /// No such contact, chat or vendor instance.
    NotFound,
}

/// A question that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// 429, or `rate-overlimit` inside a 200, or empty answers that smell of it.
    RateLimited,
    /// The vendor refused our credential.
    Auth,
    /// The vendor's WhatsApp session is not working.
    SessionDown,
    /// 5xx, timeout, reset, bad JSON, bad image, a link that stays expired.
    VendorError,
    /// Our own limiter refused before any call.
    OverBudget,
}

const NAMES: [(Outcome, &str); 10] = [
    (Outcome::Picture, "picture"),
    (Outcome::Empty(Empty::NotSet), "not_set"),
    (Outcome::Empty(Empty::Hidden), "hidden"),
    (Outcome::Empty(Empty::Unknown), "unknown"),
    (Outcome::Empty(Empty::NotFound), "not_found"),
    (Outcome::Trouble(Trouble::RateLimited), "rate_limited"),
    (Outcome::Trouble(Trouble::Auth), "auth"),
    (Outcome::Trouble(Trouble::SessionDown), "session_down"),
    (Outcome::Trouble(Trouble::VendorError), "vendor_error"),
    (Outcome::Trouble(Trouble::OverBudget), "over_budget"),
];

// === impl Outcome ===

impl Outcome {
    /// All ten, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Outcome> {
        NAMES.into_iter().map(|(outcome, _)| outcome)
    }

    /// The outcome's public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Picture => "picture",
            Outcome::Empty(empty) => empty.as_str(),
            Outcome::Trouble(trouble) => trouble.as_str(),
        }
    }
}

impl Empty {
    /// The outcome's public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Empty::NotSet => "not_set",
            Empty::Hidden => "hidden",
            Empty::Unknown => "unknown",
            Empty::NotFound => "not_found",
        }
    }
}

impl Trouble {
    /// The outcome's public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Trouble::RateLimited => "rate_limited",
            Trouble::Auth => "auth",
            Trouble::SessionDown => "session_down",
            Trouble::VendorError => "vendor_error",
            Trouble::OverBudget => "over_budget",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Outcome> for &'static str {
    fn from(outcome: Outcome) -> Self {
        outcome.as_str()
    }
}

impl TryFrom<String> for Outcome {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(outcome, _)| *outcome)
            .ok_or_else(|| format!("{name:?} is not an outcome"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_to_one_with_outcomes() {
        for (outcome, name) in NAMES {
            assert_eq!(outcome.as_str(), name);
            assert_eq!(Outcome::try_from(name.to_owned()), Ok(outcome));
        }
    }
}
