//! Reads a reply about a picture:
//!
//! 1. The picture itself: bytes, base64 or a link, in the places that the description names. Only a 2xx has one.
//! 2. The description's rules.
//! 3. The words of WhatsApp in error members, and errors inside of a 2xx.
//! 4. A place of step 1 that says that there is none.
//! 5. The status. A 2xx that none of these applies to was not understood.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::Value;

use super::{
    embedded::{decoded, embedded},
    members,
    pointer::{Content, Pointer, is_blank},
    rule::{Rule, Subject, Then, Verdict},
    status::{self, retry_after},
    unusable,
    words::{self, Meaning},
};
use crate::{
    avatar::{Empty, Trouble},
    upstream::{
        default_picture,
        link_text::repair,
        provider::{VendorAnswer, VendorFailure, VendorReply},
    },
};

/// Where the picture is in a reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Places {
    /// The places of a link; `None`: the members and envelopes that most gateways have.
    pub(super) link: Option<Vec<Pointer>>,
    /// The places of the picture in base64.
    pub(super) base64: Vec<Pointer>,
    /// Whether the body is the picture, unless it is JSON.
    pub(super) bytes: bool,
}

/// A reply, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) result: Result<VendorAnswer, VendorFailure>,
    pub(super) basis: Basis,
}

/// The step that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// The body is the picture.
    Bytes,
    /// The picture is in this place of [`Places::base64`].
    Base64(usize),
    /// The link is in this place of [`Places::link`], or found by the names that most gateways have.
    Link(usize),
    /// The rule of this index.
    Rule(usize),
    Words,
    ErrorInside,
    SaysNone,
    Status,
    /// A member where the picture should be has something else.
    Unusable,
    NotUnderstood,
}

/// The body of a reply.
pub(super) struct Body<'r> {
    bytes: &'r [u8],
    pub(super) json: Option<Value>,
}

/// Members of a link, newest gateways first. If several members of an object have a link, the first in this order
/// wins; an object's own members win over its envelopes.
const LINKS: [&str; 11] = [
    "url",
    "profilePictureURL",
    "profilePictureUrl",
    "profilePicUrl",
    "profile_picture_url",
    "picture",
    "eurl",
    "imgFull",
    "link",
    "urlAvatar",
    "URL",
];
/// Members that wrap the answer.
const ENVELOPES: [&str; 5] = ["data", "response", "results", "result", "Data"];
/// Envelopes inside of each other that are opened.
const MAX_ENVELOPES: u8 = 3;
/// The largest JSON that is read, and its deepest nesting.
const MAX_JSON: usize = 1024 * 1024;
const MAX_DEPTH: u8 = 32;

// === impl Reading ===

/// Reads `reply`.
pub(super) fn read(places: &Places, rules: &[Rule], reply: &VendorReply) -> Reading {
    let body = Body::of(reply);
    let is_success = reply.status.is_success();
    if is_success && let Some((answer, basis)) = picture(places, reply, &body) {
        return Reading::of(Ok(answer), basis);
    }
    let says_none = body.json.as_ref().is_some_and(|json| places.say_none(json));
    if let Some((index, verdict)) = judge(rules, reply, &body) {
        let is_guess =
            is_success && !says_none && verdict == Verdict::Then(Then::Empty(Empty::Unknown));
        match &body.json {
            // The rule guesses from what is missing. The link has moved, or the answer is an error.
            Some(json) if is_guess && (has_link(json) || places.say_something(json)) => {
                return Reading::not_understood(places, json);
            }
            Some(json) if is_guess && words::is_error(json) => {
                return success(places, reply, &body, false);
            }
            _ => {}
        }
        let rule = &rules[index];
        if rule.says_unknown_by_status() && !is_success {
            // WhatsApp's words say more, and a wrong path must not look like contacts without pictures.
            let read = error(reply, &body);
            if read.basis == Basis::Words || status::is_unknown_route(reply, body.json.as_ref()) {
                return read;
            }
        }
        let why = rule.why.as_deref();
        return Reading::of(conclude(verdict, why, reply), Basis::Rule(index));
    }
    if !is_success {
        return error(reply, &body);
    }
    success(places, reply, &body, says_none)
}

/// Reads an error as every gateway means it: WhatsApp's words, then the status.
pub(super) fn error(reply: &VendorReply, body: &Body<'_>) -> Reading {
    let meaning = match &body.json {
        Some(json) => words::find_in_errors(json),
        None => body.text().and_then(words::find_in_text),
    };
    if reply.status != StatusCode::TOO_MANY_REQUESTS
        && let Some(meaning) = meaning
    {
        return Reading::of(conclude(Verdict::Words(meaning), None, reply), Basis::Words);
    }
    Reading::of(status::read(reply, body.json.as_ref()), Basis::Status)
}

