//! The words that the emulator's files share: vendors, listeners, endpoints.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

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
    /// Evolution API 2.
    Evolution,
    /// wuzapi, on whatsmeow.
    Wuzapi,
    /// WPPConnect Server, on a browser.
    Wppconnect,
}

/// One of the two listeners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// The vendors' API.
    #[default]
    Api,
    /// The CDN that the vendors' links lead to.
    Cdn,
}

/// The endpoint of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// The picture of a chat or of a contact; at Wachat, of the account itself.
    Picture,
    /// Wawp's second picture call.
    ContactPicture,
    /// The list of chats.
    Overview,
    /// The account's own profile.
    Profile,
    /// The state of the account's session.
    Session,
    /// Evolution's second call for that state.
    ConnectionState,
    /// The number of a LID, or the LID of a number.
    Identity,
    /// A picture on the CDN.
    Download,
}

// === impl Vendor ===

impl Vendor {
    /// Every vendor.
    pub const ALL: [Vendor; 8] = [
        Vendor::Wachat,
        Vendor::Wawp,
        Vendor::Hypersender,
        Vendor::Wappfy,
        Vendor::Waha,
        Vendor::Evolution,
        Vendor::Wuzapi,
        Vendor::Wppconnect,
    ];

    /// The name in rules, links and counts.
    pub const fn name(self) -> &'static str {
        match self {
            Vendor::Wachat => "wachat",
            Vendor::Wawp => "wawp",
            Vendor::Hypersender => "hypersender",
            Vendor::Wappfy => "wappfy",
            Vendor::Waha => "waha",
            Vendor::Evolution => "evolution",
            Vendor::Wuzapi => "wuzapi",
            Vendor::Wppconnect => "wppconnect",
        }
    }

    /// Whether the vendor reports changed pictures or messages to webhooks.
    pub(super) fn sends_events(self) -> bool {
        matches!(self, Vendor::Evolution | Vendor::Wuzapi | Vendor::Waha)
    }

    /// Whether the vendor caches WhatsApp's answers for 24 h.
    pub(super) fn has_answer_cache(self) -> bool {
        matches!(self, Vendor::Wawp | Vendor::Wappfy | Vendor::Waha)
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Whether the call is for the state of the session.
    pub(super) fn is_session(self) -> bool {
        matches!(self, Endpoint::Session | Endpoint::ConnectionState)
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
