//! Text with placeholders, as `{jid}`. A template is parsed once, when its description is loaded. A value is put in
//! by one pass that escapes it for its place, and is never parsed as a template itself.

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::table::nearest;
use crate::upstream::provider::{Account, Page};

/// Text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Value { of: Placeholder, is_base64: bool },
}

/// A value that a call is filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placeholder {
    Account,
    Token,
    Param(String),
    Jid,
    User,
    Refresh,
    Limit,
    Offset,
    Page,
    Cursor,
    Link,
    Canonical,
    Changed,
    Status,
    Reason,
    Null,
}

/// The values of one call, or of an answer to one.
#[derive(Clone, Copy)]
pub(super) struct Values<'v> {
    pub(super) account: &'v Account,
    /// The JID as the gateway writes it, and its part before the `@`.
    pub(super) jid: Option<(&'v str, &'v str)>,
    pub(super) refresh: bool,
    pub(super) page: Option<&'v Page>,
    pub(super) answer: Option<&'v AnswerValues<'v>>,
}

/// The values that only an answer has.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerValues<'v> {
    /// The link to the picture, if there is one.
    pub(super) link: Option<&'v str>,
    /// The JID in WhatsApp's own spelling.
    pub(super) canonical: &'v str,
    /// When the picture changed, in Unix seconds.
    pub(super) changed: u64,
    pub(super) status: http::StatusCode,
}

/// The place of a template, which decides the placeholders that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The form of a JID.
    Jid,
    /// Every call.
    Call,
    /// A call about a picture.
    Picture,
    /// A call for the phone number of a LID.
    Lid,
    /// A call for a list of chats.
    Chats,
    /// An answer to a program that calls this server as it would call the gateway. It never has a credential.
    Answer,
}

/// A value that must not be put into a path: an empty one or one of dots alone would name another path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnfillablePath;

/// All but the unreserved characters of RFC 3986.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

// === impl Scope ===

impl Scope {
    fn names(self) -> &'static [(&'static str, Placeholder)] {
        use Placeholder::{
            Account, Canonical, Changed, Cursor, Jid, Limit, Link, Null, Offset, Page, Reason,
            Refresh, Status, Token, User,
        };
        match self {
            Scope::Jid => &[("user", User)],
            Scope::Call => &[("account", Account), ("token", Token)],
            Scope::Picture => &[
                ("account", Account),
                ("jid", Jid),
                ("refresh", Refresh),
                ("token", Token),
                ("user", User),
            ],
            Scope::Lid => &[
                ("account", Account),
                ("jid", Jid),
                ("token", Token),
                ("user", User),
            ],
            Scope::Chats => &[
                ("account", Account),
                ("cursor", Cursor),
                ("limit", Limit),
                ("offset", Offset),
                ("page", Page),
                ("token", Token),
            ],
            Scope::Answer => &[
                ("account", Account),
                ("canonical", Canonical),
                ("changed", Changed),
                ("jid", Jid),
                ("link", Link),
                ("null", Null),
                ("reason", Reason),
                ("status", Status),
                ("user", User),
            ],
        }
    }

    fn find(self, name: &str, params: &[&str]) -> Result<Placeholder, String> {
        let known = self.names();
        if let Some((_, placeholder)) = known.iter().find(|(known, _)| *known == name) {
            return Ok(placeholder.clone());
        }
        let has_params = !matches!(self, Scope::Jid | Scope::Answer);
        let params = if has_params { params } else { &[] };
        if params.contains(&name) {
            return Ok(Placeholder::Param(name.to_owned()));
        }
        let mut names: Vec<_> = known.iter().map(|(known, _)| *known).collect();
        names.extend(params);
        let hint = match nearest(name, &names) {
            Some(near) => format!("did you mean {{{near}}}?"),
            None => format!("known here: {}", names.join(" ")),
        };
        Err(format!("has {{{name}}}; {hint}"))
    }
}

// === impl Template ===

