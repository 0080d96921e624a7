//! Answers are read strictly: strangers' texts steer nothing, and an answer that is not understood says so.

use faceplate::upstream::{Account, Question, VendorAnswer, VendorFailure, VendorReply, shipped};
use proptest::{collection::btree_map, prelude::*, sample::select};
use serde_json::{Map, Value, json};

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
    let account = Account {
        name: "shop".into(),
        token: "t".into(),
        own: None,
        params: Default::default(),
    };
    let question = Question {
        subject: "628100000001@c.us".parse().unwrap(),
        refresh: false,
    };
    let reply = VendorReply {
        status: http::StatusCode::from_u16(status).unwrap(),
        headers: http::HeaderMap::new(),
        body: body.to_owned().into(),
    };
    let provider = shipped(provider).unwrap();
    provider.read_picture(&account, &question, &reply)
}

fn outcome(provider: &str, status: u16, body: &str) -> String {
    match read(provider, status, body) {
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
        (204, "", "unknown"),
        (203, r#"{"url":"LINK"}"#, LINK),
    ] {
        let body = body.replace("LINK", LINK);
        assert_eq!(outcome("waha", status, &body), expected, "{status} {body}");
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

proptest! {
    #[test]
    fn strangers_words_pause_no_instance_and_lose_no_picture(members in strangers_members()) {
        for (provider, place) in [("waha", "url"), ("wuzapi", "URL"), ("openwa", "url"), ("evolution", "profilePictureUrl")] {
            let mut with_link = members.clone();
            with_link.insert(place.to_owned(), LINK.into());
            prop_assert_eq!(outcome(provider, 200, &Value::Object(with_link).to_string()), LINK);
            let mut with_null = members.clone();
            with_null.insert(place.to_owned(), Value::Null);
            prop_assert_eq!(outcome(provider, 200, &Value::Object(with_null).to_string()), "unknown");
            for status in [400, 500] {
                let body = Value::Object(members.clone()).to_string();
                prop_assert_eq!(outcome(provider, status, &body), "vendor_error");
            }
        }
        for provider in ["waha", "wuzapi", "openwa", "gowa", "hypersender"] {
            let body = Value::Object(members.clone()).to_string();
            prop_assert_eq!(outcome(provider, 200, &body), "vendor_error");
        }
    }
}
