//! Interprets the JSON of any gateway. Each wraps WhatsApp's answer in JSON of its own, and all descend
//! from a few projects, so the keys of links, the envelopes and the words of errors recur.
//!
//! A reply with status 200 is read in this order, and the first that applies decides:
//!
//! 1. An empty body is an answer without a picture, for an unknown reason. Invalid JSON is a failure.
//! 2. A link, by [`LINK_KEYS`] and [`ENVELOPES`].
//! 3. A request that was queued: a failure.
//! 4. An error: known [`WORDS`] decide, else it is a failure.
//! 5. Known words without an error, such as the reason for a null.
//! 6. Anything else is an answer without a picture, for an unknown reason.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{
    avatar::{Empty, Trouble},
    upstream::provider::{Chat, ChatList, VendorAnswer, VendorFailure, VendorReply},
};

/// The keys of a link, newest projects first. If several keys of an object have a link, the first in
/// this order wins; an object's own keys win over its envelopes.
const LINK_KEYS: [&str; 11] = [
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

/// The keys of an object that wraps the answer. The first in this order that has a link wins.
const ENVELOPES: [&str; 5] = ["data", "response", "results", "result", "Data"];
/// The number of envelopes inside of each other that are opened.
const MAX_ENVELOPES: u8 = 3;

/// Words in a reply, and their meaning. **The order is the specification**: a reply may contain several
/// of them, and the first in this table decides, wherever in the reply it stands.
///
/// 1. Rate limits. Taken for anything else, they would let us go on calling, which endangers the account.
/// 2. WhatsApp's own words for a missing picture. They are precise, and gateways repeat them inside of
///    error messages that also mention a session or a time-out.
/// 3. The session. These words are common ones ("stopped"), so they come after the precise ones.
/// 4. Time-outs: a mere try-again, if nothing else is known.
const WORDS: [(&str, Meaning); 16] = [
    ("rate-overlimit", Meaning::RateLimited),
    ("rate limit", Meaning::RateLimited),
    ("too many requests", Meaning::RateLimited),
    ("not-authorized", Meaning::Empty(Empty::Hidden)),
    ("restricted", Meaning::Empty(Empty::Hidden)),
    (
        "hidden their profile picture",
        Meaning::Empty(Empty::Hidden),
    ),
    ("item-not-found", Meaning::Empty(Empty::NotSet)),
    (
        "does not have a profile picture",
        Meaning::Empty(Empty::NotSet),
    ),
    ("not on whatsapp", Meaning::Empty(Empty::NotFound)),
    ("session status is not as expected", Meaning::SessionDown),
    ("instance account not authorized", Meaning::SessionDown),
    ("scan_qr_code", Meaning::SessionDown),
    ("stopped", Meaning::SessionDown),
    ("no session", Meaning::SessionDown),
    ("timeout limit exceeded", Meaning::TimedOut),
    ("timed out", Meaning::TimedOut),
];
/// Strings are searched for words down to this depth, and up to this length in bytes.
const MAX_DEPTH: u8 = 4;
const MAX_TEXT: usize = 512;

#[derive(Clone, Copy)]
enum Meaning {
    Empty(Empty),
    RateLimited,
    SessionDown,
    TimedOut,
}

/// All but the unreserved characters of RFC 3986.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Percent-encodes a path segment or a query value.
pub(super) fn encode(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, COMPONENT)
}

/// A header with a credential.
pub(super) fn secret_header(name: HeaderName, value: &str) -> Vec<(HeaderName, HeaderValue)> {
    // The configuration refuses tokens that are no header value. Without one, the vendor answers 401.
    HeaderValue::from_str(value)
        .map(|mut value| {
            value.set_sensitive(true);
            vec![(name, value)]
        })
        .unwrap_or_default()
}

/// Reads a reply with status 200, of any gateway.
pub(super) fn read_json(reply: &VendorReply) -> Result<VendorAnswer, VendorFailure> {
    let body = reply.body.trim_ascii();
    if body.is_empty() {
        return Ok(VendorAnswer::Empty(Empty::Unknown));
    }
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return Err(VendorFailure::new(
            Trouble::VendorError,
            "the vendor's reply is not valid JSON",
        ));
    };
    if let Some(link) = find_link(&json, MAX_ENVELOPES) {
        return Ok(VendorAnswer::Link(link.to_owned()));
    }
    if json.get("queued") == Some(&Value::Bool(true)) {
        return Err(VendorFailure::new(
            Trouble::VendorError,
            "the vendor queued the request instead of answering it",
        ));
    }
    if is_error(&json) {
        return find_words(&json).unwrap_or_else(|| {
            Err(VendorFailure::new(
                Trouble::VendorError,
                "the vendor reported an error inside a 200",
            ))
        });
    }
    find_words(&json).unwrap_or(Ok(VendorAnswer::Empty(Empty::Unknown)))
}

