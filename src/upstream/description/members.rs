//! The members of a JSON document by name and type, never by value: an answer holds names, numbers and links.

use std::fmt::Write as _;

use serde_json::Value;

/// Members that are named at each level.
const MOST: usize = 12;
/// Levels.
const DEPTH: u8 = 3;
/// The length of the text, about.
const LONGEST: usize = 1000;

/// The members of `json`, as `id (text), data {url (null)}`.
pub(super) fn list(json: &Value) -> String {
    let mut text = String::new();
    append(json, DEPTH, &mut text);
    text
}

/// The type of a value.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(text) if text.is_empty() => "empty text",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn append(json: &Value, depth: u8, text: &mut String) {
    match json {
        Value::Object(members) if depth > 0 => {
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                if index == MOST || text.len() > LONGEST {
                    text.push('…');
                    break;
                }
                text.push_str(safe_name(name));
                match value {
                    Value::Object(inside) if !inside.is_empty() && depth > 1 => {
                        text.push_str(" {");
                        append(value, depth - 1, text);
                        text.push('}');
                    }
                    value => {
                        let _ = write!(text, " ({})", kind(value));
                    }
                }
            }
        }
        Value::Array(items) => {
            text.push_str("a list of ");
            match items.first() {
                Some(first @ Value::Object(_)) if depth > 1 => {
                    text.push('{');
                    append(first, depth - 1, text);
                    text.push('}');
                }
                Some(first) => text.push_str(kind(first)),
                None => text.push_str("nothing"),
            }
        }
        other => {
            let _ = write!(text, "({})", kind(other));
        }
    }
}

/// A name, if it is one: some gateways use phone numbers as names of members.
fn safe_name(name: &str) -> &str {
    let is_name = (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$'))
        && name.bytes().filter(u8::is_ascii_digit).count() < 5;
    if is_name { name } else { "*" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_members_is_short_however_many_there_are() {
        let name = |index: usize| format!("{}{}", "m".repeat(38), (b'a' + index as u8) as char);
        let inside = |value: Value| {
            let members = (0..20).map(|index| (name(index), value.clone()));
            Value::Object(members.collect())
        };
        let listed = list(&inside(inside(inside(Value::Null))));
        assert!(listed.len() < 1200, "{}", listed.len());
        assert!(listed.ends_with("…"), "{listed}");
    }

    #[test]
    fn a_list_of_members_has_names_and_types_and_no_values() {
        let json = r#"{"id":"628123@c.us","data":{"imgUrl":"https://x","n":1},"ok":true,"628100000001":null,"rows":[{"jid":"1"}]}"#;
        assert_eq!(
            list(&serde_json::from_str(json).unwrap()),
            "* (null), data {imgUrl (text), n (number)}, id (text), ok (flag), rows (list)"
        );
        let rows = r#"[{"jid":"1"},{"jid":"2"}]"#;
        assert_eq!(
            list(&serde_json::from_str(rows).unwrap()),
            "a list of {jid (text)}"
        );
    }
}
