//! Access to faces: signatures, expiry, grants and bearer tokens.

use crate::support::{Answer, Rig, raw, rig::Settings};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use faceplate::emulator::OWN_JID;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub const KEY: &str = "a signing key for tests";
const FACE: &str = "628100000001@c.us";
/// A year after the start of the rig's clock.
pub const LATER: u64 = 1_826_700_000;

/// The signature as the contract describes it, computed without the library's code.
pub fn signature(key: &str, instance: &str, jid: &str, exp: u64, grant: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("avatar\n{instance}\n{jid}\n{exp}\n{grant}").as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

fn signed(jid: &str, exp: u64) -> String {
    format!(
        "/avatar/waha/{jid}?exp={exp}&sig={}",
        signature(KEY, "waha", jid, exp, "")
    )
}

async fn rig() -> Rig {
    Settings::default()
        .section(
            "access",
            "mode = \"signed\"\nsigning_keys = [\"env:OTHER_KEY\", \"env:SIGNING_KEY\"]\nbearer_tokens = [\"env:BEARER\"]",
        )
        .start()
        .await
}

#[track_caller]
fn assert_refused(answer: &Answer, remedy: &str) {
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert!(answer.text().contains(remedy), "{}", answer.text());
    for secret in [KEY, "628100000001"] {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_page_of_another_site_sees_no_open_face_of_this_machine() {
    let elsewhere = [
        vec![
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ],
        vec![
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "cors"),
            ("origin", "https://evil.example"),
        ],
        vec![
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
            ("referer", "https://evil.example/"),
        ],
        vec![
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ],
        // Older browsers send no sec-fetch-site.
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("referer", "https://evil.example/")],
        vec![
            ("origin", "https://evil.example"),
            ("referer", "http://localhost:3000/"),
        ],
    ];
    let here = [
        vec![],
        vec![("origin", "http://localhost:3000")],
        vec![("referer", "http://127.0.0.1:3000/")],
        vec![
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "no-cors"),
        ],
        vec![
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
            ("referer", "http://localhost:3000/"),
        ],
        vec![
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ],
    ];
    let path = format!("/avatar/waha/{FACE}");
    let open =
        |more: &str| Settings::default().section("access", &format!("mode = \"open\"\n{more}"));
    let rig = open("").start().await;
    for headers in &elsewhere {
        let answer = rig.ask("GET", &path, headers).await;
        assert_refused(&answer, "access.allow_public = true");
    }
    assert_eq!(rig.traffic(), (0, 0));
    for headers in &here {
        let answer = rig.ask("GET", &path, headers).await;
        assert_eq!(answer.status, 200, "{headers:?}");
    }
    let public = open("allow_public = true").start().await;
    // A name of another site may resolve to this address.
    for (server, host, status) in [
        (&rig, "evil.example", 403),
        (&rig, "localhost", 200),
        (&public, "evil.example", 200),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let response = raw(&server.address(), &request).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{host}"
        );
    }
    for headers in &elsewhere {
        let answer = public.ask("GET", &path, headers).await;
        assert_eq!(answer.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn a_signature_by_any_configured_key_is_accepted() {
    let rig = rig().await;
    rig.get(&signed(FACE, LATER))
        .await
        .assert_picture(&rig.bytes(FACE));
    let other = signature("another signing key", "waha", FACE, LATER, "");
    let path = format!("/avatar/waha/{FACE}?exp={LATER}&sig={other}");
    rig.get(&path).await.assert_picture(&rig.bytes(FACE));
    // The signature and the expiry are not part of the cache key.
    rig.get(&signed(FACE, LATER + 1)).await;
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn the_canonical_jid_is_signed_however_the_url_spells_it() {
    let rig = rig().await;
    let sig = signature(KEY, "waha", FACE, LATER, "");
    for spelling in [
        "628100000001",
        "+628100000001",
        "628100000001%40s.whatsapp.net",
        "628100000001@c.us/",
        "628100000001.jpg/",
    ] {
        let path = format!("/avatar/waha/{spelling}?s=640&name=X&exp={LATER}&sig={sig}");
        rig.get(&path).await.assert_picture(&rig.bytes(FACE));
    }
}

#[tokio::test]
async fn an_unsigned_url_is_refused_without_a_call() {
    let rig = rig().await;
    assert_refused(&rig.face("waha", FACE).await, "faceplate sign");
    assert_refused(&rig.get(&format!("/avatar/waha/{FACE}?sig=x")).await, "exp");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_signature_is_over_the_jid_without_an_extension() {
    let rig = rig().await;
    let path = signed(FACE, LATER).replace('?', ".jpg?");
    let answer = rig.get(&path).await;
    assert_eq!((answer.status.as_u16(), answer.source()), (200, "picture"));
}

#[tokio::test]
async fn an_expired_url_is_refused() {
    let rig = rig().await;
    let path = signed(FACE, LATER);
    rig.get(&path).await.assert_picture(&rig.bytes(FACE));
    rig.hours(366 * 24);
    assert_refused(&rig.get(&path).await, "expired");
}

#[tokio::test]
async fn a_change_of_any_signed_byte_is_refused() {
    let rig = rig().await;
    let good = signed(FACE, LATER);
    let (path, query) = good.split_once('?').unwrap();
    let sig = signature(KEY, "waha", FACE, LATER, "");
    for tampered in [
        good.replace("waha", "wappfy"),
        good.replace("628100000001", "628100000002"),
        good.replace(&LATER.to_string(), &(LATER + 1).to_string()),
        format!("{good}&grant=refresh"),
        format!("{good}&scope=instance"),
        format!("{path}?exp={LATER}&sig={}", sig.to_lowercase()),
        format!("{path}?exp={LATER}&sig="),
        format!("{path}?exp=&{query}"),
    ] {
        assert_eq!(rig.get(&tampered).await.status, 403, "{tampered}");
    }
    for at in 0..sig.len() {
        let mut bytes = sig.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let path = format!("{path}?exp={LATER}&sig={changed}");
        assert_eq!(rig.get(&path).await.status, 403, "byte {at}");
    }
}

#[tokio::test]
async fn a_signature_of_an_instance_is_valid_for_all_its_faces_and_no_other() {
    let rig = rig().await;
    let query = format!(
        "exp={LATER}&scope=instance&sig={}",
        signature(KEY, "waha", "*", LATER, "")
    );
    for jid in [FACE, "628100000002", "me"] {
        assert_eq!(
            rig.get(&format!("/avatar/waha/{jid}?{query}")).await.status,
            200
        );
    }
    assert_eq!(
        rig.get(&format!("/avatar/wawp/{FACE}?{query}"))
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn the_own_picture_is_signed_as_me() {
    let rig = rig().await;
    let sig = signature(KEY, "waha", "me", LATER, "");
    let query = format!("exp={LATER}&sig={sig}");
    let own = rig.get(&format!("/avatar/waha/me?{query}")).await;
    own.assert_picture(&rig.bytes(OWN_JID));
    assert_refused(
        &rig.get(&format!("/avatar/waha/{FACE}?{query}")).await,
        "does not match",
    );
}

#[tokio::test]
async fn a_signed_url_expires_to_the_second() {
    let rig = rig().await;
    let now = rig.clock.now().as_secs();
    let path = signed(FACE, now + 60);
    rig.seconds(59);
    assert_eq!(rig.get(&path).await.status, 200);
    rig.seconds(1);
    assert_refused(&rig.get(&path).await, "expired");
}

#[tokio::test]
async fn an_unauthorized_client_cannot_tell_whether_an_instance_exists() {
    let rig = rig().await;
    let known = rig.get("/avatar/waha/628100000001").await;
    let unknown = rig.get("/avatar/nope/628100000001").await;
    assert_refused(&unknown, "faceplate sign");
    assert_eq!(known.body, unknown.body);
}

#[tokio::test]
async fn a_refresh_needs_its_own_grant_in_the_signature() {
    let rig = rig().await;
    assert_refused(
        &rig.get(&format!("{}&refresh=true", signed(FACE, LATER)))
            .await,
        "grant=refresh",
    );
    let sig = signature(KEY, "waha", FACE, LATER, "refresh");
    let path = format!("/avatar/waha/{FACE}?exp={LATER}&grant=refresh&sig={sig}&refresh=true");
    rig.get(&path).await.assert_picture(&rig.bytes(FACE));
    assert!(rig.calls().list[0].refresh);
    // The grant allows a refresh. A request without `refresh` is answered from the cache.
    rig.traffic();
    let path = format!("/avatar/waha/{FACE}?exp={LATER}&grant=refresh&sig={sig}");
    rig.get(&path).await.assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_server_may_send_a_bearer_token_instead() {
    let rig = rig().await;
    let path = format!("/avatar/waha/{FACE}?refresh=true");
    // Schemes are case-insensitive.
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let good = format!("{scheme} a bearer token for tests");
        rig.ask("GET", &path, &[("authorization", &good)])
            .await
            .assert_picture(&rig.bytes(FACE));
    }
    for bad in [
        "Bearer a bearer token for test",
        "Bearer ",
        "Basic YTpi",
        "a bearer token for tests",
    ] {
        let refused = rig.ask("GET", &path, &[("authorization", bad)]).await;
        assert_refused(&refused, "bearer token");
        assert!(!refused.text().contains("for test"), "{}", refused.text());
    }
}
