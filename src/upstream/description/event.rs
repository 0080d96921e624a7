//! Reads the events of a gateway's webhook: which pictures have changed, or may have changed.

use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{
    jid_forms::JidForms,
    lists::jid,
    members,
    names::{self, NamePair},
    pointer::{Content, Pointer},
    reading,
    rule::{Rule, Subject},
};
use crate::{avatar::Jid, upstream::provider::VendorAnswer};

/// The reader of a gateway's events.
#[derive(Clone)]
pub(super) struct HookReader {
    /// The places of the account's name; empty: the URL names the instance.
    pub(super) account: Vec<Pointer>,
    /// The field of a form that holds the JSON.
    pub(super) form: Option<String>,
    pub(super) events: Vec<EventReader>,
}

/// The reader of one kind of event.
#[derive(Clone)]
pub(super) struct EventReader {
    /// A rule whose verdict is ignored; its condition chooses the events.
    pub(super) condition: Rule,
    pub(super) each: Option<Pointer>,
    pub(super) jid: Vec<Pointer>,
    pub(super) link: Vec<Pointer>,
    pub(super) removed: Option<Pointer>,
    /// Places of two names of one person.
    pub(super) same: Vec<NamePair>,
    /// Whether the event says nothing about pictures, such as one about a message.
    pub(super) is_hint: bool,
}

/// A webhook's body that is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The body is no JSON object, and no form.
    #[error("send a JSON object, or a form if the gateway sends forms")]
    NoObject,
    /// The description of the gateway has no `[hook]`.
    #[error(
        "the description of this gateway does not say how its events are read; add [hook] to it"
    )]
    NoHook,
}

/// The content of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The account, if the event names it.
    pub account: Option<String>,
    /// The faces that changed.
    pub faces: Vec<EventFace>,
    /// LIDs and numbers that are one person.
    pub same: Vec<(Jid, Jid)>,
    /// The kind of event that it is, by its index in the description.
    pub(super) kind: Option<usize>,
    /// The members of an event of no kind that the description has, by names and types.
    pub unknown: Option<String>,
}

/// A face that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFace {
    /// The face.
    pub jid: Jid,
    /// A fresh link to the picture.
    pub link: Option<String>,
    /// Whether the picture was removed.
    pub is_removed: bool,
    /// Whether the picture only may have changed: the contact sent a message, or the gateway found no link.
    pub is_hint: bool,
}

/// More contacts than any gateway puts in one event.
const MAX_FACES: usize = 1000;
/// The longest link. WhatsApp's have some 300 bytes.
const MAX_LINK: usize = 4096;
/// More fields than any gateway puts in a form.
const MAX_FIELDS: usize = 64;

/// The JSON of a webhook's body, which may be a form.
pub(super) fn json(body: &[u8], is_form: bool) -> Result<Value, EventError> {
    match is_form {
        true => Ok(form(body)),
        false => serde_json::from_slice(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body))
            .map_err(|_| EventError::NoObject),
    }
}

/// The fields of a form.
fn form(body: &[u8]) -> Value {
    let fields = form_urlencoded::parse(body).take(MAX_FIELDS);
    let fields = fields.map(|(name, text)| (name.into_owned(), text.into_owned().into()));
    Value::Object(fields.collect::<Map<_, _>>())
}

// === impl HookReader ===

impl HookReader {
    pub(super) fn read(&self, sent: &Value, forms: &JidForms) -> Event {
        let unwrapped = self.unwrap(sent);
        let json = unwrapped.as_ref().unwrap_or(sent);
        // In a form, the account may stand beside the JSON.
        let account = [json, sent]
            .into_iter()
            .find_map(|document| self.account.iter().find_map(|place| place.text(document)));
        let mut events = self.events.iter();
        let kind = events.position(|event| event.is_of(json));
        let (faces, same) = match kind {
            Some(kind) => self.events[kind].read(json, forms),
            None => Default::default(),
        };
        Event {
            account,
            faces,
            same,
            kind,
            unknown: kind.is_none().then(|| members::list(json)),
        }
    }

    /// The JSON in the field of a form.
    fn unwrap(&self, sent: &Value) -> Option<Value> {
        let text = sent.get(self.form.as_ref()?)?.as_str()?;
        serde_json::from_str(text).ok()
    }
}

impl EventReader {
    fn is_of(&self, json: &Value) -> bool {
        let subject = Subject {
            status: 200,
            json: Some(json),
            text: None,
        };
        self.condition.judge(subject).is_some()
    }

    fn read(&self, json: &Value, forms: &JidForms) -> (Vec<EventFace>, Vec<(Jid, Jid)>) {
        let of = match &self.each {
            Some(each) => each.find(json),
            None => Some(json),
        };
        let items: Vec<_> = match of {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(item) => vec![item],
            None => Vec::new(),
        };
        let same = items.iter().take(MAX_FACES);
        let same = same.flat_map(|item| names::find(&self.same, item, forms));
        let same = same.collect();
        let mut faces: Vec<EventFace> = Vec::new();
        for face in items.into_iter().filter_map(|item| self.face(item, forms)) {
            // An event may have one contact in several items.
            if faces.len() < MAX_FACES && !faces.iter().any(|known| known.jid == face.jid) {
                faces.push(face);
            }
        }
        (faces, same)
    }

    fn face(&self, item: &Value, forms: &JidForms) -> Option<EventFace> {
        let jid = jid(&self.jid, item, forms)?;
        let mut links = self.link.iter().map(|place| place.content(item));
        let link = links.clone().find_map(|content| match content {
            Content::Value(value) => reading::link(value),
            _ => None,
        });
        let link = match link {
            Some(VendorAnswer::Link(link)) if link.len() <= MAX_LINK => Some(link),
            _ => None,
        };
        let says_none = link.is_none() && links.any(|content| content == Content::Blank);
        let removed = self.removed.as_ref().and_then(|place| place.find(item));
        Some(EventFace {
            jid,
            link,
            is_removed: removed == Some(&Value::Bool(true)),
            is_hint: self.is_hint || says_none,
        })
    }
}
