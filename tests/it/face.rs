//! `faceplate face`: the record of one face, the headers that a request for it gets, and the reason.

use serde_json::Value;

use crate::support::{Answer, program::errors, scene::Scene};
use faceplate::emulator::{Fault, Rule};

const HENDRA: &str = "628100000001@c.us";
const HIDDEN: &str = "628100000101@c.us";
const LIMITED: &str = "628100000005@c.us";
const UNKNOWN: &str = "628100000009@c.us";

async fn get(scene: &Scene, jid: &str) -> Answer {
    scene.get(&format!("/avatar/waha/{jid}")).await
}

/// The exit code and the output of `faceplate face`, during which the vendor must not be called.
fn face(scene: &Scene, args: &[&str]) -> (Option<i32>, String) {
    let calls = scene.emulator.control().calls().api;
    let output = scene.command(&[&["face"], args].concat()).output().unwrap();
    assert_eq!(scene.emulator.control().calls().api, calls);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said + &errors(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn face_shows_the_record_the_headers_and_the_reason_of_each_kind_of_face() {
    let scene = Scene::set().await;
    let limited = Fault::Status {
        status: 429,
        retry_after: None,
    };
    let rule = Rule::api(limited).jid(LIMITED);
    scene.emulator.control().inject(rule).unwrap();
    for jid in [HENDRA, HIDDEN, LIMITED] {
        get(&scene, jid).await;
    }
    for (jid, parts) in [
        (
            HENDRA,
            vec![
                "picture    image/jpeg, ",
                ", fresh",
                "last call  picture, ",
                "cache-status: faceplate; hit; ttl=",
                "x-faceplate-source: picture",
                "The picture is younger than cache.ttl",
            ],
        ),
        (
            HIDDEN,
            vec![
                "picture    none",
                "x-faceplate-source: fallback",
                "There is no picture: the last call ended with ",
            ],
        ),
        (
            UNKNOWN,
            vec![
                "No answer of the vendor is cached",
                "The instance is paused until ",
                "(rate_limited)",
            ],
        ),
    ] {
        let (code, said) = face(&scene, &["waha", jid]);
        assert_eq!(code, Some(0), "{said}");
        for part in parts {
            assert!(said.contains(part), "no {part:?} for {jid} in:\n{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_headers_that_face_shows_are_those_that_a_request_gets() {
    let scene = Scene::set().await;
    for jid in [HENDRA, HIDDEN] {
        get(&scene, jid).await;
        let (_, said) = face(&scene, &["waha", jid, "--json"]);
        let record: Value = serde_json::from_str(&said).unwrap();
        let response = &record["face"]["response"];
        let answer = get(&scene, jid).await;
        assert_eq!(response["status"], answer.status.as_u16());
        for name in [
            "content-type",
            "etag",
            "x-faceplate-source",
            "x-faceplate-reason",
            "vary",
        ] {
            let shown = response["headers"][name].as_str().unwrap_or_default();
            assert_eq!(shown, answer.header(name), "{name} of {jid}");
        }
        // The seconds in these may have gone on.
        for name in ["cache-control", "cache-status"] {
            let without_numbers = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
            let shown = response["headers"][name].as_str().unwrap_or_default();
            let sent = answer.header(name);
            assert_eq!(
                without_numbers(shown),
                without_numbers(sent),
                "{name} of {jid}"
            );
        }
        assert_eq!(record["face"]["plan"], "serve");
        assert_eq!(record["instance"]["instance"], "waha");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn face_explains_unsupported_requests() {
    let scene = Scene::set().await;
    for (args, says) in [
        (["waha", "Bob"], "this is not a JID"),
        (["nobody", HENDRA], "no instance"),
    ] {
        let (code, said) = face(&scene, &args);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(says), "{said}");
        assert!(!said.contains("Bob"), "{said}");
    }
    let output = scene.program.run(&["face", "waha", HENDRA]);
    assert!(!output.status.success());
    assert!(
        errors(&output).contains("does not answer"),
        "{}",
        errors(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_warning_about_a_failed_call_names_its_request_its_status_and_the_key_of_the_face() {
    let mut scene = Scene::set().await;
    let broken = Fault::Status {
        status: 502,
        retry_after: None,
    };
    let rule = Rule::api(broken).jid(HENDRA);
    scene.emulator.control().inject(rule).unwrap();
    let answer = get(&scene, HENDRA).await;
    let (code, record) = face(&scene, &["waha", HENDRA, "--json"]);
    assert_eq!(code, Some(0), "{record}");
    let record: Value = serde_json::from_str(&record).unwrap();
    let key = record["face"]["key"].as_str().unwrap();
    let log = scene.server().wait_for("no usable answer");
    let mut lines = log.lines();
    let line = lines
        .find(|line| line.contains("no usable answer"))
        .unwrap();
    let request = answer.header("x-request-id").to_owned();
    let overview = scene.admin("GET", "/v1/overview").await;
    let overview: Value = serde_json::from_slice(&overview.body).unwrap();
    let warnings = overview["warnings"].as_array().unwrap();
    let is_shown = warnings.iter().any(|warning| {
        let text = warning["text"].as_str().unwrap();
        text.contains("no usable answer") && text.contains(&format!("request={request}"))
    });
    assert!(is_shown, "{overview}");
    for part in [
        &format!("request={request}"),
        &format!("key={key}"),
        "instance=waha",
        "outcome=\"vendor_error\"",
        "status=502",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}
