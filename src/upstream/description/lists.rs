//! The calls beside pictures: the list of chats, the state of the session, the phone number of a LID.

use serde_json::Value;

use super::{
    jid_forms::JidForms,
    names::{self, NamePair},
    pointer::{Content, Pointer, is_blank},
    reading::{self, Body},
    request::Request,
    rule::{Rule, Verdict},
    words,
};
use crate::{
    avatar::{Empty, Jid, Kind, Trouble},
    upstream::provider::{Chat, ChatList, Page, VendorAnswer, VendorFailure, VendorReply},
};

/// The call for a list of chats.
#[derive(Clone)]
pub(super) struct ChatLister {
    pub(super) request: Request,
    /// The place of the list; without one, the document is the list.
    pub(super) rows: Option<Pointer>,
    pub(super) jid: Vec<Pointer>,
    pub(super) link: Vec<Pointer>,
    /// Places of two names of one person.
    pub(super) same: Vec<NamePair>,
    pub(super) paging: Option<Paging>,
    /// The most rows that the gateway gives at once.
    pub(super) limit: Option<usize>,
    pub(super) cost: Cost,
}

/// How the next page is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Paging {
    Offset,
    Page,
    /// By this place in the last row.
    Cursor(Pointer),
}

/// The lookups that a call makes the account spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    Fixed(usize),
    /// One for each row.
    Rows,
}

/// The call for the state of the session.
#[derive(Clone)]
pub(super) struct SessionCall {
    pub(super) request: Request,
    pub(super) at: Vec<Pointer>,
    pub(super) up: Vec<Value>,
    pub(super) own: Vec<Pointer>,
    pub(super) cost: usize,
}

/// The call for the phone number of a LID.
#[derive(Clone)]
pub(super) struct LidCall {
    pub(super) request: Request,
    pub(super) phone: Vec<Pointer>,
}

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whether it is connected to WhatsApp.
    pub is_up: bool,
    /// The JID that it is connected as, if the gateway says it.
    pub own: Option<Jid>,
}

// === impl ChatLister ===

impl ChatLister {
    /// The page with no more rows than the gateway gives.
    pub(super) fn fit(&self, page: &Page) -> Page {
        Page {
            limit: page.limit.min(self.limit.unwrap_or(usize::MAX)),
            ..page.clone()
        }
    }

    pub(super) fn is_paged(&self) -> bool {
        self.paging.is_some()
    }

    pub(super) fn cost(&self, page: &Page) -> usize {
        match self.cost {
            Cost::Fixed(cost) => cost,
            Cost::Rows => page.limit,
        }
    }

    /// Reads a list: an array, or an object with the index as name. A row without a valid JID, as
    /// `status@broadcast`, has no face. A null means the same as in an answer about that face.
    pub(super) fn read(
        &self,
        rules: &[Rule],
        forms: &JidForms,
        reply: &VendorReply,
    ) -> Result<ChatList, VendorFailure> {
        let json = json(rules, reply)?;
        let list = match &self.rows {
            Some(rows) => rows.find(&json),
            None => Some(&json),
        };
        let rows = list
            .and_then(rows)
            .ok_or_else(|| trouble_in(&json, rules, reply))?;
        let cursor = match (&self.paging, rows.last()) {
            (Some(Paging::Cursor(at)), Some(row)) => at.text(row),
            _ => None,
        };
        Ok(ChatList {
            rows: rows.len(),
            chats: rows
                .iter()
                .filter_map(|row| self.chat(row, forms))
                .collect(),
            same: rows
                .iter()
                .flat_map(|row| names::find(&self.same, row, forms))
                .collect(),
            cursor,
        })
    }

    /// Replaces the links to pictures in a list by those that `link` makes. A row that is not understood stays.
    pub(super) fn relink(&self, list: &mut Value, forms: &JidForms, link: impl Fn(Jid) -> String) {
        let rows = match &self.rows {
            Some(rows) => rows.find_mut(list),
            None => Some(list),
        };
        let rows: Vec<_> = match rows {
            Some(Value::Array(rows)) => rows.iter_mut().collect(),
            // Some gateways make an object of the list, with the index as name.
            Some(Value::Object(rows)) => rows.values_mut().collect(),
            _ => return,
        };
        for row in rows {
            let Some(jid) = jid(&self.jid, row, forms) else {
                continue;
            };
            for place in &self.link {
                if let Some(text @ Value::String(_)) = place.find_mut(row)
                    && reading::link(text).is_some()
                {
                    *text = Value::String(link(jid));
                }
            }
        }
    }

