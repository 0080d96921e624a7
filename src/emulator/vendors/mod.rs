//! The vendors' answers, written from their published pages alone. The proxy's reading of the same
//! pages lives elsewhere and shares nothing with this: a mock that shares the parser agrees with
//! the bug.
//!
//! A vendor turns what is to be shown into a reply; it knows no clock, no cache and no fault.

mod hypersender;
mod wachat;
mod waha;
mod wawp;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{population::Picture, reply::Reply, route::Ask};

/// A gateway vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vendor {
    /// wachat.net: the account's own picture, as bytes.
    Wachat,
    /// wawp.net.
    Wawp,
    /// hypersender.com.
    Hypersender,
    /// wappfy.com.br: WAHA behind the header `apikey`.
    Wappfy,
    /// WAHA itself.
    Waha,
}

/// What a vendor is to show.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// A link to a picture; empty when the vendor returns an empty string.
    Link(String),
    /// No picture, and what WhatsApp says about it.
    Nothing(Picture),
}

/// A row of a chat list.
pub(super) struct Row {
    pub(super) jid: String,
    pub(super) name: &'static str,
    pub(super) picture: Option<String>,
    /// When the last message came, in seconds.
    pub(super) second: u64,
}

// === impl Vendor ===

impl Vendor {
    /// Every vendor.
    pub const ALL: [Vendor; 5] = [
        Vendor::Wachat,
        Vendor::Wawp,
        Vendor::Hypersender,
        Vendor::Wappfy,
        Vendor::Waha,
    ];

    /// The name in rules, links and counts.
    pub const fn name(self) -> &'static str {
        match self {
            Vendor::Wachat => "wachat",
            Vendor::Wawp => "wawp",
            Vendor::Hypersender => "hypersender",
            Vendor::Wappfy => "wappfy",
            Vendor::Waha => "waha",
        }
    }

    /// Whether the vendor keeps what WhatsApp said for 24 h.
    pub(super) fn remembers(self) -> bool {
        matches!(self, Vendor::Wawp | Vendor::Wappfy | Vendor::Waha)
    }

    /// The vendor's refusal of a call that is not even well formed.
    pub(super) fn malformed(self, ask: &Ask) -> Option<Reply> {
        match self {
            Vendor::Wachat => wachat::malformed(ask),
            Vendor::Wawp => wawp::malformed(ask),
            Vendor::Hypersender => hypersender::malformed(ask),
            Vendor::Wappfy | Vendor::Waha => None,
        }
    }

    /// The vendor's picture, contact or profile answer.
    pub(super) fn show(self, ask: &Ask, shown: &Shown) -> Reply {
        match self {
            Vendor::Wachat => wachat::show(shown),
            Vendor::Wawp => wawp::show(ask, shown),
            Vendor::Hypersender => hypersender::show(shown),
            Vendor::Wappfy | Vendor::Waha => waha::show(ask, shown),
        }
    }

    /// The vendor's list of chats.
    pub(super) fn list(self, ask: &Ask, rows: Vec<Row>) -> Reply {
        match self {
            Vendor::Wawp => wawp::list(&rows),
            Vendor::Wappfy | Vendor::Waha => waha::list(&rows),
            Vendor::Wachat | Vendor::Hypersender => self.error(ask, 404),
        }
    }

    /// The vendor's body for `status`.
    pub(super) fn error(self, ask: &Ask, status: u16) -> Reply {
        match self {
            Vendor::Wachat => wachat::error(status),
            Vendor::Wawp => wawp::error(status),
            Vendor::Hypersender => hypersender::error(status),
            Vendor::Wappfy | Vendor::Waha => waha::error(ask, status),
        }
    }

    /// What the vendor says when the account's session is in state `session`.
    pub(super) fn session_down(self, ask: &Ask, session: &str) -> Reply {
        match self {
            Vendor::Wachat => wachat::session_down(session),
            Vendor::Wawp => wawp::session_down(session),
            Vendor::Hypersender => hypersender::session_down(session),
            Vendor::Wappfy | Vendor::Waha => waha::session_down(ask, session),
        }
    }

    /// WhatsApp's `rate-overlimit`, passed on inside of a 200.
    pub(super) fn rate_overlimit(self) -> Reply {
        #[derive(Serialize)]
        struct Body {
            error: &'static str,
            code: u16,
        }
        match self {
            Vendor::Wachat => wachat::rate_overlimit(),
            Vendor::Wawp => wawp::rate_overlimit(),
            Vendor::Hypersender | Vendor::Wappfy | Vendor::Waha => Reply::json(
                200,
                &Body {
                    error: "rate-overlimit",
                    code: 429,
                },
            ),
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Vendor {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.into_iter();
        all.find(|vendor| vendor.name() == name).ok_or(())
    }
}

/// The standard phrase of `status`.
fn phrase(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}
