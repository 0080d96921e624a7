//! Reads the parts of sections: requests, templates, pointers.

use http::{HeaderName, Method};
use serde_json::Value;
use toml::de::DeValue;

use super::{Loader, header_name};
use crate::upstream::description::{
    names::NamePair,
    pointer::Pointer,
    reading::Places,
    request::{Json, Request},
    table::{Item, Table},
    template::{Scope, Template},
};

/// Pointers in a list.
const MAX_POINTERS: usize = 16;
/// Objects and lists inside of each other in a request's JSON.
pub(super) const MAX_DEPTH: u8 = 8;

impl<'t> Loader<'t> {
    pub(super) fn template_of(
        &self,
        item: &Item<'t>,
        text: &str,
        scope: Scope,
    ) -> Option<Template> {
        match Template::parse(text, scope, &self.params()) {
            Ok(template) => Some(template),
            Err(remedy) => {
                item.problem(format!("{} {remedy}", item.path()));
                None
            }
        }
    }

    pub(super) fn request(&self, table: &Table<'t>, scope: Scope) -> Request {
        let method = match table.text("method").as_deref() {
            None | Some("GET") => Method::GET,
            Some("POST") => Method::POST,
            Some(other) => {
                if let Some(item) = table.item("method") {
                    let path = item.path();
                    item.problem(format!("{path} is {other:?}; write \"GET\" or \"POST\""));
                }
                Method::GET
            }
        };
        let json = table.item("json").and_then(|item| {
            if method == Method::GET {
                item.derived(format!(
                    "{} needs method = \"POST\": a GET has no body",
                    item.path()
                ));
            }
            self.json(&item, scope, MAX_DEPTH)
        });
        Request {
            path: self.path(table, scope),
            query: self.query(table, scope),
            headers: self.headers(table, scope),
            method,
            json,
        }
    }

    fn path(&self, table: &Table<'t>, scope: Scope) -> Template {
        let empty = Template::parse("", scope, &[]).unwrap_or_else(|_| unreachable!("no braces"));
        let Some(item) = table.item("path") else {
            table.missing("path", "write the path of the call, beginning with /");
            return empty;
        };
        let Some(text) = item.text() else {
            return empty;
        };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_odd = ["?", "#", "//", "..", "\\", "/./"]
            .iter()
            .any(|part| text.contains(part));
        if !text.starts_with('/') || !is_plain || is_odd {
            item.problem(format!("{} is {text:?}; a path begins with one / and has no ?, #, //, .., \\ or spaces (parameters go into query)", item.path()));
        }
        let template = self.template_of(&item, &text, scope).unwrap_or(empty);
        if template.has_filter() {
            item.problem(format!(
                "{} has the filter base64, which is for headers alone",
                item.path()
            ));
        }
        template
    }

    pub(super) fn query(&self, table: &Table<'t>, scope: Scope) -> Vec<(String, Template)> {
        let Some(query) = table.table("query") else {
            return Vec::new();
        };
        let entries = query.entries().into_iter();
        let templates = entries.filter_map(|(name, item)| {
            let template = self.template_of(&item, &item.text()?, scope)?;
            if template.has_filter() {
                item.problem(format!(
                    "{} has the filter base64, which is for headers alone",
                    item.path()
                ));
            }
            Some((name, template))
        });
        templates.collect()
    }

    pub(super) fn headers(&self, table: &Table<'t>, scope: Scope) -> Vec<(HeaderName, Template)> {
        /// Headers that the client sets itself.
        const OURS: [&str; 7] = [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "content-type",
            "upgrade",
            "te",
        ];
        let Some(headers) = table.table("headers") else {
            return Vec::new();
        };
        let entries = headers.entries().into_iter();
        let templates = entries.filter_map(|(name, item)| {
            let template = self.template_of(&item, &item.text()?, scope)?;
            let Some(name) = header_name(&name).filter(|name| !OURS.contains(&name.as_str()))
            else {
                item.problem(format!(
                    "{} is no header that a description can set; leave it out, the program sets it where it is needed",
                    item.path()
                ));
                return None;
            };
            let is_plain = |text: &str| http::HeaderValue::from_str(text).is_ok();
            if !template.literals().all(is_plain) {
                item.problem(format!(
                    "{} has characters that a header cannot have; write it in ASCII on one line",
                    item.path()
                ));
            }
            Some((name, template))
        });
        templates.collect()
    }

