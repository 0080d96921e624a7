//! Pictures that a program pushes, and instances without a gateway.

use std::time::Duration;

use bytes::Bytes;
use faceplate::{
    config,
    emulator::{Fault, Picture, Rule},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time,
};

use crate::{
    support::{
        Answer, LIMIT,
        rig::{Rig, Settings},
    },
    wire::picture,
};

const FACE: &str = "628100000001@c.us";
const JPEG: (&str, &str) = ("content-type", "image/jpeg");
const JSON: (&str, &str) = ("content-type", "application/json");

/// The instance `waha` has no gateway; the others have theirs.
fn settings() -> Settings {
    Settings::default().only("waha", "provider = \"push\"")
}

async fn put(rig: &Rig, instance: &str, media: (&str, &str), body: &[u8]) -> Answer {
    let path = format!("/v1/avatars/{instance}/{FACE}");
    Answer::send(&rig.admin(), "PUT", &path, &[media], body).await
}

async fn put_link(rig: &Rig, instance: &str, link: Value) -> Answer {
    put(
        rig,
        instance,
        JSON,
        json!({ "link": link }).to_string().as_bytes(),
    )
    .await
}

/// A fresh link to the face's picture, and no traffic so far.
async fn link(rig: &Rig) -> String {
    let api = rig.emulator.api().to_string();
    let path = format!("/api/shop/chats/{FACE}/picture?refresh=true");
    let token = rig.vendors().token().to_owned();
    let answer = Answer::to(&api, "GET", &path, &[("x-api-key", &token)]).await;
    let link: Value = serde_json::from_slice(&answer.body).unwrap();
    rig.traffic();
    link["url"].as_str().unwrap().to_owned()
}