    fn chat(&self, row: &Value, forms: &JidForms) -> Option<Chat> {
        let mut links = self.link.iter().map(|place| place.content(row));
        let found = links.clone().find_map(|content| match content {
            Content::Value(value) => reading::link(value),
            _ => None,
        });
        let says_none = links.any(|content| content == Content::Blank);
        Some(Chat {
            jid: jid(&self.jid, row, forms)?,
            face: found.or(says_none.then_some(VendorAnswer::Empty(Empty::Unknown))),
        })
    }
}

/// The rows of a list. Some gateways make an object of it, with the index as name; its order is that of the index.
fn rows(list: &Value) -> Option<Vec<&Value>> {
    match list {
        Value::Array(rows) => Some(rows.iter().collect()),
        Value::Object(rows) => {
            let indexed = rows
                .iter()
                .map(|(name, row)| Some((name.parse::<usize>().ok()?, row)));
            let mut indexed = indexed.collect::<Option<Vec<_>>>()?;
            indexed.sort_by_key(|(index, _)| *index);
            Some(indexed.into_iter().map(|(_, row)| row).collect())
        }
        _ => None,
    }
}

// === impl SessionCall ===

impl SessionCall {
    pub(super) fn read(
        &self,
        rules: &[Rule],
        forms: &JidForms,
        reply: &VendorReply,
    ) -> Result<Session, VendorFailure> {
        let json = json(rules, reply)?;
        let state = self.at.iter().find_map(|place| place.find(&json));
        let Some(state) = state else {
            return Err(trouble_in(&json, rules, reply));
        };
        Ok(Session {
            is_up: self.up.contains(state),
            own: jid(&self.own, &json, forms),
        })
    }
}

// === impl LidCall ===

impl LidCall {
    /// The phone number; `None` if the gateway knows none.
    pub(super) fn read(
        &self,
        rules: &[Rule],
        forms: &JidForms,
        reply: &VendorReply,
    ) -> Result<Option<Jid>, VendorFailure> {
        let json = json(rules, reply)?;
        match jid(&self.phone, &json, forms) {
            Some(phone) if phone.kind() == Kind::Contact => Ok(Some(phone)),
            // Some gateways repeat the LID.
            Some(_) => Ok(None),
            None if self.says_none(&json) => Ok(None),
            None => Err(trouble_in(&json, rules, reply)),
        }
    }

    fn says_none(&self, json: &Value) -> bool {
        let mut contents = self.phone.iter().map(|place| place.content(json));
        contents.any(|content| content == Content::Blank) || is_blank(json)
    }
}

/// The first of these places that has a JID.
pub(super) fn jid(places: &[Pointer], json: &Value, forms: &JidForms) -> Option<Jid> {
    places
        .iter()
        .find_map(|place| forms.read(&place.text(json)?))
}

/// The document of a 2xx. "None" is no answer to these calls.
fn json(rules: &[Rule], reply: &VendorReply) -> Result<Value, VendorFailure> {
    let body = Body::of(reply);
    if !reply.status.is_success() {
        let by_rule = reading::judge(rules, reply, &body)
            .map(|(index, verdict)| reading::conclude(verdict, rules[index].why.as_deref(), reply));
        let result = by_rule.filter(Result::is_err);
        let result = result.unwrap_or_else(|| reading::error(reply, &body).result);
        return Err(result.err().unwrap_or_else(|| {
            failure(format!(
                "the vendor answers {} to this call",
                reply.status.as_u16()
            ))
        }));
    }
    body.json
        .ok_or_else(|| failure("the vendor's reply is not valid JSON".to_owned()))
}

/// The failure for a document without the members that the description names: by rules and words, if one of them
/// is about trouble.
fn trouble_in(json: &Value, rules: &[Rule], reply: &VendorReply) -> VendorFailure {
    let by_rule = reading::judge(rules, reply, &Body::of(reply))
        .map(|(index, verdict)| reading::conclude(verdict, rules[index].why.as_deref(), reply));
    let words = words::find_in_errors(json).map(Verdict::Words);
    let by_words = words.map(|verdict| reading::conclude(verdict, None, reply));
    let mut known = [by_rule, by_words].into_iter().flatten();
    known
        .find_map(Result::err)
        .unwrap_or_else(|| reading::not_understood(Some(json)))
}

fn failure(detail: String) -> VendorFailure {
    VendorFailure::new(Trouble::VendorError, detail)
}