/// Reads a list of chats: an array, or an object with the index as key. A row without a valid JID, such
/// as `status@broadcast`, has no face. A null picture means the same as in a reply about that face.
pub(super) fn read_chat_list(reply: &VendorReply) -> Result<ChatList, VendorFailure> {
    if !reply.status.is_success() {
        return Err(read_status(reply));
    }
    let rows = match serde_json::from_slice(&reply.body) {
        Ok(Value::Array(rows)) => rows,
        Ok(Value::Object(rows)) if rows.keys().all(|key| key.parse::<usize>().is_ok()) => {
            // By index; the map is sorted by the index as text.
            let mut rows: Vec<_> = rows.into_iter().collect();
            rows.sort_by_key(|(index, _)| index.parse::<usize>().unwrap_or(usize::MAX));
            rows.into_iter().map(|(_, row)| row).collect()
        }
        Ok(json) => {
            return match find_words(&json) {
                Some(Err(failure)) => Err(failure),
                _ => Err(VendorFailure::new(
                    Trouble::VendorError,
                    "the vendor's list of chats is not a list",
                )),
            };
        }
        Err(_) => {
            return Err(VendorFailure::new(
                Trouble::VendorError,
                "the vendor's list of chats is not valid JSON",
            ));
        }
    };
    Ok(ChatList {
        rows: rows.len(),
        chats: rows.iter().filter_map(chat).collect(),
        cursor: None,
    })
}

fn chat(row: &Value) -> Option<Chat> {
    let face = match row.get("picture") {
        Some(Value::String(link)) if !link.is_empty() => Some(VendorAnswer::Link(link.clone())),
        Some(_) => Some(VendorAnswer::Empty(Empty::Unknown)),
        None => None,
    };
    Some(Chat {
        jid: row.get("id")?.as_str()?.parse().ok()?,
        face,
    })
}

/// Reads an error by its [`WORDS`]; `None` if it has none of them.
pub(super) fn read_words(reply: &VendorReply) -> Option<Result<VendorAnswer, VendorFailure>> {
    find_words(&serde_json::from_slice(&reply.body).ok()?)
}

/// The failure for a reply that says 429, with the pause it asks for.
pub(super) fn rate_limit_failure(reply: &VendorReply) -> VendorFailure {
    VendorFailure {
        why: Trouble::RateLimited,
        retry_after: retry_after(&reply.headers).or_else(|| retry_after_in(&reply.body)),
        detail: "the vendor rate-limits this account (429)".into(),
        is_misunderstood: false,
    }
}

/// Reads a status that means the same with every vendor. A provider looks for its own ones first.
pub(super) fn read_status(reply: &VendorReply) -> VendorFailure {
    match reply.status {
        StatusCode::TOO_MANY_REQUESTS => rate_limit_failure(reply),
        StatusCode::UNAUTHORIZED => {
            VendorFailure::new(Trouble::Auth, "the vendor refused our credential (401)")
        }
        StatusCode::FORBIDDEN => {
            VendorFailure::new(Trouble::Auth, "the vendor refused our credential (403)")
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            VendorFailure::new(Trouble::SessionDown, "the vendor's session is not working")
        }
        StatusCode::BAD_REQUEST => VendorFailure::new(
            Trouble::VendorError,
            "the vendor did not understand the request (400)",
        ),
        StatusCode::BAD_GATEWAY => VendorFailure::new(
            Trouble::VendorError,
            "the vendor could not reach its own upstream (502)",
        ),
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => VendorFailure::new(
            Trouble::VendorError,
            "the vendor timed out on its own upstream",
        ),
        status if status.is_redirection() => VendorFailure::new(
            Trouble::VendorError,
            "the vendor's API redirects; check base_url",
        ),
        status if status.is_server_error() => {
            VendorFailure::new(Trouble::VendorError, "the vendor failed (5xx)")
        }
        _ => VendorFailure::new(
            Trouble::VendorError,
            "the vendor answered with an unexpected status",
        ),
    }
}