impl Template {
    /// Parses `text`. The error completes "KEY ...".
    pub(super) fn parse(text: &str, scope: Scope, params: &[&str]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let inside = rest[open..].strip_prefix('{');
            let (name, after) = inside
                .and_then(|inside| inside.split_once('}'))
                .ok_or("has a brace without its partner; a placeholder is written {name}")?;
            let (name, is_base64) = match name.split_once(':') {
                None => (name, false),
                Some((name, "base64")) => (name, true),
                Some((_, filter)) => {
                    return Err(format!("has the filter {filter}; the only one is base64"));
                }
            };
            let of = scope.find(name, params)?;
            parts.push(Part::Value { of, is_base64 });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The segments of a path.
    pub(super) fn segments(&self) -> Vec<Template> {
        let mut segments = vec![Vec::new()];
        for part in &self.0 {
            let Part::Text(text) = part else {
                segments.last_mut().expect("never empty").push(part.clone());
                continue;
            };
            for (index, text) in text.split('/').enumerate() {
                if index > 0 {
                    segments.push(Vec::new());
                }
                if !text.is_empty() {
                    let segment = segments.last_mut().expect("never empty");
                    segment.push(Part::Text(text.to_owned()));
                }
            }
        }
        segments.into_iter().map(Template).collect()
    }

    /// The text outside of placeholders.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Value { .. } => None,
        })
    }

    pub(super) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Value { of, .. } => Some(of),
        })
    }

    pub(super) fn has_filter(&self) -> bool {
        let mut parts = self.0.iter();
        parts.any(|part| {
            matches!(
                part,
                Part::Value {
                    is_base64: true,
                    ..
                }
            )
        })
    }

    /// The placeholder that is the whole template.
    fn only(&self) -> Option<&Placeholder> {
        match self.0.as_slice() {
            [
                Part::Value {
                    of,
                    is_base64: false,
                },
            ] => Some(of),
            _ => None,
        }
    }

    /// The text before and after `{user}` in the form of a JID.
    pub(super) fn around_user(&self) -> (&str, &str) {
        match self.0.as_slice() {
            [Part::Text(before), Part::Value { .. }, Part::Text(after)] => (before, after),
            [Part::Text(before), Part::Value { .. }] => (before, ""),
            [Part::Value { .. }, Part::Text(after)] => ("", after),
            _ => ("", ""),
        }
    }

    /// Fills a path. Each value stays inside of its segment.
    pub(super) fn fill_path(&self, values: &Values<'_>) -> Result<String, UnfillablePath> {
        let mut path = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Value { of, .. } => {
                    let value = values.get(of);
                    if value.bytes().all(|byte| byte == b'.') {
                        return Err(UnfillablePath);
                    }
                    path.extend(encode(&value));
                }
            }
        }
        Ok(path)
    }

    /// Fills a value of the query, already encoded. `None` if it is empty.
    pub(super) fn fill_query(&self, values: &Values<'_>) -> Option<String> {
        let text = self.fill(values);
        (!text.is_empty()).then(|| encode(&text).collect())
    }

    /// Fills a header. `None` if it is empty. A value with characters that a header cannot have, which the
    /// configuration refuses, is left out.
    pub(super) fn fill_header(&self, values: &Values<'_>) -> Option<HeaderValue> {
        let text = self.fill(values);
        let mut value = HeaderValue::from_str(&text)
            .ok()
            .filter(|_| !text.is_empty())?;
        value.set_sensitive(self.placeholders().next().is_some());
        Some(value)
    }

    /// Fills a text in JSON. `None` if it is empty. A placeholder of a number or a flag that stands alone keeps its
    /// type, and a link that stands alone is null if there is none.
    pub(super) fn fill_json(&self, values: &Values<'_>) -> Option<Value> {
        let text = self.fill(values);
        if text.is_empty() {
            return matches!(self.only(), Some(Placeholder::Link | Placeholder::Null))
                .then_some(Value::Null);
        }
        Some(match self.only() {
            Some(
                Placeholder::Limit | Placeholder::Offset | Placeholder::Page | Placeholder::Status,
            ) => text.parse::<u64>().map_or(Value::Null, Value::from),
            Some(Placeholder::Refresh) => Value::Bool(true),
            _ => Value::String(text),
        })
    }

    pub(super) fn fill(&self, values: &Values<'_>) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value { of, is_base64 } => filled.push_str(&values.text(of, *is_base64)),
            }
        }
        filled
    }
}