#[track_caller]
fn outcome(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record: Value = serde_json::from_slice(&answer.body).unwrap();
    record["last"]["outcome"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_picture_that_is_pushed_is_the_face_and_no_vendor_is_called() {
    let mut rig = settings().start().await;
    let nothing_yet = rig.face("waha", FACE).await;
    nothing_yet.assert_fallback("unknown");
    assert_eq!(
        outcome(&put(&rig, "waha", JPEG, &picture()).await),
        "picture"
    );
    let face = rig.face("waha", FACE).await;
    face.assert_picture(&picture());
    assert!(face.cache_status().starts_with("faceplate; hit"));
    // It stays, also when a gateway would have been asked again.
    rig.restart().await;
    rig.hours(24 * 30);
    rig.face("waha", FACE).await.assert_picture(&picture());
    let refresh = format!("/avatar/waha/{FACE}?refresh=true");
    rig.get(&refresh).await.assert_picture(&picture());
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn faces_that_nobody_pushed_get_a_placeholder_and_cause_no_call() {
    let rig = settings().start().await;
    for jid in [FACE, "123-456@g.us", "81896604192873@lid", "me"] {
        let face = rig.face("waha", jid).await;
        face.assert_fallback("unknown");
        // A push may come at any moment.
        assert!(
            face.header("cache-control").contains("max-age=0"),
            "{}",
            face.header("cache-control")
        );
        rig.get(&format!("/avatar/waha/{jid}?refresh=true"))
            .await
            .assert_fallback("unknown");
    }
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    assert!(
        metrics
            .text()
            .contains("faceplate_wanted_faces{instance=\"waha\"} 0")
    );
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_link_that_is_pushed_is_downloaded_through_the_guards() {
    let rig = settings().start().await;
    let link = link(&rig).await;
    assert_eq!(
        outcome(&put_link(&rig, "waha", json!(link)).await),
        "picture"
    );
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.traffic(), (0, 1));
    let expired = format!("http://{}/v/a.jpg?oe=00000001", rig.cdn());
    let gone = format!("http://{}/v/never.jpg", rig.cdn());
    for (bad, word) in [
        ("http://127.0.0.3:1/a.jpg", "blocked"),
        ("http://169.254.169.254/latest", "blocked"),
        ("file:///etc/passwd", "http(s) URL"),
        ("changed", "http(s) URL"),
        (&expired, "expired"),
        (&gone, "gone"),
    ] {
        let answer = put_link(&rig, "waha", json!(bad)).await;
        assert_eq!(answer.status, 422, "{bad}");
        assert!(answer.text().contains(word), "{}", answer.text());
    }
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
}

#[tokio::test]
async fn what_is_no_picture_is_refused_and_the_picture_stays() {
    let rig = settings()
        .section("upstream", "max_picture = \"64KiB\"")
        .start()
        .await;
    put(&rig, "waha", JPEG, &picture()).await;
    let truncated = picture().slice(..picture().len() / 2);
    let large = Bytes::from(vec![0; 65 * 1024]);
    for (media, body, status, word) in [
        ("image/jpeg", Bytes::from("<html>"), 422, "push-refused"),
        (
            "image/svg+xml",
            Bytes::from("<svg xmlns='http://www.w3.org/2000/svg'/>"),
            422,
            "push-refused",
        ),
        ("image/jpeg", truncated, 422, "push-refused"),
        ("image/jpeg", Bytes::new(), 422, "push-refused"),
        ("image/jpeg", large, 413, "65536 bytes"),
        ("text/html", picture(), 415, "image/jpeg"),
        ("", picture(), 415, "image/jpeg"),
        ("application/json", Bytes::from("no JSON"), 400, "link"),
        ("application/json", Bytes::from("{}"), 400, "link"),
        ("application/json", Bytes::from("{\"link\":7}"), 400, "link"),
        (
            "application/json",
            Bytes::from("{\"link\":null,\"more\":1}"),
            400,
            "link",
        ),
        (
            "application/json",
            Bytes::from(vec![b' '; 8193]),
            413,
            "8192 bytes",
        ),
    ] {
        let answer = put(&rig, "waha", ("content-type", media), &body).await;
        assert_eq!(answer.status, status, "{media}: {}", answer.text());
        assert!(answer.text().contains(word), "{}", answer.text());
    }
    rig.face("waha", FACE).await.assert_picture(&picture());
    assert_eq!(put(&rig, "nobody", JPEG, &picture()).await.status, 404);
}

#[tokio::test]
async fn null_says_that_a_contact_has_no_picture() {
    let rig = settings().start().await;
    assert_eq!(
        outcome(&put_link(&rig, "waha", Value::Null).await),
        "not_set"
    );
    rig.face("waha", FACE).await.assert_fallback("not_set");
    // As with a gateway, one such answer takes no picture away.
    put(&rig, "waha", JPEG, &picture()).await;
    put_link(&rig, "waha", Value::Null).await;
    rig.face("waha", FACE).await.assert_picture(&picture());
}

#[tokio::test]
async fn a_push_to_an_instance_with_a_gateway_replaces_its_picture_without_a_call() {
    let rig = settings().start().await;
    rig.vendors().set_picture(FACE, Picture::Face(1)).unwrap();
    rig.face("wappfy", FACE).await;
    rig.inject(Rule::api(Fault::Status {
        status: 429,
        retry_after: Some(600),
    }));
    rig.face("wappfy", "628100000002")
        .await
        .assert_fallback("rate_limited");
    rig.traffic();
    assert_eq!(
        outcome(&put(&rig, "wappfy", JPEG, &picture()).await),
        "picture"
    );
    rig.face("wappfy", FACE).await.assert_picture(&picture());
    // The pause goes on: the gateway has said nothing.
    rig.face("wappfy", "628100000003")
        .await
        .assert_fallback("rate_limited");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_forgotten_face_takes_no_push() {
    let rig = settings().start().await;
    put(&rig, "waha", JPEG, &picture()).await;
    let path = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&rig.admin(), "DELETE", &path, &[]).await;
    let link = link(&rig).await;
    for answer in [
        put(&rig, "waha", JPEG, &picture()).await,
        put_link(&rig, "waha", json!(link)).await,
    ] {
        assert_eq!(answer.status, 409);
        assert!(answer.text().contains("forget_for"), "{}", answer.text());
    }
    rig.face("waha", FACE).await.assert_fallback("hidden");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_push_needs_the_admin_token_and_comes_from_no_page_of_another_site() {
    let rig = settings()
        .section("admin", "listen = \"127.0.0.1:0\"\ntoken = \"env:BEARER\"")
        .start()
        .await;
    let path = format!("/v1/avatars/waha/{FACE}");
    let bearer = ("authorization", "Bearer a bearer token for tests");
    for (headers, status) in [
        (vec![JPEG], 401),
        (vec![JPEG, bearer, ("sec-fetch-site", "cross-site")], 403),
        (vec![JPEG, bearer], 200),
    ] {
        let answer = Answer::send(&rig.admin(), "PUT", &path, &headers, &picture()).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}

#[test]
fn an_instance_without_a_gateway_needs_neither_account_nor_token_nor_url() {
    let text = "[access]\nmode = \"open\"\n[instances.crm]\nprovider = \"push\"\n[instances.shop]\nprovider = \"push\"";
    let config = config::from_text("the test", text, [("", ""); 0].into_iter()).unwrap();
    assert_eq!(config.reloadable.instances.len(), 2);
    let gateway = text.replace("push", "waha");
    let problems = config::from_text("the test", &gateway, [("", ""); 0].into_iter()).unwrap_err();
    for key in ["account", "token", "base_url"] {
        assert!(problems.to_string().contains(key), "{problems}");
    }
}

#[tokio::test]
async fn a_program_that_sends_its_picture_byte_by_byte_is_not_waited_for() {
    let rig = Settings::default()
        .section("hooks", "timeout = \"1s\"")
        .start()
        .await;
    let head = format!(
        "PUT /v1/avatars/waha/{FACE} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: image/jpeg\r\ncontent-length: 100000\r\n\r\n"
    );
    let stream = TcpStream::connect(rig.admin()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let trickle = tokio::spawn(async move {
        // Until the connection is closed.
        while writer.write_all(b"x").await.is_ok() {
            time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    // The server may reset the connection, since it has not read everything.
    let _ = time::timeout(LIMIT, reader.read_to_end(&mut answer))
        .await
        .expect("the connection is closed");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("hooks.timeout"), "{answer}");
    time::timeout(LIMIT, trickle).await.unwrap().unwrap();
}
