//! Compressed answers of the admin listener.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::support::{Answer, Rig};

const FACE: &str = "628100000001";

/// Each kind of text that the listener answers with.
const TEXTS: [&str; 5] = [
    "/",
    "/v1/overview",
    "/v1/instances",
    "/metrics",
    "/openapi.json",
];

async fn get(rig: &Rig, path: &str, accept: &str) -> Answer {
    Answer::to(&rig.admin(), "GET", path, &[("accept-encoding", accept)]).await
}

fn decoded(answer: &Answer) -> String {
    let mut text = String::new();
    let mut decoder = GzDecoder::new(&*answer.body);
    decoder.read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn text_of_the_admin_listener_is_compressed_for_a_client_that_accepts_gzip() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    for path in TEXTS {
        let plain = Answer::to(&rig.admin(), "GET", path, &[]).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        assert_eq!(plain.header("vary"), "Accept-Encoding", "{path}");
        let gzip = get(&rig, path, "gzip, deflate, br, zstd").await;
        assert_eq!(gzip.status, 200, "{path}");
        assert_eq!(gzip.header("content-encoding"), "gzip", "{path}");
        assert_eq!(gzip.header("vary"), "Accept-Encoding", "{path}");
        assert_eq!(gzip.header("content-type"), plain.header("content-type"));
        assert_eq!(gzip.header("etag"), "", "{path}");
        let length = gzip.body.len().to_string();
        assert_eq!(gzip.header("content-length"), length, "{path}");
        assert!(2 * gzip.body.len() < plain.body.len(), "{path}");
        // The figures of the others change from one request to the next.
        if matches!(path, "/" | "/openapi.json") {
            assert_eq!(decoded(&gzip), plain.text(), "{path}");
            let asked = [("accept-encoding", "gzip")];
            let head = Answer::to(&rig.admin(), "HEAD", path, &asked).await;
            assert_eq!(head.header("content-length"), length, "{path}");
            assert_eq!(head.header("content-encoding"), "gzip", "{path}");
        }
    }
    let overview = get(&rig, "/v1/overview", "gzip").await;
    let overview: serde_json::Value = serde_json::from_str(&decoded(&overview)).unwrap();
    assert_eq!(overview["faces"][0]["jid"], "628100000001@c.us");
    let metrics = decoded(&get(&rig, "/metrics", "gzip").await);
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}

#[tokio::test]
async fn a_client_that_refuses_gzip_gets_text_as_it_is() {
    let rig = Rig::start().await;
    for accept in ["identity", "br", "gzip;q=0", "gzip;q=0, *", "*;q=0"] {
        for path in TEXTS {
            let answer = get(&rig, path, accept).await;
            assert_eq!(answer.status, 200, "{path} {accept}");
            assert_eq!(answer.header("content-encoding"), "", "{path} {accept}");
            assert!(!answer.text().is_empty(), "{path} {accept}");
        }
    }
}

#[tokio::test]
async fn pictures_and_short_answers_are_not_compressed() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    let path = format!("/v1/avatars/waha/{FACE}/picture");
    let picture = get(&rig, &path, "gzip").await;
    assert_eq!(picture.header("content-encoding"), "");
    assert!(image::load_from_memory(&picture.body).is_ok());
    for path in ["/livez", "/readyz", "/nothing"] {
        let answer = get(&rig, path, "gzip").await;
        assert_eq!(answer.header("content-encoding"), "", "{path}");
        assert_eq!(answer.header("vary"), "Accept-Encoding", "{path}");
    }
}
