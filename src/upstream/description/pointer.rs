//! JSON Pointers (RFC 6901), and the values that stand for "none".

use std::fmt;

use serde_json::Value;

/// A place in a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    /// The names on the way, unescaped.
    names: Vec<String>,
}

/// The content of a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content<'j> {
    /// A value that says something.
    Value(&'j Value),
    /// The place, or one on the way to it, says that there is nothing.
    Blank,
    /// There is no such place.
    Missing,
}

// === impl Pointer ===

impl Pointer {
    /// Parses `text`. The error is the remedy.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(names) = text.strip_prefix('/') else {
            return Err(format!(
                "'{text}' is no JSON Pointer; it begins with /, as \"/{}\"",
                text.replace('.', "/")
            ));
        };
        let unescape = |name: &str| name.replace("~1", "/").replace("~0", "~");
        Ok(Self {
            names: names.split('/').map(unescape).collect(),
            text: text.to_owned(),
        })
    }

    /// The value in this place, whatever it is.
    pub(super) fn find<'j>(&self, json: &'j Value) -> Option<&'j Value> {
        self.names.iter().try_fold(json, step)
    }

    /// The same, to change it.
    pub(super) fn find_mut<'j>(&self, json: &'j mut Value) -> Option<&'j mut Value> {
        self.names.iter().try_fold(json, |value, name| match value {
            Value::Object(members) => members.get_mut(name),
            Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// What this place says.
    pub(super) fn content<'j>(&self, json: &'j Value) -> Content<'j> {
        let mut value = json;
        for name in &self.names {
            match step(value, name) {
                Some(next) => value = next,
                None if is_blank(value) => return Content::Blank,
                None => return Content::Missing,
            }
        }
        if is_blank(value) {
            Content::Blank
        } else {
            Content::Value(value)
        }
    }

    /// The text or number in this place, as text.
    pub(super) fn text(&self, json: &Value) -> Option<String> {
        match self.find(json)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The longest part of the way that exists, and its value.
    pub(super) fn reached<'j>(&self, json: &'j Value) -> (String, &'j Value) {
        let (mut path, mut value) = (String::new(), json);
        for name in &self.names {
            match step(value, name) {
                Some(next) => {
                    path = format!("{path}/{name}");
                    value = next;
                }
                None => break,
            }
        }
        (path, value)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn step<'j>(value: &'j Value, name: &String) -> Option<&'j Value> {
    match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Whether a value says that there is nothing. Some gateways write the word of their language as text.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => {
            let text = text.trim();
            text.is_empty() || ["null", "undefined", "none", "false"].contains(&text)
        }
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(_) | Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    #[test]
    fn a_place_has_a_value_or_says_none_or_is_missing() {
        let json =
            json!({ "data": { "url": "x", "no": null }, "rows": [{ "a/b": 1 }], "gone": null });
        for (text, expected) in [
            ("/data/url", Content::Value(&json["data"]["url"])),
            ("/rows/0/a~1b", Content::Value(&json["rows"][0]["a/b"])),
            ("/data/no", Content::Blank),
            ("/gone/url", Content::Blank),
            ("/data/other", Content::Missing),
            ("/data/url/x", Content::Missing),
            ("/rows/1", Content::Missing),
        ] {
            assert_eq!(pointer(text).content(&json), expected, "{text}");
        }
    }

    #[test]
    fn a_pointer_begins_with_a_slash() {
        let error = Pointer::parse("profilePictureUrl").unwrap_err();
        assert_eq!(
            error,
            "'profilePictureUrl' is no JSON Pointer; it begins with /, as \"/profilePictureUrl\""
        );
    }
}
