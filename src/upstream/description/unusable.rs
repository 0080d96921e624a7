//! Members where the picture should be, and whose value is none: base64 that cannot be decoded, a link without a host.

use serde_json::Value;

use super::{
    members,
    pointer::{Content, Pointer, is_blank},
    reading::Places,
};

/// The first such member and the fault in it, in words. Its value is never part of them.
pub(super) fn describe(places: &Places, json: &Value) -> Option<String> {
    let value = |place: &Pointer| match place.content(json) {
        Content::Value(value) => Some(value.clone()),
        Content::Blank | Content::Missing => None,
    };
    let mut base64 = places.base64.iter();
    if let Some((place, value)) = base64.find_map(|place| Some((place, value(place)?))) {
        return Some(match value {
            Value::String(_) => {
                format!("the member '{place}' is a text that is not base64, or is damaged")
            }
            other => wrong_type(&place.to_string(), &other, "the picture in base64"),
        });
    }
    if let Some(links) = &places.link {
        let mut links = links.iter();
        let (place, value) = links.find_map(|place| Some((place, value(place)?)))?;
        return Some(describe_link(&place.to_string(), &value));
    }
    let (name, value) = places.family_member(json)?;
    Some(describe_link(name, value))
}

fn describe_link(place: &str, value: &Value) -> String {
    let Value::String(text) = value else {
        return wrong_type(place, value, "a link");
    };
    let text = text.trim();
    let is_data = text
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("data:"));
    if is_data {
        return format!("the member '{place}' is a data: URL that is not base64, or is damaged");
    }
    if text.starts_with('/') {
        return format!(
            "the member '{place}' is a link without a host; a link has to begin with https://"
        );
    }
    format!("the member '{place}' is a text that is neither a link with https:// nor a picture")
}

fn wrong_type(place: &str, value: &Value, wanted: &str) -> String {
    let kind = members::kind(value);
    format!("the member '{place}' has the type {kind}, not text with {wanted}")
}

/// Whether a value says something that is not the picture.
pub(super) fn is_value(value: &Value) -> bool {
    !is_blank(value) && !value.is_object() && !value.is_array()
}