/// The rule that holds, by index, and its verdict.
pub(super) fn judge(
    rules: &[Rule],
    reply: &VendorReply,
    body: &Body<'_>,
) -> Option<(usize, Verdict)> {
    let subject = Subject {
        status: reply.status.as_u16(),
        json: body.json.as_ref(),
        text: body.text(),
    };
    let mut rules = rules.iter().enumerate();
    rules.find_map(|(index, rule)| Some((index, rule.judge(subject)?)))
}

/// The result that a verdict stands for.
pub(super) fn conclude(
    verdict: Verdict,
    why: Option<&str>,
    reply: &VendorReply,
) -> Result<VendorAnswer, VendorFailure> {
    let (trouble, detail) = match verdict {
        Verdict::Then(Then::Empty(empty)) | Verdict::Words(Meaning::Empty(empty)) => {
            return Ok(VendorAnswer::Empty(empty));
        }
        Verdict::Words(Meaning::Trouble(trouble, detail)) => (trouble, detail),
        Verdict::Then(Then::Trouble(trouble)) => (trouble, default_reason(trouble)),
        // A rule's words are a verdict of their own.
        Verdict::Then(Then::Words) => (Trouble::VendorError, default_reason(Trouble::VendorError)),
    };
    let detail = why.map_or(Cow::Borrowed(detail), |why| Cow::Owned(why.to_owned()));
    let mut failure = VendorFailure::new(trouble, detail);
    if trouble == Trouble::RateLimited {
        failure.retry_after = retry_after(reply);
    }
    Err(failure)
}

/// The picture or its link, if the reply has one in a place that is named.
fn picture(places: &Places, reply: &VendorReply, body: &Body<'_>) -> Option<(VendorAnswer, Basis)> {
    let Some(json) = &body.json else {
        let is_picture = places.bytes && !body.is_blank() && !body.looks_like_json();
        return is_picture.then(|| (VendorAnswer::Bytes(reply.body.clone()), Basis::Bytes));
    };
    for (index, place) in places.base64.iter().enumerate() {
        if let Some(bytes) = place.find(json).and_then(Value::as_str).and_then(decoded) {
            return Some((VendorAnswer::Bytes(bytes), Basis::Base64(index)));
        }
    }
    let Some(links) = &places.link else {
        return find_link(json, MAX_ENVELOPES).map(|answer| (answer, Basis::Link(0)));
    };
    let mut links = links.iter().enumerate();
    links.find_map(|(index, place)| Some((link(place.find(json)?)?, Basis::Link(index))))
}

/// A 2xx without a picture that no rule is about.
fn success(places: &Places, reply: &VendorReply, body: &Body<'_>, says_none: bool) -> Reading {
    let none = || Reading::of(Ok(VendorAnswer::Empty(Empty::Unknown)), Basis::SaysNone);
    if body.is_blank() {
        return none();
    }
    let Some(json) = &body.json else {
        let detail = "the vendor's reply is not valid JSON";
        return Reading::of(Err(failure(detail)), Basis::NotUnderstood);
    };
    if let Some(meaning) = words::find_in_errors(json) {
        return Reading::of(conclude(Verdict::Words(meaning), None, reply), Basis::Words);
    }
    if json.get("queued") == Some(&Value::Bool(true)) {
        let detail = "the vendor queued the request instead of answering it";
        return Reading::of(Err(failure(detail)), Basis::ErrorInside);
    }
    if words::is_error(json) {
        let detail = "the vendor reported an error inside a 200";
        return Reading::of(Err(failure(detail)), Basis::ErrorInside);
    }
    if says_none || is_blank(json) {
        return none();
    }
    Reading::not_understood(places, json)
}

impl Reading {
    fn of(result: Result<VendorAnswer, VendorFailure>, basis: Basis) -> Self {
        Self { result, basis }
    }

    fn not_understood(places: &Places, json: &Value) -> Self {
        match unusable::describe(places, json) {
            Some(detail) => {
                let failure = VendorFailure {
                    is_misunderstood: true,
                    ..VendorFailure::new(Trouble::VendorError, detail)
                };
                Self::of(Err(failure), Basis::Unusable)
            }
            None => Self::of(Err(not_understood(Some(json))), Basis::NotUnderstood),
        }
    }
}

/// The failure for an answer without any member that the description names.
pub(super) fn not_understood(json: Option<&Value>) -> VendorFailure {
    let members = json.map_or_else(|| "none".to_owned(), members::list);
    VendorFailure {
        is_misunderstood: true,
        ..VendorFailure::new(
            Trouble::VendorError,
            format!(
                "the vendor's answer has no member that its description names; it has: {members}"
            ),
        )
    }
}

// === impl Places ===

impl Places {
    /// Whether a place for the picture has something that is no picture.
    fn say_something(&self, json: &Value) -> bool {
        let has_value = |place: &Pointer| matches!(place.content(json), Content::Value(_));
        let links = self.link.as_deref().unwrap_or_default();
        links.iter().chain(&self.base64).any(has_value)
    }