    pub(super) fn json(&self, item: &Item<'t>, scope: Scope, depth: u8) -> Option<Json> {
        if depth == 0 {
            item.problem(format!(
                "{} is nested too deeply; {MAX_DEPTH} levels are allowed",
                item.path()
            ));
            return None;
        }
        Some(match item.value() {
            DeValue::String(text) => {
                let template = self.template_of(item, text, scope)?;
                if template.has_filter() {
                    item.problem(format!(
                        "{} has the filter base64, which is for headers alone",
                        item.path()
                    ));
                }
                // An answer may have an empty text; a call leaves it out.
                if scope == Scope::Answer && template.placeholders().next().is_none() {
                    return Some(Json::Literal(Value::String(template.literals().collect())));
                }
                Json::Text(template)
            }
            DeValue::Array(_) => {
                let items = item.items().into_iter();
                Json::List(
                    items
                        .filter_map(|item| self.json(&item, scope, depth - 1))
                        .collect(),
                )
            }
            DeValue::Table(_) => {
                let members = item.table()?.entries().into_iter();
                let members = members
                    .filter_map(|(name, item)| Some((name, self.json(&item, scope, depth - 1)?)));
                Json::Object(members.collect())
            }
            _ => Json::Literal(literal(item)?),
        })
    }

    pub(super) fn places(&self, table: &Table<'t>) -> Places {
        let link = table.has("link");
        let pointers = self.pointers(table, "link");
        Places {
            link: link.then_some(pointers),
            base64: self.pointers(table, "base64"),
            bytes: table.flag("bytes").unwrap_or(false),
        }
    }

    pub(super) fn pointers(&self, table: &Table<'t>, key: &'static str) -> Vec<Pointer> {
        let items = table.item(key).map(|item| item.items()).unwrap_or_default();
        if let Some(item) = items.get(MAX_POINTERS) {
            item.problem(format!(
                "{} has more than {MAX_POINTERS} pointers; drop some",
                item.path()
            ));
        }
        items.iter().filter_map(pointer_of).collect()
    }

    /// A list of pairs of pointers.
    pub(super) fn pointer_pairs(&self, table: &Table<'t>, key: &'static str) -> Vec<NamePair> {
        let items = table.item(key).map(|item| item.items()).unwrap_or_default();
        if let Some(item) = items.get(MAX_POINTERS) {
            item.problem(format!(
                "{} has more than {MAX_POINTERS} pairs; drop some",
                item.path()
            ));
        }
        let pair = |item: &Item<'_>| {
            let pointers: Vec<_> = item.items().iter().filter_map(pointer_of).collect();
            let pair: Result<[Pointer; 2], _> = pointers.try_into();
            match pair {
                Ok([one, other]) => Some(NamePair(one, other)),
                Err(_) => {
                    let path = item.path();
                    item.problem(format!(
                        "{path} is a list of pairs; write [[\"/a\", \"/b\"]]"
                    ));
                    None
                }
            }
        };
        items.iter().filter_map(pair).collect()
    }

    pub(super) fn pointer(&self, table: &Table<'t>, key: &'static str) -> Option<Pointer> {
        pointer_of(&table.item(key)?)
    }
}

fn pointer_of(item: &Item<'_>) -> Option<Pointer> {
    match Pointer::parse(&item.text()?) {
        Ok(pointer) => Some(pointer),
        Err(remedy) => {
            item.problem(format!("{}: {remedy}", item.path()));
            None
        }
    }
}

/// A text, number or flag as JSON.
pub(super) fn literal(item: &Item<'_>) -> Option<Value> {
    match item.value() {
        DeValue::String(text) => Some(Value::String(text.to_string())),
        DeValue::Boolean(flag) => Some(Value::Bool(*flag)),
        DeValue::Integer(_) => match item.number() {
            Some(number) => Some(Value::from(number)),
            None => item.wrong("a whole number from 0"),
        },
        _ => item.wrong("a text, a whole number, true or false"),
    }
}
