//! WhatsApp's answer about a picture, before a vendor puts it into its own JSON.

use super::population::Picture;

/// An answer about a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A link to the picture; an empty string for the fault `empty_url`.
    Link(String),
    /// No picture, and the reason.
    Empty(Picture),
}

/// A row of a chat list.
pub(super) struct Row {
    pub(super) jid: String,
    /// The other name of the same person: a LID or a number.
    pub(super) alt: Option<String>,
    pub(super) name: &'static str,
    /// The picture's link, for vendors whose lists have it.
    pub(super) picture: Option<String>,
    /// The time of the last message, in Unix seconds.
    pub(super) second: u64,
}

impl Answer {
    /// The link, if the answer has one.
    pub(super) fn link(self) -> Option<String> {
        match self {
            Answer::Link(link) => Some(link),
            Answer::Empty(_) => None,
        }
    }
}
