//! The samples of a description: calls with the request that they send, and replies with the answer that they give.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::{
    avatar::{Jid, Kind, Subject},
    upstream::provider::{Account, VendorAnswer, VendorReply},
};

/// A sample.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) call: CallKind,
    /// The source that says so.
    pub(super) from: String,
    pub(super) ask: Option<Subject>,
    pub(super) refresh: bool,
    /// The method and the target.
    pub(super) sends: Option<String>,
    pub(super) body: Option<Value>,
    pub(super) status: StatusCode,
    pub(super) reply: Option<String>,
    pub(super) gives: Option<String>,
}

/// The call of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    Picture,
    Chats,
    Session,
    Lid,
    Hook,
}

// === impl CallKind ===

impl CallKind {
    pub(super) const NAMES: [(&'static str, CallKind); 5] = [
        ("picture", CallKind::Picture),
        ("chats", CallKind::Chats),
        ("session", CallKind::Session),
        ("lid", CallKind::Lid),
        ("hook", CallKind::Hook),
    ];
}

impl Sample {
    pub(super) fn reply(&self) -> VendorReply {
        VendorReply {
            status: self.status,
            headers: HeaderMap::new(),
            body: self.reply.clone().unwrap_or_default().into(),
        }
    }
}

/// The account of the samples.
pub(super) fn account() -> Account {
    Account {
        name: "ACCOUNT".into(),
        token: "TOKEN".into(),
        own: "628000@c.us".parse().ok(),
        params: Default::default(),
    }
}

/// A JID of each kind.
pub(super) fn jid(kind: Kind) -> Option<Jid> {
    let text = match kind {
        Kind::Contact => "628123@c.us",
        Kind::Group => "120363000000000001@g.us",
        Kind::Lid => "81896604192873@lid",
        Kind::Newsletter => "120363000000000009@newsletter",
    };
    text.parse().ok()
}

/// An answer as samples write it.
pub(super) fn describe_answer(answer: &VendorAnswer) -> String {
    match answer {
        VendorAnswer::Bytes(bytes) => format!("bytes {}", bytes.len()),
        VendorAnswer::Link(link) => format!("link {link}"),
        VendorAnswer::Empty(empty) => empty.as_str().to_owned(),
    }
}
