//! The outcome of asking a vendor for a face: a picture, a confirmed "no picture", or trouble.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The ten outcomes. Their names are the reasons in headers, logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Outcome {
    /// A validated picture.
    Picture,
    /// The vendor answered that there is no picture.
    Empty(Empty),
    /// The vendor gave no answer.
    Trouble(Trouble),
}

/// A vendor's answer without a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Empty {
    /// The contact has set no picture.
    NotSet,
    /// The picture is hidden: privacy settings, a block, or no permission for this contact.
    Hidden,
    /// One of the two above, from a vendor whose `null` means either.
    Unknown,
    /// No such contact, chat or vendor instance.
    NotFound,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// 429, or `rate-overlimit` inside a 200, or too many empty answers at once.
    RateLimited,
    /// The vendor refused the credential.
    Auth,
    /// The vendor's WhatsApp session is not working.
    SessionDown,
    /// 5xx, timeout, connection reset, invalid JSON or image, a link that stays expired.
    VendorError,
    /// The instance's budget refused before any call.
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
    /// All ten, in documentation order.
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
    fn every_outcome_has_one_name_and_is_parsed_from_it() {
        for (outcome, name) in NAMES {
            assert_eq!(outcome.as_str(), name);
            assert_eq!(Outcome::try_from(name.to_owned()), Ok(outcome));
        }
    }
}
