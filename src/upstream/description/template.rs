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

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
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
}

/// The values of one call.
#[derive(Clone, Copy)]
pub(super) struct Values<'v> {
    pub(super) account: &'v Account,
    /// The JID as the gateway writes it, and its part before the `@`.
    pub(super) jid: Option<(&'v str, &'v str)>,
    pub(super) refresh: bool,
    pub(super) page: Option<&'v Page>,
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
}

/// A value that must not be put into a path: an empty one or one of dots alone would name another path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfillable;

/// All but the unreserved characters of RFC 3986.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

// === impl Scope ===

impl Scope {
    fn names(self) -> &'static [(&'static str, Placeholder)] {
        use Placeholder::{Account, Cursor, Jid, Limit, Offset, Page, Refresh, Token, User};
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
        }
    }

    fn find(self, name: &str, params: &[&str]) -> Result<Placeholder, String> {
        let known = self.names();
        if let Some((_, placeholder)) = known.iter().find(|(known, _)| *known == name) {
            return Ok(placeholder.clone());
        }
        let params = if self == Scope::Jid { &[] } else { params };
        if params.contains(&name) {
            return Ok(Placeholder::Param(name.to_owned()));
        }
        let mut names: Vec<_> = known.iter().map(|(known, _)| *known).collect();
        names.extend(params);
        let hint = match nearest(name, &names) {
            Some(near) => format!("; did you mean {{{near}}}?"),
            None => String::new(),
        };
        Err(format!(
            "has {{{name}}}{hint}; known here: {}",
            names.join(" ")
        ))
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
    pub(super) fn fill_path(&self, values: &Values<'_>) -> Result<String, Unfillable> {
        let mut path = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Value { of, .. } => {
                    let value = values.get(of);
                    if value.bytes().all(|byte| byte == b'.') {
                        return Err(Unfillable);
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

    /// Fills a text in JSON. `None` if it is empty. A placeholder of a number or a flag that stands alone keeps its type.
    pub(super) fn fill_json(&self, values: &Values<'_>) -> Option<Value> {
        let text = self.fill(values);
        if text.is_empty() {
            return None;
        }
        Some(match self.only() {
            Some(Placeholder::Limit | Placeholder::Offset | Placeholder::Page) => {
                text.parse::<u64>().map_or(Value::Null, Value::from)
            }
            Some(Placeholder::Refresh) => Value::Bool(true),
            _ => Value::String(text),
        })
    }

    fn fill(&self, values: &Values<'_>) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value {
                    of,
                    is_base64: false,
                } => filled.push_str(&values.get(of)),
                Part::Value {
                    of,
                    is_base64: true,
                } => {
                    STANDARD.encode_string(values.get(of).as_bytes(), &mut filled);
                }
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
                })?,
            }
        }
        Ok(())
    }
}

// === impl Values ===

impl Values<'_> {
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
        }
    }
}

/// Percent-encodes a path segment or a query value.
pub(super) fn encode(text: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(text, COMPONENT)
}