fn find_link(json: &Value, envelopes: u8) -> Option<&str> {
    let json = match json {
        Value::Array(rows) => rows.first()?,
        json => json,
    };
    LINK_KEYS
        .iter()
        .filter_map(|key| json.get(key)?.as_str())
        .find(|text| text.contains("://"))
        .or_else(|| {
            let inner = ENVELOPES.iter().filter_map(|key| json.get(key));
            (envelopes > 0)
                .then(|| {
                    inner
                        .filter_map(|inner| find_link(inner, envelopes - 1))
                        .next()
                })
                .flatten()
        })
}

/// Whether the body of a 200 is an error.
fn is_error(json: &Value) -> bool {
    json.get("success") == Some(&Value::Bool(false))
        || json
            .get("error")
            .is_some_and(|error| !error.is_null() && error != false)
        || json.get("exception").is_some()
        || ["code", "status", "statusCode"]
            .iter()
            .filter_map(|key| json.get(key)?.as_u64())
            .any(|code| code >= 400)
}

/// The words of WhatsApp and of the gateway projects in a reply, if it has any.
///
/// They occur in different fields at different depths, so every string is searched. Long strings are
/// left out: a picture's link may contain anything.
fn find_words(json: &Value) -> Option<Result<VendorAnswer, VendorFailure>> {
    let texts = strings(json, MAX_DEPTH);
    let (_, meaning) = WORDS
        .into_iter()
        .find(|(word, _)| texts.iter().any(|text| text.contains(word)))?;
    Some(match meaning {
        Meaning::Empty(empty) => Ok(VendorAnswer::Empty(empty)),
        Meaning::RateLimited => Err(VendorFailure {
            why: Trouble::RateLimited,
            retry_after: retry_after_value(json),
            detail: "the vendor reports rate-overlimit inside its answer".into(),
            is_misunderstood: false,
        }),
        Meaning::SessionDown => Err(VendorFailure::new(
            Trouble::SessionDown,
            "the vendor's session is not working",
        )),
        Meaning::TimedOut => Err(VendorFailure::new(
            Trouble::VendorError,
            "the vendor timed out on its own upstream",
        )),
    })
}

/// Every string in lower case, down to `depth` levels.
fn strings(json: &Value, depth: u8) -> Vec<String> {
    match json {
        Value::String(text) if text.len() <= MAX_TEXT => vec![text.to_ascii_lowercase()],
        Value::Array(items) if depth > 0 => items
            .iter()
            .flat_map(|item| strings(item, depth - 1))
            .collect(),
        Value::Object(fields) if depth > 0 => fields
            .values()
            .flat_map(|item| strings(item, depth - 1))
            .collect(),
        _ => Vec::new(),
    }
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date, which counts from the reply's own `Date`, because
/// the vendor's clock may differ from ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let wanted = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(wanted).ok()?;
    let date = httpdate::parse_http_date(text(header::DATE)?).ok()?;
    Some(at.duration_since(date).unwrap_or_default())
}

fn retry_after_in(body: &[u8]) -> Option<Duration> {
    retry_after_value(&serde_json::from_slice(body).ok()?)
}

fn retry_after_value(json: &Value) -> Option<Duration> {
    ["retry_after", "retryAfter"]
        .iter()
        .find_map(|key| json.get(key)?.as_u64())
        .map(Duration::from_secs)
}

