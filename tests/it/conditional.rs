//! Browser caching: validators, preconditions and `Cache-Control`, header by header.

use crate::support::{Answer, Rig, rig::Settings};
use faceplate::emulator::{Fault, Picture, Rule};
use hyper::HeaderMap;

const FACE: &str = "/avatar/waha/628100000001@c.us";
/// A contact without a picture.
const NOBODY: &str = "/avatar/waha/628100000102@c.us";
/// The start of the rig's clock, and a second before and after.
const NOW: &str = "Fri, 20 Nov 2026 18:40:00 GMT";
const BEFORE: &str = "Fri, 20 Nov 2026 18:39:59 GMT";
const AFTER: &str = "Fri, 20 Nov 2026 18:40:01 GMT";

async fn status(rig: &Rig, method: &str, path: &str, fields: &[(&str, &str)]) -> u16 {
    rig.ask(method, path, fields).await.status.as_u16()
}

/// The headers without those that only an answer with a body has.
fn lasting(answer: &Answer) -> HeaderMap {
    let mut headers = answer.headers.clone();
    for name in ["date", "x-request-id", "content-type", "content-length"] {
        headers.remove(name);
    }
    headers
}

#[tokio::test]
async fn the_answer_with_a_picture_has_exactly_the_documented_headers() {
    let rig = Rig::start().await;
    let first = rig.get(FACE).await;
    rig.seconds(10);
    let second = rig.get(FACE).await;
    let digest = blake3::hash(&first.body).to_hex();
    for (answer, age, cache_status) in [
        (
            &first,
            "0",
            "faceplate; fwd=uri-miss; fwd-status=200; stored; ttl=86400",
        ),
        (&second, "10", "faceplate; hit; ttl=86390"),
    ] {
        for (name, value) in [
            ("etag", format!("\"{}\"", &digest[..32]).as_str()),
            ("last-modified", NOW),
            ("age", age),
            ("cache-control", "public, max-age=86400"),
            ("cache-status", cache_status),
            ("x-faceplate-source", "picture"),
            ("x-faceplate-reason", ""),
            ("content-type", "image/jpeg"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
    }
}

#[tokio::test]
async fn a_placeholder_is_cached_for_minutes_and_one_for_a_failure_is_not() {
    let rig = Rig::start().await;
    rig.inject(Rule::api(Fault::NotJson).jid("628100000003"));
    for (path, control) in [
        (NOBODY.to_owned(), "public, max-age=300"),
        (format!("{NOBODY}?d=404"), "public, max-age=300"),
        (format!("{FACE}?f=y"), "public, max-age=300"),
        ("/avatar/waha/628100000003".to_owned(), "no-store"),
        ("/avatar/waha/628100000003?d=404".to_owned(), "no-store"),
        ("/avatar/nope/628100000003".to_owned(), "no-store"),
    ] {
        let answer = rig.get(&path).await;
        assert_eq!(answer.header("cache-control"), control, "{path}");
        assert_eq!(answer.header("age"), "", "{path}");
        assert_eq!(answer.header("last-modified"), "", "{path}");
    }
}

#[tokio::test]
async fn an_answer_to_an_authorized_request_is_private() {
    let rig = Settings::default()
        .section("access", "bearer_tokens = [\"env:BEARER\"]")
        .start()
        .await;
    let bearer = [("authorization", "Bearer a bearer token for tests")];
    for (path, control) in [
        (FACE, "private, max-age=86400"),
        (NOBODY, "private, max-age=300"),
    ] {
        let answer = rig.ask("GET", path, &bearer).await;
        assert_eq!(answer.header("cache-control"), control);
    }
}

/// A server whose faces the pages of one other origin may read.
async fn cross_origin_rig() -> Rig {
    let access = "mode = \"open\"\nallow_origin = \"https://crm.example\"";
    Settings::default().section("access", access).start().await
}

/// Asserts that scripts of other origins may read every header about a face.
fn assert_exposed(answer: &Answer, about: &str) {
    let exposed = answer.header("access-control-expose-headers");
    let exposed = exposed.to_ascii_lowercase();
    let exposed: Vec<_> = exposed.split(", ").collect();
    let told = [
        "accept-ranges",
        "age",
        "cache-status",
        "content-range",
        "date",
        "etag",
        "retry-after",
        "vary",
        "x-request-id",
    ];
    for name in answer.headers.keys().map(|name| name.as_str()) {
        if name.starts_with("x-faceplate-") || told.contains(&name) {
            assert!(exposed.contains(&name), "{about}: {name}");
        }
    }
}

#[tokio::test]
async fn scripts_of_other_origins_may_read_all_that_is_sent_about_a_face() {
    let rig = cross_origin_rig().await;
    for (path, headers) in [
        (FACE, [("range", "bytes=0-9")]),
        (NOBODY, [("accept", "image/*")]),
        (&format!("{FACE}?d=rainbow"), [("accept", "*/*")]),
        (&format!("{FACE}?s=96"), [("accept", "image/webp")]),
    ] {
        let answer = rig.ask("GET", path, &headers).await;
        assert_exposed(&answer, path);
    }
    rig.inject(Rule::api(Fault::Status {
        status: 500,
        retry_after: None,
    }));
    rig.hours(25);
    let stale = rig.get(&format!("{FACE}?refresh=true")).await;
    assert_ne!(stale.header("x-faceplate-reason"), "");
    assert_exposed(&stale, "stale");
}

#[tokio::test]
async fn allow_origin_sets_the_cors_header() {
    let rig = cross_origin_rig().await;
    for path in [FACE, NOBODY] {
        let answer = rig.get(path).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "https://crm.example"
        );
    }
    let nothing = format!("{NOBODY}?d=404");
    for (path, status) in [
        (FACE, 200),
        ("/avatar/waha/none@c.us", 400),
        ("/avatar/nowhere/628123", 404),
        (nothing.as_str(), 404),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = rig.ask(method, path, &[]).await;
            assert_eq!(answer.status, status, "{path}");
            let origin = answer.header("access-control-allow-origin");
            assert_eq!(origin, "https://crm.example", "{path}");
            let exposed = answer.header("access-control-expose-headers");
            for name in ["ETag", "X-Faceplate-Reason", "Retry-After"] {
                assert!(exposed.contains(name), "{path}: {name}");
            }
            assert_exposed(&answer, path);
        }
    }
}

