//! What the gateways have in common: they all wrap WhatsApp's own answer in a JSON of their own,
//! and they all descend from a few projects, so link keys, envelopes and error words recur.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{
    avatar::{Empty, Trouble},
    upstream::{Chat, Chats, Failure, Found, Reply},
};

/// Under which a link has been seen, newest projects first.
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

/// In which it has been seen wrapped.
const ENVELOPES: [&str; 5] = ["data", "response", "results", "result", "Data"];

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

/// A header that carries a credential.
pub(super) fn secret(name: HeaderName, value: &str) -> Vec<(HeaderName, HeaderValue)> {
    // Configuration refuses tokens that no header can carry; without one, the vendor says 401.
    HeaderValue::from_str(value)
        .map(|mut value| {
            value.set_sensitive(true);
            vec![(name, value)]
        })
        .unwrap_or_default()
}

/// Reads a reply with status 200 in any of the family's shapes.
pub(super) fn read_json(reply: &Reply) -> Result<Found, Failure> {
    let body = reply.body.trim_ascii();
    if body.is_empty() {
        return Ok(Found::Nothing(Empty::Unknown));
    }
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        return Err(Failure::new(
            Trouble::VendorError,
            "the vendor's reply is not valid JSON",
        ));
    };
    if let Some(link) = link(&json, 3) {
        return Ok(Found::Link(link.to_owned()));
    }
    if json.get("queued") == Some(&Value::Bool(true)) {
        return Err(Failure::new(
            Trouble::VendorError,
            "the vendor queued the request instead of answering it",
        ));
    }
    if is_wrong(&json) {
        return meaning(&json).unwrap_or_else(|| {
            Err(Failure::new(
                Trouble::VendorError,
                "the vendor reported an error inside a 200",
            ))
        });
    }
    // A null that says why it is null.
    meaning(&json).unwrap_or(Ok(Found::Nothing(Empty::Unknown)))
}

/// Reads a list of chats: an array, or an object with the index as key. A chat whose JID is none, such
/// as `status@broadcast`, has no face. An explicit null is the answer that a call of its own would get.
pub(super) fn read_chats(reply: &Reply) -> Result<Chats, Failure> {
    if !reply.status.is_success() {
        return Err(read_status(reply));
    }
    let rows = match serde_json::from_slice(&reply.body) {
        Ok(Value::Array(rows)) => rows,
        Ok(Value::Object(rows)) if rows.keys().all(|key| key.parse::<usize>().is_ok()) => {
            // In the order of their indices: a map has another.
            let mut rows: Vec<_> = rows.into_iter().collect();
            rows.sort_by_key(|(index, _)| index.parse::<usize>().unwrap_or(usize::MAX));
            rows.into_iter().map(|(_, row)| row).collect()
        }
        Ok(json) => {
            return match meaning(&json) {
                Some(Err(failure)) => Err(failure),
                _ => Err(Failure::new(
                    Trouble::VendorError,
                    "the vendor's list of chats is none",
                )),
            };
        }
        Err(_) => {
            return Err(Failure::new(
                Trouble::VendorError,
                "the vendor's list of chats is not valid JSON",
            ));
        }
    };
    Ok(Chats {
        rows: rows.len(),
        chats: rows.iter().filter_map(chat).collect(),
    })
}

fn chat(row: &Value) -> Option<Chat> {
    let face = match row.get("picture") {
        Some(Value::String(link)) if !link.is_empty() => Some(Found::Link(link.clone())),
        Some(_) => Some(Found::Nothing(Empty::Unknown)),
        None => None,
    };
    Some(Chat {
        jid: row.get("id")?.as_str()?.parse().ok()?,
        face,
    })
}

/// What an error's words mean, where they are WhatsApp's own or a project's known ones.
pub(super) fn read_words(reply: &Reply) -> Option<Result<Found, Failure>> {
    meaning(&serde_json::from_slice(&reply.body).ok()?)
}

/// A refusal for calling too often.
pub(super) fn rate_limited(reply: &Reply) -> Failure {
    Failure {
        why: Trouble::RateLimited,
        retry_after: retry_after(&reply.headers).or_else(|| retry_after_in(&reply.body)),
        detail: "the vendor limits our rate",
    }
}

