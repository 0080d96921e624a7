//! Answers are read strictly: strangers' texts steer nothing, and an answer that is not understood says so.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use faceplate::upstream::{
    Account, Description, Question, SHIPPED, VendorAnswer, VendorFailure, VendorReply, shipped,
};
use proptest::{collection::btree_map, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::support::samples::{Published, published, usual};

const LINK: &str = "https://pps.whatsapp.net/v/t61.24694-24/1_n.jpg?ccb=11-4&oe=7FFFFFFF";
const TRIGGERS: [&str; 8] = [
    "rate-overlimit",
    "DJ Rate Limit",
    "no session",
    "Non-Stopped Records",
    "not-authorized",
    "restricted",
    "item-not-found",
    "timed out",
];

fn read(provider: &str, status: u16, body: &str) -> Result<VendorAnswer, VendorFailure> {
    read_about(provider, "628100000001@c.us", status, body)
}

fn read_about(
    provider: &str,
    subject: &str,
    status: u16,
    body: &str,
) -> Result<VendorAnswer, VendorFailure> {
    let account = Account {
        name: "shop".into(),
        token: "t".into(),
        own: None,
        params: Default::default(),
    };
    let question = Question {
        subject: subject.parse().unwrap(),
        refresh: false,
    };
    let reply = VendorReply {
        status: http::StatusCode::from_u16(status).unwrap(),
        headers: http::HeaderMap::new(),
        body: body.to_owned().into(),
    };
    static LOADED: LazyLock<BTreeMap<&str, Arc<Description>>> = LazyLock::new(|| {
        let names = SHIPPED.into_iter().map(|(name, _)| name);
        names.map(|name| (name, shipped(name).unwrap())).collect()
    });
    let provider = &LOADED[provider];
    provider.read_picture(&account, &question, &reply)
}

fn outcome(provider: &str, status: u16, body: &str) -> String {
    name(read(provider, status, body))
}

/// The result in a word, or the link.
fn name(result: Result<VendorAnswer, VendorFailure>) -> String {
    match result {
        Ok(VendorAnswer::Bytes(bytes)) => format!("{} bytes", bytes.len()),
        Ok(VendorAnswer::Link(link)) => link,
        Ok(VendorAnswer::Empty(empty)) => empty.as_str().to_owned(),
        Err(failure) => failure.why.as_str().to_owned(),
    }
}

#[test]
fn answers_of_real_gateways_come_out_right() {
    for (status, body, expected) in [
        (200, "\u{feff}{\"url\":\"LINK\"}", LINK),
        (
            200,
            r#"{"url":"data:image/gif;base64,R0lGODlhAQABAAAAACw="}"#,
            "14 bytes",
        ),
        (200, r#"{"error":"","url":null}"#, "unknown"),
        (200, r#"{"code":"500","message":"x"}"#, "vendor_error"),
        (200, r#"{"ok":false,"message":"x"}"#, "vendor_error"),
        (200, r#"{"status":"error","message":"x"}"#, "vendor_error"),
        (200, r#"{"success":"false","message":"x"}"#, "vendor_error"),
        (
            200,
            r#"{"url":"https:\\/\\/pps.whatsapp.net\\/v\\/t61.24694-24\\/1_n.jpg?ccb=11-4&oe=7FFFFFFF"}"#,
            LINK,
        ),
        (
            200,
            r#"{"url":"https://crm.example/nopicture.png"}"#,
            "unknown",
        ),
        (
            200,
            r#"{"id":"1@c.us","picture":null,"name":"DJ Rate Limit"}"#,
            "unknown",
        ),
        (
            200,
            r#"{"id":"1@c.us","picture":null,"name":"Non-Stopped Records"}"#,
            "unknown",
        ),
        (
            200,
            r#"{"pictureUrl":"LINK","lastUpdated":"x"}"#,
            "vendor_error",
        ),
        (
            500,
            r#"{"exception":{"message":"bad-request"},"request":{"path":"/api/nonstopped-shop"}}"#,
            "vendor_error",
        ),
        (
            401,
            r#"{"exception":{"message":"not-authorized","data":401}}"#,
            "hidden",
        ),
        (
            401,
            r#"{"message":"Unauthorized","statusCode":401}"#,
            "auth",
        ),
        (
            500,
            r#"{"exception":{"message":"session error: no sessions"},"request":{"path":"/api/rate-limit-shop/chats"}}"#,
            "vendor_error",
        ),
        (
            200,
            r#"{"id":"1@c.us","picture":null,"name":"Restricted Area Tattoo"}"#,
            "unknown",
        ),
        (200, r#"{"url":null,"error":"   "}"#, "unknown"),
        (200, r#"{"url":null,"error":null}"#, "unknown"),
        (
            200,
            r#"{"url":"https://crm.example/files/silhouette.png?v=1"}"#,
            "unknown",
        ),
        (
            200,
            r#"{"url":"DATA:image/png;base64,iVBORw0KGgo"}"#,
            "8 bytes",
        ),
        (
            200,
            r#"{"avatar":"https://pps.whatsapp.net/v/1_n.jpg"}"#,
            "vendor_error",
        ),
        (204, "", "unknown"),
        (203, r#"{"url":"LINK"}"#, LINK),
    ] {
        let body = body.replace("LINK", LINK);
        assert_eq!(outcome("waha", status, &body), expected, "{status} {body}");
    }
}

#[test]
fn a_404_says_that_there_is_no_picture_only_where_the_gateway_says_so() {
    let of = |provider: &str, body: &str| {
        let subject = if provider == "wachat" {
            "me"
        } else {
            "628100000001@c.us"
        };
        name(read_about(provider, subject, 404, body))
    };
    let documented = ["wachat", "wawp", "waha", "wappfy", "whapi"];
    // Hypersender's 404 is about the contact.
    let others = SHIPPED.into_iter().map(|(name, _)| name);
    let others = others.filter(|name| !documented.contains(name) && *name != "hypersender");
    for body in ["", "{}", "no such thing"] {
        for provider in documented {
            assert_eq!(of(provider, body), "unknown", "{provider} {body:?}");
        }
        assert_eq!(of("hypersender", body), "not_found", "{body:?}");
        for provider in others.clone() {
            assert_eq!(of(provider, body), "vendor_error", "{provider} {body:?}");
        }
    }
    for provider in documented {
        // The web framework's own.
        let wrong_path = r#"{"statusCode":404,"message":"Cannot GET /api/x","error":"Not Found"}"#;
        for body in [wrong_path, "404 page not found", "<!doctype html><html>"] {
            assert_eq!(of(provider, body), "vendor_error", "{provider} {body}");
        }
        // WhatsApp's words say more.
        let words = r#"{"error":"item-not-found"}"#;
        assert_eq!(of(provider, words), "not_set", "{provider}");
    }
}

#[test]
fn an_answer_that_is_not_understood_names_its_members_and_no_values() {
    let failure = read(
        "waha",
        200,
        r#"{"pictureUrl":"https://secret.example","628100000001":{"n":1}}"#,
    );
    let failure = failure.unwrap_err();
    assert!(failure.is_misunderstood);
    assert!(
        failure.detail.contains("pictureUrl (text)"),
        "{}",
        failure.detail
    );
    assert!(!failure.detail.contains("secret") && !failure.detail.contains("628100000001"));
}

fn strangers_members() -> impl Strategy<Value = Map<String, Value>> {
    let names = select(vec![
        "name", "pushName", "about", "bio", "path", "stack", "title", "note",
    ]);
    let text = select(TRIGGERS.to_vec()).prop_map(Value::from);
    let value = prop_oneof![
        text.clone(),
        text.clone().prop_map(|text| json!([text])),
        text.prop_map(|text| json!({ "message": text.clone(), "error": text })),
    ];
    btree_map(names.prop_map(str::to_owned), value, 1..6)
        .prop_map(|members| members.into_iter().collect())
}

/// The samples whose replies are JSON.
fn in_json() -> impl Iterator<Item = (&'static Published, Value)> {
    let json =
        |sample: &'static Published| Some((sample, serde_json::from_str(&sample.reply).ok()?));
    published().iter().filter_map(json)
}

/// Adds the members to each object of a document that has any.
fn add_everywhere(json: &mut Value, added: &Map<String, Value>) {
    match json {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| add_everywhere(item, added)),
        Value::Object(members) if !members.is_empty() => {
            members
                .values_mut()
                .for_each(|value| add_everywhere(value, added));
            for (name, value) in added {
                members
                    .entry(name.as_str())
                    .or_insert_with(|| value.clone());
            }
        }
        _ => {}
    }
}

/// The members in which gateways themselves say how a call went.
const OWN_WORDS: [&str; 9] = [
    "error",
    "message",
    "reason",
    "exception",
    "code",
    "status",
    "success",
    "data",
    "result",
];

/// Puts `text` in the place of each text in a document that is neither a link nor the gateway's own word.
fn replace_everywhere(json: &mut Value, text: &str) {
    match json {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| replace_everywhere(item, text)),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(old) => {
                        let is_link = old.is_empty() || old.contains("://");
                        if !is_link && !OWN_WORDS.contains(&name.as_str()) {
                            *old = text.to_owned();
                        }
                    }
                    other => replace_everywhere(other, text),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn strangers_words_in_the_texts_of_a_published_answer_change_nothing() {
    let mut replaced = 0;
    for text in TRIGGERS {
        for (sample, json) in in_json() {
            let mut other = json.clone();
            replace_everywhere(&mut other, text);
            replaced += usize::from(other != json);
            let read = |body: &str| {
                let answer = read_about(sample.provider, &sample.subject, sample.status, body);
                name(answer)
            };
            assert_eq!(
                read(&other.to_string()),
                read(&sample.reply),
                "{} {} {other}",
                sample.provider,
                sample.status
            );
        }
    }
    assert!(replaced > 100, "{replaced}");
}

/// The gateway whose members are all optional: a profile without a picture may be any object.
const ALL_OPTIONAL: &str = "whapi";

#[test]
fn the_property_tests_cover_every_description_of_the_program() {
    for (provider, _) in SHIPPED {
        let own = in_json().filter(|(sample, _)| sample.provider == provider);
        let gives: Vec<_> = own.map(|(sample, _)| sample.gives.as_str()).collect();
        assert!(gives.len() >= 2, "{provider}");
        let has_link = gives.iter().any(|gives| gives.starts_with("link "));
        assert!(has_link || provider == "wachat", "{provider}");
    }
}

proptest! {
    #[test]
    fn strangers_words_change_no_published_answer_of_any_gateway(members in strangers_members()) {
        for (Published { provider, subject, status, reply, .. }, mut json) in in_json() {
            let plain = name(read_about(provider, subject, *status, reply));
            add_everywhere(&mut json, &members);
            let read = name(read_about(provider, subject, *status, &json.to_string()));
            prop_assert_eq!(read, plain, "{} {} {}", provider, status, json);
        }
    }

    #[test]
    fn strangers_words_alone_pause_no_instance_and_are_never_an_answer(members in strangers_members()) {
        let body = Value::Object(members).to_string();
        for (provider, _) in SHIPPED {
            for status in [200, 201, 400, 500, 502] {
                let read = name(read_about(provider, usual(provider), status, &body));
                let expected = match status {
                    200 if provider == ALL_OPTIONAL => "unknown",
                    _ => "vendor_error",
                };
                prop_assert_eq!(read, expected, "{} {} {}", provider, status, &body);
            }
        }
    }
    #[test]
    fn strangers_words_add_nothing_to_what_a_status_says(members in strangers_members()) {
        let body = Value::Object(members).to_string();
        let plain = TRIGGERS.iter().fold(body.clone(), |text, word| text.replace(word, "x"));
        for (provider, _) in SHIPPED {
            for status in [401, 403, 404, 422] {
                let of = |body: &str| name(read_about(provider, usual(provider), status, body));
                prop_assert_eq!(of(&body), of(&plain), "{} {} {}", provider, status, &body);
            }
        }
    }
}
