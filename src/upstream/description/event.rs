//! Reads the events of a gateway's webhook: whose pictures have changed.

use serde_json::Value;

use super::{
    jid_forms::JidForms,
    lists::jid,
    pointer::Pointer,
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
    /// A rule that is used for its condition alone.
    pub(super) condition: Rule,
    pub(super) each: Option<Pointer>,
    pub(super) jid: Vec<Pointer>,
    pub(super) link: Vec<Pointer>,
    pub(super) removed: Option<Pointer>,
}

/// What an event says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The account, if the event names it.
    pub account: Option<String>,
    /// The faces that changed.
    pub faces: Vec<EventFace>,
    /// The kind of event that it is, by its index in the description.
    pub(super) kind: Option<usize>,
}

/// A face that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFace {
    /// The face.
    pub jid: Jid,
    /// A fresh link to the new picture.
    pub link: Option<String>,
    /// Whether the picture was removed.
    pub is_removed: bool,
}

/// More contacts than any gateway puts in one event.
const MAX_FACES: usize = 1000;

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
        let faces = kind.map(|kind| self.events[kind].faces(json, forms));
        Event {
            account,
            faces: faces.unwrap_or_default(),
            kind,
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

    fn faces(&self, json: &Value, forms: &JidForms) -> Vec<EventFace> {
        let of = match &self.each {
            Some(each) => each.find(json),
            None => Some(json),
        };
        let items = match of {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(item) => vec![item],
            None => Vec::new(),
        };
        let faces = items.into_iter().filter_map(|item| self.face(item, forms));
        faces.take(MAX_FACES).collect()
    }

    fn face(&self, item: &Value, forms: &JidForms) -> Option<EventFace> {
        let links = self.link.iter();
        let link = links
            .filter_map(|place| reading::link(place.find(item)?))
            .next();
        Some(EventFace {
            jid: jid(&self.jid, item, forms)?,
            link: match link {
                Some(VendorAnswer::Link(link)) => Some(link),
                _ => None,
            },
            is_removed: self.removed.as_ref().and_then(|place| place.find(item))
                == Some(&Value::Bool(true)),
        })
    }
}