/// The template without values: the account and the JID by their names, secrets by stars.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Value { of, .. } => f.write_str(match of {
                    Placeholder::Account => "ACCOUNT",
                    Placeholder::Jid => "JID",
                    Placeholder::User => "USER",
                    Placeholder::Refresh => "true",
                    Placeholder::Token | Placeholder::Param(_) => "***",
                    Placeholder::Limit => "LIMIT",
                    Placeholder::Offset => "OFFSET",
                    Placeholder::Page => "PAGE",
                    Placeholder::Cursor => "CURSOR",
                    Placeholder::Link => "LINK",
                    Placeholder::Canonical => "JID",
                    Placeholder::Changed => "CHANGED",
                    Placeholder::Null => "null",
                    Placeholder::Status => "STATUS",
                    Placeholder::Reason => "REASON",
                })?,
            }
        }
        Ok(())
    }
}

// === impl Values ===

impl Values<'_> {
    /// The value in the place of a placeholder, before it is escaped.
    pub(super) fn text(&self, of: &Placeholder, is_base64: bool) -> Cow<'_, str> {
        match is_base64 {
            false => self.get(of),
            true => Cow::Owned(STANDARD.encode(self.get(of).as_bytes())),
        }
    }

    fn get(&self, of: &Placeholder) -> Cow<'_, str> {
        let page = |number: fn(&Page) -> usize| match self.page {
            Some(page) => Cow::Owned(number(page).to_string()),
            None => Cow::Borrowed(""),
        };
        match of {
            Placeholder::Account => Cow::Borrowed(&self.account.name),
            Placeholder::Token => Cow::Borrowed(self.account.token.expose_secret()),
            Placeholder::Param(name) => {
                let value = self.account.params.get(name);
                Cow::Borrowed(value.map_or("", |value| value.expose_secret()))
            }
            Placeholder::Jid => Cow::Borrowed(self.jid.map_or("", |(jid, _)| jid)),
            Placeholder::User => Cow::Borrowed(self.jid.map_or("", |(_, user)| user)),
            Placeholder::Refresh if self.refresh => Cow::Borrowed("true"),
            Placeholder::Refresh => Cow::Borrowed(""),
            Placeholder::Limit => page(|page| page.limit),
            Placeholder::Offset => page(|page| page.offset),
            Placeholder::Page => page(|page| page.offset / page.limit.max(1) + 1),
            Placeholder::Cursor => {
                let cursor = self.page.and_then(|page| page.cursor.as_deref());
                Cow::Borrowed(cursor.unwrap_or_default())
            }
            answers => {
                let answer = self.answer;
                answer.map_or(Cow::Borrowed(""), |answer| answer.get(answers))
            }
        }
    }
}

// === impl AnswerValues ===

impl<'v> AnswerValues<'v> {
    fn get(&self, of: &Placeholder) -> Cow<'v, str> {
        match of {
            Placeholder::Link => Cow::Borrowed(self.link.unwrap_or_default()),
            Placeholder::Canonical => Cow::Borrowed(self.canonical),
            Placeholder::Changed => Cow::Owned(self.changed.to_string()),
            Placeholder::Status => Cow::Owned(self.status.as_u16().to_string()),
            Placeholder::Reason => Cow::Borrowed(self.status.canonical_reason().unwrap_or("Error")),
            _ => Cow::Borrowed(""),
        }
    }
}

/// Percent-encodes a path segment or a query value.
pub(super) fn encode(text: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(text, COMPONENT)
}
