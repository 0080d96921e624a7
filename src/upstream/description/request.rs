//! The request of a call: method, path, query, headers and JSON, all of templates.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::{Map, Value};

use super::template::{Placeholder, Template, UnfillablePath, Values, encode};
use crate::upstream::provider::VendorCall;

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: Template,
    pub(super) query: Vec<(String, Template)>,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) json: Option<Json>,
}

/// A JSON document of templates.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Text(Template),
    Literal(Value),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

// === impl Request ===

impl Request {
    /// The call. The query and the headers of every call come first.
    pub(super) fn fill(
        &self,
        query: &[(String, Template)],
        headers: &[(HeaderName, Template)],
        values: &Values<'_>,
    ) -> Result<VendorCall, UnfillablePath> {
        let mut target = self.path.fill_path(values)?;
        let mut separator = '?';
        for (name, template) in query.iter().chain(&self.query) {
            if let Some(value) = template.fill_query(values) {
                target.push(separator);
                target.extend(encode(name));
                target.push('=');
                target.push_str(&value);
                separator = '&';
            }
        }
        let is_replaced = |name: &HeaderName| self.headers.iter().any(|(own, _)| own == name);
        let common = headers.iter().filter(|(name, _)| !is_replaced(name));
        let mut filled: Vec<_> = common
            .chain(&self.headers)
            .filter_map(|(name, template)| Some((name.clone(), template.fill_header(values)?)))
            .collect();
        let mut body = Bytes::new();
        if let Some(json) = self.json.as_ref().and_then(|json| json.fill(values)) {
            body = json.to_string().into();
            let json = HeaderValue::from_static("application/json");
            filled.push((header::CONTENT_TYPE, json));
        }
        Ok(VendorCall {
            method: self.method.clone(),
            target,
            headers: filled,
            body,
        })
    }

    /// The method and the path with its query, without values.
    pub(super) fn redacted(&self, query: &[(String, Template)]) -> String {
        let mut text = format!("{} {}", self.method, self.path);
        for (index, (name, template)) in query.iter().chain(&self.query).enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            text.push_str(&format!("{separator}{name}={template}"));
        }
        text
    }

    /// Whether a placeholder is part of the request.
    pub(super) fn has(&self, wanted: &Placeholder) -> bool {
        let in_query = self.query.iter().map(|(_, template)| template);
        let in_headers = self.headers.iter().map(|(_, template)| template);
        let mut templates = in_query.chain(in_headers).chain([&self.path]);
        templates.any(|template| template.placeholders().any(|of| of == wanted))
            || self.json.as_ref().is_some_and(|json| json.has(wanted))
    }
}

// === impl Json ===

impl Json {
    /// The document. A member or item whose text is empty is left out.
    pub(super) fn fill(&self, values: &Values<'_>) -> Option<Value> {
        Some(match self {
            Json::Text(template) => return template.fill_json(values),
            Json::Literal(value) => value.clone(),
            Json::List(items) => items.iter().filter_map(|item| item.fill(values)).collect(),
            Json::Object(members) => {
                let members = members.iter();
                let filled =
                    members.filter_map(|(name, json)| Some((name.clone(), json.fill(values)?)));
                Value::Object(filled.collect::<Map<_, _>>())
            }
        })
    }

    pub(super) fn has(&self, wanted: &Placeholder) -> bool {
        match self {
            Json::Text(template) => template.placeholders().any(|of| of == wanted),
            Json::Literal(_) => false,
            Json::List(items) => items.iter().any(|item| item.has(wanted)),
            Json::Object(members) => members.iter().any(|(_, json)| json.has(wanted)),
        }
    }
}