    /// The member of a link that most gateways use, and that has a value, with its name.
    pub(super) fn family_member<'j>(&self, json: &'j Value) -> Option<(&'static str, &'j Value)> {
        family_member(json, MAX_ENVELOPES)
    }

    /// Whether a place for the picture says that there is none.
    fn say_none(&self, json: &Value) -> bool {
        let is_blank = |place: &Pointer| place.content(json) == Content::Blank;
        self.base64.iter().any(is_blank)
            || match &self.link {
                Some(links) => links.iter().any(is_blank),
                None => family_says_none(json, MAX_ENVELOPES),
            }
    }
}

// === impl Body ===

impl<'r> Body<'r> {
    pub(super) fn of(reply: &'r VendorReply) -> Self {
        let bytes = reply.body.as_ref();
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let bytes = bytes.trim_ascii();
        let json = (bytes.len() <= MAX_JSON)
            .then(|| serde_json::from_slice(bytes).ok())
            .flatten()
            .filter(|json| is_shallow(json, MAX_DEPTH));
        Self { bytes, json }
    }

    fn is_blank(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether this is meant to be JSON, and so no picture.
    fn looks_like_json(&self) -> bool {
        matches!(self.bytes.first(), Some(b'{' | b'['))
    }

    /// The body as text, if it is a plain text. A page in HTML is no message of the gateway.
    pub(super) fn text(&self) -> Option<&'r str> {
        let text = std::str::from_utf8(self.bytes).ok();
        text.filter(|text| self.json.is_none() && !text.starts_with('<'))
    }
}

fn is_shallow(json: &Value, depth: u8) -> bool {
    match json {
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_shallow(item, depth - 1)),
        Value::Object(members) => {
            depth > 0 && members.values().all(|value| is_shallow(value, depth - 1))
        }
        _ => true,
    }
}

fn find_link(json: &Value, envelopes: u8) -> Option<VendorAnswer> {
    let json = match json {
        Value::Array(rows) => rows.first()?,
        json => json,
    };
    let own = LINKS.iter().filter_map(|name| json.get(name));
    own.filter_map(link).next().or_else(|| {
        let inner = ENVELOPES.iter().filter_map(|name| json.get(name));
        (envelopes > 0)
            .then(|| {
                inner
                    .filter_map(|json| find_link(json, envelopes - 1))
                    .next()
            })
            .flatten()
    })
}

fn family_says_none(json: &Value, envelopes: u8) -> bool {
    let json = match json {
        Value::Array(rows) => match rows.first() {
            Some(first) => first,
            None => return true,
        },
        json => json,
    };
    let names = LINKS.iter().chain(&ENVELOPES);
    let mut known = names.filter_map(|name| json.get(name));
    let mut inner = ENVELOPES.iter().filter_map(|name| json.get(name));
    known.any(is_blank)
        || (envelopes > 0 && inner.any(|json| family_says_none(json, envelopes - 1)))
}

fn family_member(json: &Value, envelopes: u8) -> Option<(&'static str, &Value)> {
    let json = match json {
        Value::Array(rows) => rows.first()?,
        json => json,
    };
    let mut own = LINKS
        .iter()
        .filter_map(|name| Some((*name, json.get(name)?)));
    own.find(|(_, value)| unusable::is_value(value))
        .or_else(|| {
            let mut inner = ENVELOPES.iter().filter_map(|name| json.get(name));
            let envelopes = envelopes.checked_sub(1)?;
            inner.find_map(|json| family_member(json, envelopes))
        })
}

/// The picture or link that a member has.
pub(super) fn link(value: &Value) -> Option<VendorAnswer> {
    let text = repair(value.as_str()?);
    if let Some(bytes) = embedded(&text) {
        return Some(VendorAnswer::Bytes(bytes));
    }
    if !text.contains("://") {
        return None;
    }
    if default_picture::is_named_by(&text) {
        return Some(VendorAnswer::Empty(Empty::Unknown));
    }
    Some(VendorAnswer::Link(text.into_owned()))
}

/// Whether any text of the document is a link or a picture.
fn has_link(json: &Value) -> bool {
    match json {
        Value::String(_) => link(json).is_some(),
        Value::Array(items) => items.iter().any(has_link),
        Value::Object(members) => members.values().any(has_link),
        _ => false,
    }
}

fn failure(detail: &'static str) -> VendorFailure {
    VendorFailure::new(Trouble::VendorError, detail)
}

fn default_reason(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::RateLimited => "the vendor rate-limits this account",
        Trouble::Auth => "the vendor refused our credential",
        Trouble::SessionDown => "the vendor's session is not working",
        Trouble::VendorError | Trouble::OverBudget => "the vendor reported an error",
    }
}
