//! The interface between Faceplate and a vendor: questions, calls, replies and answers.

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrecy::SecretString;

use crate::avatar::{Empty, Jid, Kind, Subject, Trouble};

/// An account with a vendor.
#[derive(Clone, Debug)]
pub struct Account {
    /// The vendor's name for it: instance name, instance id, UUID or session.
    pub name: String,
    /// The credential.
    pub token: SecretString,
    /// The JID that the account is connected as, if configured.
    pub own: Option<Jid>,
    /// The further values that its gateway needs.
    pub params: BTreeMap<String, SecretString>,
}

/// A question about one face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The face.
    pub subject: Subject,
    /// Whether the vendor is to bypass its own cache.
    pub refresh: bool,
}

/// A page of a list of chats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The number of chats before the page.
    pub offset: usize,
    /// The largest number of chats on it.
    pub limit: usize,
    /// The cursor of the page before.
    pub cursor: Option<String>,
}

/// A call for a list of chats.
#[derive(Debug)]
pub struct ChatListCall {
    /// The call.
    pub call: VendorCall,
    /// The largest number of rows in the answer.
    pub limit: usize,
    /// Whether the vendor has pages. One without them answers with the whole list.
    pub is_paged: bool,
    /// The cost in lookups of the budget: how many pictures the call makes the account ask WhatsApp for.
    pub cost: usize,
}

/// A list of chats, or a page of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatList {
    /// The number of rows, including those that are no chats with faces.
    pub rows: usize,
    /// The chats.
    pub chats: Vec<Chat>,
    /// LIDs and numbers that are one person.
    pub same: Vec<(Jid, Jid)>,
    /// The cursor for the next page, where the vendor has one.
    pub cursor: Option<String>,
}

/// A chat in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// The contact, group or channel.
    pub jid: Jid,
    /// The picture, if the list says something about it.
    pub face: Option<VendorAnswer>,
}

/// A call to the vendor, relative to its base URL. Any part of it may carry the credential, so its `Debug` shows
/// none.
pub struct VendorCall {
    /// GET or POST.
    pub method: Method,
    /// Absolute path with query.
    pub target: String,
    /// Headers; secret values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body of a POST.
    pub body: Bytes,
}

/// The vendor's response.
#[derive(Debug)]
pub struct VendorReply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// A reply that answers the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VendorAnswer {
    /// The picture's bytes, not validated yet.
    Bytes(Bytes),
    /// A link to the picture, as the vendor wrote it.
    Link(String),
    /// There is no picture.
    Empty(Empty),
}

/// A reply that does not answer the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorFailure {
    /// The kind of trouble.
    pub why: Trouble,
    /// The pause that the vendor asks for.
    pub retry_after: Option<Duration>,
    /// An explanation for the log, in our own words: the vendor's may contain personal data.
    pub detail: Cow<'static, str>,
    /// Whether the answer has nothing that its description names, which will be so for every face.
    pub is_misunderstood: bool,
}

/// A face that this vendor cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedSubject {
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
    /// No picture belongs to the address, whatever the vendor.
    #[error("no picture belongs to this address: it is a list, a bot or a hosted account")]
    Faceless,
    /// The vendor has no pictures of such chats.
    #[error("this vendor's API has no pictures of {}", plural(.0))]
    Kind(Kind),
    /// A value of the account would change the path of the call.
    #[error(
        "a value of this instance's account cannot be part of the vendor's path; run faceplate check"
    )]
    Unfillable,
}

fn plural(kind: &Kind) -> &'static str {
    match kind {
        Kind::Contact => "contacts",
        Kind::Group => "groups",
        Kind::Lid => "contacts that are named by a LID",
        Kind::Newsletter => "channels",
    }
}

// === impl VendorCall ===

impl fmt::Debug for VendorCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VendorCall(redacted)")
    }
}

// === impl VendorFailure ===

impl VendorFailure {
    /// A failure for which the vendor asks for no pause.
    pub fn new(why: Trouble, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            why,
            retry_after: None,
            detail: detail.into(),
            is_misunderstood: false,
        }
    }
}