/// The statuses that mean the same with every vendor; each provider first looks at its own.
pub(super) fn read_status(reply: &Reply) -> Failure {
    match reply.status {
        StatusCode::TOO_MANY_REQUESTS => rate_limited(reply),
        StatusCode::UNAUTHORIZED => {
            Failure::new(Trouble::Auth, "the vendor refused our credential (401)")
        }
        StatusCode::FORBIDDEN => {
            Failure::new(Trouble::Auth, "the vendor refused our credential (403)")
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            Failure::new(Trouble::SessionDown, "the vendor's session is not working")
        }
        StatusCode::BAD_REQUEST => Failure::new(
            Trouble::VendorError,
            "the vendor did not understand the request (400)",
        ),
        StatusCode::BAD_GATEWAY => Failure::new(
            Trouble::VendorError,
            "the vendor could not reach its own upstream (502)",
        ),
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Failure::new(
            Trouble::VendorError,
            "the vendor timed out on its own upstream",
        ),
        status if status.is_redirection() => Failure::new(
            Trouble::VendorError,
            "the vendor's API redirects; check base_url",
        ),
        status if status.is_server_error() => {
            Failure::new(Trouble::VendorError, "the vendor failed (5xx)")
        }
        _ => Failure::new(Trouble::VendorError, "the vendor's status makes no sense"),
    }
}

fn link(json: &Value, depth: u8) -> Option<&str> {
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
            (depth > 0)
                .then(|| inner.filter_map(|inner| link(inner, depth - 1)).next())
                .flatten()
        })
}

/// Whether a 200 says that it is none.
fn is_wrong(json: &Value) -> bool {
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

/// Looks for the words that WhatsApp and the projects use. They stand in different fields of
/// different depth, so every string counts, but short ones only: a picture's link is no verdict.
fn meaning(json: &Value) -> Option<Result<Found, Failure>> {
    const WORDS: [(&str, Meaning); 16] = [
        ("rate-overlimit", Meaning::Limited),
        ("rate limit", Meaning::Limited),
        ("too many requests", Meaning::Limited),
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
    let words = strings(json, 4);
    let (_, meaning) = WORDS
        .into_iter()
        .find(|(word, _)| words.iter().any(|text| text.contains(word)))?;
    Some(match meaning {
        Meaning::Empty(empty) => Ok(Found::Nothing(empty)),
        Meaning::Limited => Err(Failure {
            why: Trouble::RateLimited,
            retry_after: retry_after_value(json),
            detail: "the vendor reports rate-overlimit inside its answer",
        }),
        Meaning::SessionDown => Err(Failure::new(
            Trouble::SessionDown,
            "the vendor's session is not working",
        )),
        Meaning::TimedOut => Err(Failure::new(
            Trouble::VendorError,
            "the vendor timed out on its own upstream",
        )),
    })
}

#[derive(Clone, Copy)]
enum Meaning {
    Empty(Empty),
    Limited,
    SessionDown,
    TimedOut,
}

fn strings(json: &Value, depth: u8) -> Vec<String> {
    const LONGEST: usize = 512;
    match json {
        Value::String(text) if text.len() <= LONGEST => vec![text.to_ascii_lowercase()],
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

/// `Retry-After` in seconds. Its date form would need our clock to agree with theirs; gateways
/// send seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
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
pub(super) fn reply(status: u16, body: impl Into<bytes::Bytes>) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).expect("a valid status"),
        headers: HeaderMap::new(),
        body: body.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str) -> Result<Found, Trouble> {
        read_json(&reply(200, body)).map_err(|failure| failure.why)
    }

    #[test]
    fn every_link_key_and_envelope_of_the_family_is_understood() {
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
                Ok(Found::Link("https://pps.whatsapp.net/a.jpg".into())),
                "{body}"
            );
        }
    }

    #[test]
    fn no_link_is_no_proof_of_no_picture() {
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
            assert_eq!(read(body), Ok(Found::Nothing(Empty::Unknown)), "{body}");
        }
    }

    #[test]
    fn an_error_inside_a_200_is_trouble_and_not_an_empty_answer() {
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
    fn whatsapp_s_own_words_tell_hidden_from_not_set() {
        let hidden = r#"{"statusCode":500,"exception":{"message":"not-authorized","data":401}}"#;
        let unset =
            r#"{"error":"that user or group does not have a profile picture","success":false}"#;
        assert_eq!(read(hidden), Ok(Found::Nothing(Empty::Hidden)));
        assert_eq!(read(unset), Ok(Found::Nothing(Empty::NotSet)));
    }

    #[test]
    fn retry_after_is_read_from_the_header_or_the_body() {
        let mut limited = reply(429, r#"{"retry_after":30}"#);
        assert_eq!(
            rate_limited(&limited).retry_after,
            Some(Duration::from_secs(30))
        );
        limited
            .headers
            .insert("retry-after", HeaderValue::from_static("7"));
        assert_eq!(
            rate_limited(&limited).retry_after,
            Some(Duration::from_secs(7))
        );
    }
}