#[tokio::test]
async fn a_304_has_every_header_that_the_200_would_have_had() {
    let rig = Rig::start().await;
    for path in [FACE, NOBODY] {
        rig.get(path).await;
        let whole = rig.get(path).await;
        let etag = [("if-none-match", whole.header("etag"))];
        for method in ["GET", "HEAD"] {
            let known = rig.ask(method, path, &etag).await;
            assert_eq!(known.status, 304, "{method} {path}");
            assert!(known.body.is_empty());
            assert_eq!(lasting(&known), lasting(&whole), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn if_modified_since_gets_304_from_the_picture_s_own_second_on() {
    let rig = Rig::start().await;
    rig.get(FACE).await;
    for (date, expected) in [
        (BEFORE, 200),
        (NOW, 304),
        (AFTER, 304),
        ("yesterday", 200),
        ("", 200),
    ] {
        for method in ["GET", "HEAD"] {
            let since = [("if-modified-since", date)];
            let is = status(&rig, method, FACE, &since).await;
            assert_eq!(is, expected, "{method} {date:?}");
        }
    }
}

#[tokio::test]
async fn a_placeholder_has_no_last_modified() {
    let rig = Rig::start().await;
    let since = [("if-modified-since", AFTER)];
    assert_eq!(status(&rig, "GET", NOBODY, &since).await, 200);
}

#[tokio::test]
async fn if_none_match_takes_precedence_over_if_modified_since() {
    let rig = Rig::start().await;
    let etag = rig.get(FACE).await.header("etag").to_owned();
    for (tag, date, expected) in [
        (etag.as_str(), BEFORE, 304),
        ("\"other\"", AFTER, 200),
        ("", AFTER, 200),
    ] {
        let fields = [("if-none-match", tag), ("if-modified-since", date)];
        let is = status(&rig, "GET", FACE, &fields).await;
        assert_eq!(is, expected, "{tag} {date}");
    }
}

#[tokio::test]
async fn entity_tags_are_compared_as_a_whole() {
    let rig = Rig::start().await;
    for path in [FACE, NOBODY] {
        let etag = rig.get(path).await.header("etag").to_owned();
        let bare = etag.trim_matches('"');
        for (tags, expected) in [
            (etag.clone(), 304),
            (format!("W/{etag}"), 304),
            (format!("\"a,b\" , W/\"x\",{etag}"), 304),
            ("*".to_owned(), 304),
            (bare.to_owned(), 200),
            (format!("\"{}\"", &bare[1..]), 200),
            (format!("\"{bare}x\""), 200),
            (format!("\"x\", W/\"{}\"", bare.to_uppercase()), 200),
        ] {
            let known = [("if-none-match", tags.as_str())];
            let is = status(&rig, "GET", path, &known).await;
            assert_eq!(is, expected, "{path} {tags}");
        }
    }
}

#[tokio::test]
async fn a_browser_with_the_old_picture_gets_the_new_one() {
    let rig = Rig::start().await;
    let old = rig.get(FACE).await;
    rig.hours(25);
    rig.vendors()
        .set_picture("628100000001", Picture::Face(24))
        .unwrap();
    let known = [("if-none-match", old.header("etag"))];
    let path = format!("{FACE}?refresh=true");
    let new = rig.ask("GET", &path, &known).await;
    new.assert_picture(&rig.bytes("628100000001"));
    assert_ne!(new.header("etag"), old.header("etag"));
    assert_eq!(new.header("last-modified"), "Sat, 21 Nov 2026 19:40:00 GMT");
}

#[tokio::test]
async fn a_304_after_a_refresh_has_age_zero_and_is_kept_by_no_cache() {
    let rig = Rig::start().await;
    let old = rig.get(FACE).await;
    rig.hours(25);
    let known = [("if-none-match", old.header("etag"))];
    let path = format!("{FACE}?refresh=true");
    let same = rig.ask("GET", &path, &known).await;
    assert_eq!(same.status, 304);
    assert_eq!(same.header("age"), "0");
    assert_eq!(same.header("cache-control"), "no-cache");
    assert_eq!(same.header("etag"), old.header("etag"));
}

#[tokio::test]
async fn a_browser_keeps_a_face_no_longer_than_browser_ttl() {
    for (ttl, fresh, old, placeholder) in [
        ("10m", "max-age=600", "max-age=3660", "max-age=300"),
        ("2m", "max-age=120", "max-age=3180", "max-age=120"),
        ("48h", "max-age=86400", "max-age=86400", "max-age=300"),
        ("0s", "no-cache", "no-cache", "no-cache"),
    ] {
        let lines = format!("browser_ttl = \"{ttl}\"");
        let rig = Settings::default().section("http", &lines).start().await;
        let control = async |path: &str| {
            let answer = rig.get(path).await;
            let control = answer.header("cache-control").to_owned();
            control.trim_start_matches("public, ").to_owned()
        };
        assert_eq!(control(FACE).await, fresh, "{ttl}");
        assert_eq!(control(NOBODY).await, placeholder, "{ttl}");
        // `Age` counts against `max-age`, so the browser keeps it for the same time.
        rig.seconds(3060);
        let known = rig.get(FACE).await;
        assert_eq!(known.header("age"), "3060");
        assert_eq!(control(FACE).await, old, "{ttl}");
        let none_match = [("if-none-match", known.header("etag"))];
        let same = rig.ask("GET", FACE, &none_match).await;
        assert_eq!(same.status, 304);
        assert_eq!(same.header("cache-control"), known.header("cache-control"));
    }
}
