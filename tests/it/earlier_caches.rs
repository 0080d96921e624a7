//! Cache directories that earlier versions wrote (`tests/fixtures/`) are served by this one, without a call.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    Answer,
    program::{Program, errors},
};

/// The gateway of the fixtures. Nothing answers there, so a face that needed a call would be a placeholder.
const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[access]
mode = "open"
[cache]
dir = "DIR/cache"
ttl = "36500d"
retain = "forever"
[cache.negative]
empty = "36500d"
[instances.waha]
provider = "waha"
account = "shop"
token = "env:TOKEN"
base_url = "http://127.0.0.1:9911"
picture_hosts = ["127.0.0.1:9912"]
allow_private = ["127.0.0.0/8"]
"#;

fn unpack(fixture: &str, folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(root.join(fixture))
        .arg("-C")
        .arg(folder)
        .status();
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_directory_of_version_0_1_0_is_served_without_a_call() {
    let program = Program::with(CONFIG);
    unpack("cache-2026-11.tar.gz", program.folder.path());
    let output = program.run(&["cache", "verify"]);
    assert!(output.status.success(), "{}", errors(&output));

    let server = program.serve();
    let get = async |number: &str| {
        let path = format!("/avatar/waha/628100000{number}@c.us");
        Answer::to(&server.address("listen"), "GET", &path, &[]).await
    };
    for (number, etag, length) in [
        ("001", "\"73554c03c4004464c5577ca73c97418f\"", 30_849),
        ("002", "\"5ab147aca034cc21d8f0313d55e4f392\"", 15_013),
    ] {
        let answer = get(number).await;
        assert_eq!(answer.source(), "picture", "{}", answer.cache_status());
        assert!(
            answer.cache_status().contains("; hit"),
            "{}",
            answer.cache_status()
        );
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.body.len(), length);
    }
    // The third face was forgotten, and had a picture before.
    let forgotten = get("003").await;
    assert_eq!(forgotten.source(), "fallback");
    let record = Answer::to(
        &server.address("admin"),
        "GET",
        "/v1/avatars/waha/628100000003@c.us",
        &[],
    )
    .await;
    let record: Value = serde_json::from_slice(&record.body).unwrap();
    assert_eq!(record["forgotten"], true, "{record}");
    assert_eq!(record["picture"], Value::Null);
    let cache = Answer::to(&server.address("admin"), "POST", "/v1/cache/gc", &[]).await;
    let cache: Value = serde_json::from_slice(&cache.body).unwrap();
    assert_eq!(
        (&cache["entries"], &cache["damaged"]),
        (&6.into(), &0.into())
    );
    let metrics = Answer::to(&server.address("admin"), "GET", "/metrics", &[]).await;
    let calls = "faceplate_upstream_requests_total{";
    assert!(!metrics.text().contains(calls), "{}", metrics.text());
}
