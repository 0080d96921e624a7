//! The seam between Faceplate and a vendor. A provider says what to ask and what a reply means; it
//! should generally not try to *do* anything. A vendor's published page is its unit test.

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use secrecy::SecretString;

use super::providers::{Hypersender, Wachat, Waha, Wappfy, Wawp};
use crate::avatar::{Empty, Jid, Subject, Trouble};

/// One vendor's dialect.
pub trait Provider: fmt::Debug + Send + Sync {
    /// How to ask for a face.
    fn call(&self, account: &Account, question: &Question) -> Result<Call, Unsupported>;

    /// What the reply to that question means.
    fn read(&self, question: &Question, reply: &Reply) -> Result<Found, Failure>;

    /// How to ask for the chats that the account had last, newest first; `None` for a vendor that does
    /// not say.
    fn chats(&self, _: &Account, _: Page) -> Option<List> {
        None
    }

    /// What the reply to that says. Only asked where [`Provider::chats`] had a call.
    fn read_chats(&self, _: &Reply) -> Result<Chats, Failure> {
        Ok(Chats::default())
    }

    /// Whether the vendor has a call for the account's own picture. Where it has none, the
    /// account's own picture is the one of its configured JID.
    fn has_own_profile(&self) -> bool {
        false
    }

    /// Whether the vendor keeps answers itself, a null included, until it is asked with
    /// `refresh=true`.
    fn keeps_answers(&self) -> bool {
        false
    }
}

/// The vendors that can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// <https://docs.wachat.net>
    Wachat,
    /// <https://wawp.net>
    Wawp,
    /// <https://docs.hypersender.com>
    Hypersender,
    /// <https://docs.wappfy.com.br>
    Wappfy,
    /// <https://waha.devlike.pro>, the project behind Wappfy
    Waha,
}

/// An account with a vendor.
#[derive(Clone, Debug)]
pub struct Account {
    /// The vendor's name for it: instance name, instance id, UUID or session.
    pub name: String,
    /// The credential.
    pub token: SecretString,
    /// The JID that the account is connected as, if configured.
    pub own: Option<Jid>,
}

/// Whose face, and how insistently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose.
    pub subject: Subject,
    /// Whether the vendor is to bypass its own cache.
    pub refresh: bool,
}

/// A part of the list of chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many chats come before it.
    pub offset: usize,
    /// How many it has, at most.
    pub limit: usize,
}

/// How to ask for chats.
#[derive(Debug)]
pub struct List {
    /// The call.
    pub call: Call,
    /// Whether the vendor knows of pages. One that does not answers with all it has.
    pub is_paged: bool,
    /// Lookups of the budget: what the call makes the account ask WhatsApp.
    pub cost: usize,
}

/// A list of chats, or a page of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chats {
    /// How many rows it had, those included that are no chats with faces.
    pub rows: usize,
    /// The others.
    pub chats: Vec<Chat>,
}

/// A chat in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// With whom.
    pub jid: Jid,
    /// The face, where the list has it.
    pub face: Option<Found>,
}

/// A GET to the vendor, relative to its base URL. It carries the credential, so its `Debug` shows
/// neither query nor header values.
pub struct Call {
    /// Absolute path with query.
    pub target: String,
    /// Headers; values that are secret are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A reply that answers the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The picture itself, still to be validated.
    Bytes(Bytes),
    /// A link to it, as the vendor wrote it.
    Link(String),
    /// There is none.
    Nothing(Empty),
}

/// A reply that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of trouble it is.
    pub why: Trouble,
    /// How long the vendor wants to be left alone.
    pub retry_after: Option<Duration>,
    /// What happened, for the log: never the vendor's own words, which may hold anything.
    pub detail: &'static str,
}

/// A face that this vendor cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// The vendor has only the account's own picture.
    #[error(
        "this vendor's API only has the connected account's own picture; ask for /avatar/{{instance}}/me"
    )]
    OnlyOwn,
    /// `me` on a vendor without a call for it, and no `own_jid` configured.
    #[error(
        "this vendor's API has no call for the account's own picture; set own_jid in this instance's configuration"
    )]
    OwnUnknown,
}

// === impl Vendor ===

impl Vendor {
    /// Every vendor, in the order of the documentation.
    pub const ALL: [Vendor; 5] = [
        Vendor::Wachat,
        Vendor::Wawp,
        Vendor::Hypersender,
        Vendor::Wappfy,
        Vendor::Waha,
    ];

    /// The name used in the configuration, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Vendor::Wachat => "wachat",
            Vendor::Wawp => "wawp",
            Vendor::Hypersender => "hypersender",
            Vendor::Wappfy => "wappfy",
            Vendor::Waha => "waha",
        }
    }

    /// Where the vendor's API lives, unless it is self-hosted.
    pub fn base_url(self) -> Option<&'static str> {
        match self {
            Vendor::Wachat => Some("https://app.wachat.net"),
            Vendor::Wawp => Some("https://api.wawp.net"),
            Vendor::Hypersender => Some("https://app.hypersender.com"),
            Vendor::Wappfy => Some("https://api.wappfy.com.br"),
            Vendor::Waha => None,
        }
    }

    /// Whether the vendor can be asked for the chats that an account has.
    pub fn lists_chats(self) -> bool {
        !matches!(self, Vendor::Wachat | Vendor::Hypersender)
    }

    /// The vendor's dialect.
    pub fn provider(self) -> &'static dyn Provider {
        match self {
            Vendor::Wachat => &Wachat,
            Vendor::Wawp => &Wawp,
            Vendor::Hypersender => &Hypersender,
            Vendor::Wappfy => &Wappfy,
            Vendor::Waha => &Waha,
        }
    }
}

impl FromStr for Vendor {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Vendor::ALL.map(Vendor::as_str).join(", ");
        Vendor::ALL
            .into_iter()
            .find(|vendor| vendor.as_str() == name)
            .ok_or_else(|| format!("{name:?} is not a known vendor; write one of {known}"))
    }
}

// === impl Call ===

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Call(redacted)")
    }
}

// === impl Failure ===

impl Failure {
    /// Trouble without a word about when to come back.
    pub fn new(why: Trouble, detail: &'static str) -> Self {
        Self {
            why,
            retry_after: None,
            detail,
        }
    }
}
