//! The words of WhatsApp and of the libraries behind the gateways. They come through every gateway, inside of its
//! own error messages.
//!
//! Other texts of an answer belong to strangers: a contact may call himself "rate-overlimit". So words count only
//! in the members of errors, and only if they are a whole part of the message: `failed to get avatar:
//! info query returned status 429: rate-overlimit` has three parts.

use serde_json::Value;

use super::pointer::is_blank;
use crate::avatar::{Empty, Trouble};

/// The meaning of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Empty(Empty),
    Trouble(Trouble, &'static str),
}

/// Words in lower case, and their meaning. The order is the specification: an answer may have several of them, and
/// the first of this table decides. Rate limits are first, because to go on calling would endanger the account.
const WORDS: [(&str, Meaning); 13] = [
    ("rate-overlimit", LIMITED),
    ("too many requests", LIMITED),
    ("not-authorized", Meaning::Empty(Empty::Hidden)),
    ("forbidden for this contact", Meaning::Empty(Empty::Hidden)),
    (
        "the user has hidden their profile picture from you",
        Meaning::Empty(Empty::Hidden),
    ),
    ("item-not-found", Meaning::Empty(Empty::NotSet)),
    (
        "that user or group does not have a profile picture",
        Meaning::Empty(Empty::NotSet),
    ),
    ("session status is not as expected", SESSION),
    ("no session", SESSION),
    ("timed out", TIMED_OUT),
    ("info query timed out", TIMED_OUT),
    (
        "websocket disconnected before info query returned response",
        SESSION,
    ),
    ("the store doesn't contain a device jid", SESSION),
];

const LIMITED: Meaning = Meaning::Trouble(
    Trouble::RateLimited,
    "WhatsApp rate-limits this account, as the vendor reports in its answer",
);
const SESSION: Meaning =
    Meaning::Trouble(Trouble::SessionDown, "the vendor's session is not working");
const TIMED_OUT: Meaning = Meaning::Trouble(
    Trouble::VendorError,
    "the vendor timed out on its own upstream",
);

/// The members of errors. Only these, and members of the same names inside of them, are searched for words.
const ERRORS: [&str; 4] = ["error", "message", "reason", "exception"];
/// Longer texts are no messages.
const MAX_TEXT: usize = 512;
/// Errors inside of errors.
const MAX_DEPTH: u8 = 3;

/// The meaning of the words in a document's error members.
pub(super) fn find_in_errors(json: &Value) -> Option<Meaning> {
    find(&messages(json, MAX_DEPTH))
}

/// The meaning of the words in a text.
pub(super) fn find_in_text(text: &str) -> Option<Meaning> {
    find(&[text])
}

fn find(messages: &[&str]) -> Option<Meaning> {
    let parts: Vec<String> = messages
        .iter()
        .filter(|text| text.len() <= MAX_TEXT)
        .flat_map(|text| parts(text))
        .collect();
    let known = WORDS.iter();
    let mut known = known.filter(|(word, _)| parts.iter().any(|part| part == word));
    known.next().map(|(_, meaning)| *meaning)
}

/// The parts of a message, in lower case: between colons and at the ends of sentences.
fn parts(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(": ")
        .flat_map(|part| part.split(". "))
        .map(|part| {
            part.trim()
                .trim_end_matches(['.', '!'])
                .to_ascii_lowercase()
        })
}

/// The texts of a document's error members.
pub(super) fn messages(json: &Value, depth: u8) -> Vec<&str> {
    let Some(members) = json.as_object().filter(|_| depth > 0) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for value in ERRORS.iter().filter_map(|name| members.get(*name)) {
        match value {
            Value::String(text) => found.push(text.as_str()),
            Value::Array(items) => found.extend(items.iter().filter_map(Value::as_str)),
            inside => found.extend(messages(inside, depth - 1)),
        }
    }
    found
}