#[cfg(test)]
pub(super) fn reply(status: u16, body: impl Into<bytes::Bytes>) -> VendorReply {
    VendorReply {
        status: StatusCode::from_u16(status).expect("a valid status"),
        headers: HeaderMap::new(),
        body: body.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str) -> Result<VendorAnswer, Trouble> {
        read_json(&reply(200, body)).map_err(|failure| failure.why)
    }

    #[test]
    fn every_known_link_key_and_envelope_is_understood() {
        for body in [
            r#"{"url":"https://pps.whatsapp.net/a.jpg"}"#,
            r#"{"profilePictureURL":"https://pps.whatsapp.net/a.jpg"}"#,
            r#"{"wuid":"1@s.whatsapp.net","profilePictureUrl":"https://pps.whatsapp.net/a.jpg"}"#,
            r#"{"success":true,"message":"ok","data":{"url":"https://pps.whatsapp.net/a.jpg"}}"#,
            r#"{"code":200,"data":{"URL":"https://pps.whatsapp.net/a.jpg"},"success":true}"#,
            r#"{"code":"SUCCESS","results":{"url":"https://pps.whatsapp.net/a.jpg","id":"1"}}"#,
            r#"{"status":"success","response":{"eurl":"https://pps.whatsapp.net/a.jpg"}}"#,
            r#"{"urlAvatar":"https://pps.whatsapp.net/a.jpg"}"#,
            r#"[{"link":"https://pps.whatsapp.net/a.jpg"}]"#,
            r#"{"id":"1@c.us","picture":"https://pps.whatsapp.net/a.jpg","name":"x"}"#,
        ] {
            assert_eq!(
                read(body),
                Ok(VendorAnswer::Link("https://pps.whatsapp.net/a.jpg".into())),
                "{body}"
            );
        }
    }

    #[test]
    fn a_reply_without_a_link_is_empty_for_an_unknown_reason() {
        for body in [
            "",
            "null",
            "{}",
            r#"{"url":null}"#,
            r#"{"url":""}"#,
            r#"{"data":{"url":null}}"#,
            r#"{"success":true,"message":"Operation completed successfully"}"#,
            "[]",
        ] {
            assert_eq!(
                read(body),
                Ok(VendorAnswer::Empty(Empty::Unknown)),
                "{body}"
            );
        }
    }

    #[test]
    fn an_error_inside_a_200_is_a_failure_and_not_an_empty_answer() {
        for (body, why) in [
            (
                r#"{"error":"rate-overlimit","code":429}"#,
                Trouble::RateLimited,
            ),
            (
                r#"{"success":false,"message":"boom"}"#,
                Trouble::VendorError,
            ),
            (
                r#"{"statusCode":500,"exception":{"message":"x"}}"#,
                Trouble::VendorError,
            ),
            (
                r#"{"reason":"get avatar timeout limit exceeded"}"#,
                Trouble::VendorError,
            ),
            (r#"{"queued":true}"#, Trouble::VendorError),
            ("<html>", Trouble::VendorError),
            (r#"{"url":"https://pps"#, Trouble::VendorError),
        ] {
            assert_eq!(read(body), Err(why), "{body}");
        }
    }

    #[test]
    fn whatsapp_s_words_distinguish_hidden_from_not_set() {
        let hidden = r#"{"statusCode":500,"exception":{"message":"not-authorized","data":401}}"#;
        let unset =
            r#"{"error":"that user or group does not have a profile picture","success":false}"#;
        assert_eq!(read(hidden), Ok(VendorAnswer::Empty(Empty::Hidden)));
        assert_eq!(read(unset), Ok(VendorAnswer::Empty(Empty::NotSet)));
    }

    #[test]
    fn of_several_known_words_the_first_of_the_table_decides() {
        for (body, expected) in [
            (
                r#"{"a":"Session status is not as expected","b":"rate-overlimit"}"#,
                Err(Trouble::RateLimited),
            ),
            (
                r#"{"a":"request timed out","b":"item-not-found","c":"STOPPED"}"#,
                Ok(VendorAnswer::Empty(Empty::NotSet)),
            ),
            (
                r#"{"a":"timed out","b":"STOPPED"}"#,
                Err(Trouble::SessionDown),
            ),
        ] {
            assert_eq!(read(body), expected, "{body}");
        }
    }

    #[test]
    fn a_date_in_retry_after_counts_from_the_date_of_the_reply() {
        let mut limited = reply(429, "");
        let headers = &mut limited.headers;
        let date = |text| http::HeaderValue::from_static(text);
        headers.insert(header::RETRY_AFTER, date("Fri, 27 Nov 2026 08:01:30 GMT"));
        assert_eq!(rate_limit_failure(&limited).retry_after, None);
        for (sent, wait) in [
            ("Fri, 27 Nov 2026 08:00:00 GMT", 90),
            ("Fri, 27 Nov 2026 09:00:00 GMT", 0),
        ] {
            limited.headers.insert(header::DATE, date(sent));
            let wait = Some(Duration::from_secs(wait));
            assert_eq!(rate_limit_failure(&limited).retry_after, wait);
        }
    }

    #[test]
    fn retry_after_is_read_from_the_header_or_the_body() {
        let mut limited = reply(429, r#"{"retry_after":30}"#);
        assert_eq!(
            rate_limit_failure(&limited).retry_after,
            Some(Duration::from_secs(30))
        );
        limited
            .headers
            .insert("retry-after", HeaderValue::from_static("7"));
        assert_eq!(
            rate_limit_failure(&limited).retry_after,
            Some(Duration::from_secs(7))
        );
    }
}
