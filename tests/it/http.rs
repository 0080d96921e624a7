//! HTTP semantics of every answer: headers, validators, methods, problems.

use crate::support::{Answer, Rig, raw};
use faceplate::emulator::Picture;

const FACE: &str = "/avatar/waha/628100000001@c.us";
/// A contact without a picture.
const NOBODY: &str = "/avatar/waha/628100000101@c.us";

#[tokio::test]
async fn every_image_carries_the_headers_of_the_contract() {
    let rig = Rig::start().await;
    for path in [FACE, NOBODY] {
        let answer = rig.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
            ),
            ("cross-origin-resource-policy", "cross-origin"),
            ("access-control-allow-origin", "*"),
            ("timing-allow-origin", "*"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
        assert!(answer.header("etag").starts_with('"'), "{path}");
        assert!(answer.cache_status().starts_with("faceplate; fwd=uri-miss"));
    }
    let picture = rig.get(FACE).await;
    assert!(picture.headers.get("vary").is_none());
    assert_eq!(picture.header("age"), "0");
    assert!(picture.header("last-modified").ends_with("GMT"));
    assert_eq!(picture.header("content-type"), "image/jpeg");
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let rig = Rig::start().await;
    rig.get(FACE).await;
    rig.get(NOBODY).await;
    for path in [
        FACE,
        NOBODY,
        &format!("{NOBODY}?d=404"),
        "/avatar/nope/1",
        "/avatar/waha/x",
        "/",
    ] {
        let (get, head) = (rig.get(path).await, rig.ask("HEAD", path, &[]).await);
        assert!(head.body.is_empty());
        assert_eq!(get.status, head.status, "{path}");
        // Without the headers that differ from answer to answer.
        let lasting = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("date");
            headers.remove("x-request-id");
            headers
        };
        assert_eq!(lasting(&get), lasting(&head), "{path}");
    }
}

#[tokio::test]
async fn a_matching_etag_gets_304() {
    let rig = Rig::start().await;
    for path in [FACE, NOBODY] {
        let etag = rig.get(path).await.header("etag").to_owned();
        for tags in [
            etag.clone(),
            format!("W/{etag}"),
            format!("\"x\", {etag}"),
            "*".to_owned(),
        ] {
            let answer = rig.ask("GET", path, &[("if-none-match", &tags)]).await;
            assert_eq!(answer.status, 304, "{path} {tags}");
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("etag"), etag);
            assert_ne!(answer.header("cache-control"), "");
            assert_ne!(answer.cache_status(), "");
        }
        assert_eq!(
            rig.ask("GET", path, &[("if-none-match", "\"x\"")])
                .await
                .status,
            200
        );
    }
    let modified = rig.get(FACE).await.header("last-modified").to_owned();
    let since = ("if-modified-since", modified.as_str());
    assert_eq!(rig.ask("GET", FACE, &[since]).await.status, 304);
    assert_eq!(
        rig.ask("GET", FACE, &[since, ("if-none-match", "\"x\"")])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn d_chooses_the_placeholder_for_a_face_without_a_picture() {
    let rig = Rig::start().await;
    let shown = |query: &str| {
        let path = format!("{NOBODY}?{query}&format=svg");
        let rig = &rig;
        async move { rig.get(&path).await }
    };
    assert!(shown("name=John%20Doe").await.text().contains(">JD</text>"));
    let drawings = [
        shown("d=initials").await.body,
        shown("d=mp").await.body,
        shown("d=identicon").await.body,
        shown("d=blank").await.body,
    ];
    for (index, drawing) in drawings.iter().enumerate() {
        assert!(!drawings[index + 1..].contains(drawing));
    }
    let missing = shown("d=404").await;
    assert_eq!(
        (missing.status.as_u16(), missing.source(), missing.reason()),
        (404, "fallback", "unknown")
    );
    assert!(
        shown("s=100")
            .await
            .text()
            .contains("width=\"128\" height=\"128\"")
    );
    // If there is a picture, d has no effect unless it is forced.
    let picture = rig.bytes("628100000001");
    rig.get(&format!("{FACE}?d=404"))
        .await
        .assert_picture(&picture);
    let forced = rig.get(&format!("{FACE}?f=y&d=mp")).await;
    assert_eq!((forced.source(), forced.reason()), ("fallback", "forced"));
}

#[tokio::test]
async fn a_name_cannot_inject_markup_into_a_placeholder() {
    let rig = Rig::start().await;
    let answer = rig
        .get(&format!("{NOBODY}?name=%3Cscript%3E%20%26&format=svg"))
        .await;
    assert!(!answer.text().contains("<script"));
}

#[tokio::test]
async fn invalid_requests_get_a_problem_with_a_remedy() {
    let rig = Rig::start().await;
    for (path, status, word) in [
        ("/avatar/nope/628123", 404, "[instances.NAME]"),
        ("/avatar/waha/john", 400, "628123@c.us"),
        ("/avatar/waha/0812345", 400, "country code"),
        ("/avatar/waha/628123@example.com", 400, "c.us"),
        ("/avatar/waha/%FF", 400, "UTF-8"),
        ("/avatar/waha/628123?refresh=now", 400, "refresh=true"),
        ("/avatar/waha", 404, "/avatar/{instance}/{jid}"),
        ("/nothing", 404, "/avatar/{instance}/{jid}"),
    ] {
        let answer = rig.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["status"], status, "{path}");
        assert!(
            problem["detail"].as_str().unwrap().contains(word),
            "{path}: {problem}"
        );
        assert!(problem["type"].is_string() && problem["title"].is_string());
    }
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn unsupported_methods_get_405_with_allow() {
    let rig = Rig::start().await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = rig.ask(method, FACE, &[]).await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.header("allow"), "GET, HEAD, PURGE");
    }
}

