//! The head of a request that a program sends to a gateway.

use std::borrow::Cow;

use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

/// The head of a request, decoded.
pub struct CallHead<'r> {
    pub(super) method: &'r Method,
    pub(super) segments: Vec<Cow<'r, str>>,
    query: Vec<(Cow<'r, str>, Cow<'r, str>)>,
    pub(super) headers: &'r HeaderMap,
}

// === impl CallHead ===

impl<'r> CallHead<'r> {
    /// Decodes a head. `None` if its path is not UTF-8.
    pub fn new(method: &'r Method, uri: &'r Uri, headers: &'r HeaderMap) -> Option<Self> {
        let segments = uri.path().split('/').skip(1);
        let segments = segments.map(|segment| percent_decode_str(segment).decode_utf8().ok());
        let query = uri.query().unwrap_or_default();
        Some(Self {
            method,
            segments: segments.collect::<Option<_>>()?,
            query: form_urlencoded::parse(query.as_bytes()).collect(),
            headers,
        })
    }

    pub(super) fn is_method(&self, method: &Method) -> bool {
        self.method == method || self.method == Method::HEAD && method == Method::GET
    }

    /// Whether a part of the path, or a value of the query, is this text.
    pub fn names(&self, text: &str) -> bool {
        let in_query = self.query.iter().map(|(_, value)| value);
        self.segments
            .iter()
            .chain(in_query)
            .any(|part| part == text)
    }

    /// Whether a part of the path leads to another folder, decoded or not.
    pub fn has_dots(&self) -> bool {
        let mut parts = self
            .segments
            .iter()
            .flat_map(|segment| segment.split(['/', '\\']));
        parts.any(|part| matches!(part, "." | ".."))
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.iter();
        let (_, value) = pairs.find(|(known, _)| known == name)?;
        Some(value)
    }
}