/// Whether a document says that it is an error. An empty error is none.
pub(super) fn is_error(json: &Value) -> bool {
    let member = |name: &str| json.get(name);
    let is_no = |name| match member(name) {
        Some(Value::Bool(flag)) => !flag,
        Some(Value::String(text)) => text == "false",
        _ => false,
    };
    let has_error = |name| match member(name) {
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(value) => !is_blank(value),
        None => false,
    };
    let is_error_code = |name| {
        let code = match member(name) {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        code.is_some_and(|code: u64| (400..600).contains(&code))
    };
    let status = member("status").and_then(Value::as_str);
    ["success", "ok"].into_iter().any(is_no)
        || ["error", "exception"].into_iter().any(has_error)
        || ["code", "status", "statusCode"]
            .into_iter()
            .any(is_error_code)
        || status.is_some_and(|status| ["error", "fail", "failed"].contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(message: &str) -> Option<&'static str> {
        find_in_text(message).map(|meaning| match meaning {
            Meaning::Empty(empty) => empty.as_str(),
            Meaning::Trouble(trouble, _) => trouble.as_str(),
        })
    }

    #[test]
    fn a_word_counts_as_a_whole_part_of_a_message() {
        for (message, expected) in [
            (
                "failed to get avatar: info query returned status 429: rate-overlimit",
                Some("rate_limited"),
            ),
            (
                "Failed to get avatar: the user has hidden their profile picture from you",
                Some("hidden"),
            ),
            (
                "Session status is not as expected. Try again later or restart the session",
                Some("session_down"),
            ),
            ("Timed Out", Some("vendor_error")),
            ("No session", Some("session_down")),
            ("SessionError: No sessions", None),
            ("Contact rate-overlimit has no picture", None),
            ("DJ Rate Limit", None),
            ("Non-Stopped Records", None),
        ] {
            assert_eq!(outcome(message), expected, "{message}");
        }
    }

    #[test]
    fn of_several_words_the_first_of_the_table_decides() {
        let message = "timed out: item-not-found: rate-overlimit";
        assert_eq!(outcome(message), Some("rate_limited"));
    }

    #[test]
    fn only_error_members_are_searched_for_words() {
        let strangers = r#"{
            "name": "rate-overlimit", "status": "no session", "request": { "message": "rate-overlimit" },
            "data": { "error": "rate-overlimit" }, "stack": "rate-overlimit", "message": null
        }"#;
        assert_eq!(
            find_in_errors(&serde_json::from_str(strangers).unwrap()),
            None
        );
        for error in [
            r#"{"error":"rate-overlimit"}"#,
            r#"{"message":["x","rate-overlimit"]}"#,
            r#"{"exception":{"message":"rate-overlimit"}}"#,
            r#"{"error":{"code":429,"message":"rate-overlimit"}}"#,
        ] {
            assert!(find_in_errors(&serde_json::from_str(error).unwrap()).is_some());
        }
    }

    #[test]
    fn an_error_is_recognized_in_every_spelling_and_an_empty_one_is_none() {
        for body in [
            r#"{"success":false}"#,
            r#"{"success":"false","message":"x"}"#,
            r#"{"ok":false}"#,
            r#"{"error":"x"}"#,
            r#"{"error":{"code":1}}"#,
            r#"{"exception":{"message":"x"}}"#,
            r#"{"code":"500"}"#,
            r#"{"statusCode":404}"#,
            r#"{"status":"error"}"#,
        ] {
            assert!(is_error(&serde_json::from_str(body).unwrap()), "{body}");
        }
        for body in [
            r#"{"error":"","url":null}"#,
            r#"{"error":null,"exception":{}}"#,
            r#"{"error":false,"code":0}"#,
            r#"{"code":"SUCCESS","status":"success"}"#,
            r#"{"code":200,"success":true}"#,
            r#"[]"#,
        ] {
            assert!(!is_error(&serde_json::from_str(body).unwrap()), "{body}");
        }
    }
}