#[tokio::test]
async fn a_request_head_that_is_too_large_is_431() {
    let rig = Rig::start().await;
    let large = "x".repeat(17_000);
    assert_eq!(
        rig.ask("GET", FACE, &[("x-large", &large)]).await.status,
        431
    );
}

#[tokio::test]
async fn a_thousand_requested_sizes_give_ten_placeholders() {
    let rig = Rig::start().await;
    rig.vendors()
        .set_picture("628100000001", Picture::Hidden)
        .unwrap();
    let mut tags = std::collections::BTreeSet::new();
    for size in (1..=640).step_by(7) {
        tags.insert(
            rig.get(&format!("{FACE}?s={size}"))
                .await
                .header("etag")
                .to_owned(),
        );
    }
    assert_eq!(tags.len(), 10);
}

#[tokio::test]
async fn a_range_request_gets_a_part_of_the_picture() {
    let rig = Rig::start().await;
    let whole = rig.get(FACE).await;
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let length = whole.body.len();
    let part = rig.ask("GET", FACE, &[("range", "bytes=10-19")]).await;
    assert_eq!(part.status, 206);
    assert_eq!(
        part.header("content-range"),
        format!("bytes 10-19/{length}")
    );
    assert_eq!(part.header("content-length"), "10");
    assert_eq!(part.body, whole.body[10..20]);
    assert_eq!(part.header("etag"), whole.header("etag"));
    let stale = [("range", "bytes=10-19"), ("if-range", "\"another\"")];
    assert_eq!(rig.ask("GET", FACE, &stale).await.body, whole.body);
    let beyond = rig.ask("GET", FACE, &[("range", "bytes=9999999-")]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{length}"));
    let known = [
        ("range", "bytes=0-1"),
        ("if-none-match", whole.header("etag")),
    ];
    assert_eq!(rig.ask("GET", FACE, &known).await.status, 304);
    assert_eq!(
        rig.ask("HEAD", FACE, &[("range", "bytes=0-1")])
            .await
            .status,
        200
    );
    // A placeholder is small and drawn for each request, so it has no ranges.
    assert_eq!(
        rig.ask("GET", NOBODY, &[("range", "bytes=0-1")])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn unknown_values_of_a_face_s_look_are_named_in_a_header() {
    let rig = Rig::start().await;
    let ignored = "x-faceplate-ignored";
    for path in [FACE, NOBODY] {
        let answer = rig.get(&format!("{path}?s=x&d=robot&format=bmp")).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header(ignored), "d, s, format", "{path}");
    }
    let plain = rig.get(&format!("{FACE}?s=9999&d=mm&format=jpg")).await;
    assert_eq!(plain.status, 200);
    assert!(!plain.headers.contains_key(ignored));
}

#[tokio::test]
async fn an_address_that_no_picture_belongs_to_gets_a_placeholder_without_a_call() {
    let rig = Rig::start().await;
    rig.traffic();
    for jid in [
        "status@broadcast",
        "1699999999@broadcast",
        "0@c.us",
        "867051314767696@bot",
        "628123:99@hosted",
        "123@hosted.lid",
    ] {
        let answer = rig.face("waha", jid).await;
        answer.assert_fallback("not_set");
        let control = answer.header("cache-control");
        assert!(control.ends_with("max-age=300"), "{jid}: {control}");
    }
    assert_eq!(rig.traffic().0, 0);
}

#[tokio::test]
async fn a_final_slash_means_nothing() {
    let rig = Rig::start().await;
    let plain = rig.get(FACE).await;
    let same = rig.get(&format!("{FACE}/")).await;
    assert_eq!(same.header("etag"), plain.header("etag"));
    assert!(same.cache_status().contains("; hit"));
    for path in ["/live/waha/", "/faceplate.js/", "/openapi.json/"] {
        let problem = rig.get(path).await;
        assert_eq!(problem.status, 404, "{path}");
        assert_eq!(problem.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn a_path_with_a_doubled_slash_is_no_face_and_no_other_host() {
    let rig = Rig::start().await;
    let get = async |path: &str, more: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: faces\r\nconnection: close\r\n{more}\r\n");
        raw(&rig.address(), &request).await
    };
    for path in [
        FACE.replacen('/', "//", 1),
        FACE.replace("/waha/", "//waha/"),
        FACE.replace("/waha/", "/waha//"),
        format!("{FACE}//"),
        "//".to_owned(),
    ] {
        // A body makes the request one for hyper.
        for more in ["", "content-length: 0\r\n"] {
            let answer = get(&path, more).await;
            let status = &answer[..12.min(answer.len())];
            assert!(status.starts_with("HTTP/1.1 40"), "{path}: {status}");
            assert!(answer.contains("application/problem+json"), "{path}");
        }
    }
    assert_eq!(rig.traffic(), (0, 0));
}
