//! HTTP checked by other programs: httplint knows the RFCs, schemathesis knows OpenAPI.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{Answer, Rig, rig::Settings};
use base64::{Engine, engine::general_purpose::STANDARD};
use faceplate::emulator::{Fault, Rule};
use serde_json::{Value, json};

const FACE: &str = "/avatar/waha/628100000001";
const NOBODY: &str = "/avatar/waha/628100000102";

fn tool(name: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/bin");
    let path = path.join(name);
    assert!(
        path.exists(),
        "{} is missing: run make setup",
        path.display()
    );
    Command::new(path)
}

async fn exchange(address: &str, method: &str, path: &str, sent: &[(&str, &str)]) -> Value {
    let answer = Answer::to(address, method, path, sent).await;
    let headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    json!({
        "method": method,
        "url": format!("http://localhost{path}"),
        "sent": sent,
        "status": answer.status.as_u16(),
        "headers": headers,
        "body": STANDARD.encode(&answer.body),
    })
}

#[tokio::test]
async fn httplint_finds_no_fault_in_any_answer() {
    let rig = Settings::default()
        .section(
            "access",
            "mode = \"open\"\nbearer_tokens = [\"env:BEARER\"]",
        )
        .section(
            "server",
            "listen = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\nclient_rate = { per_minute = 60, burst = 1 }",
        )
        .start()
        .await;
    let broken = Fault::Status {
        status: 502,
        retry_after: None,
    };
    rig.inject(Rule::api(broken).jid("628100000003"));
    let etag = rig.get(FACE).await.header("etag").to_owned();
    let changed = rig.get(FACE).await.header("last-modified").to_owned();
    let front = rig.address();
    let mut exchanges = Vec::new();
    for (method, path, sent) in [
        ("GET", FACE, vec![]),
        ("HEAD", FACE, vec![]),
        ("GET", FACE, vec![("if-none-match", etag.as_str())]),
        ("GET", FACE, vec![("if-modified-since", changed.as_str())]),
        ("GET", FACE, vec![("range", "bytes=0-99")]),
        ("GET", FACE, vec![("range", "bytes=9999999-")]),
        ("GET", FACE, vec![("origin", "https://crm.example")]),
        ("GET", NOBODY, vec![]),
        ("GET", &format!("{NOBODY}?d=404"), vec![]),
        ("GET", &format!("{FACE}?f=y&d=identicon"), vec![]),
        ("GET", &format!("{FACE}?refresh=true"), vec![]),
        ("GET", "/avatar/waha/628100000003", vec![]),
        ("GET", "/avatar/waha/nobody", vec![]),
        ("GET", "/avatar/nobody/1", vec![]),
        ("GET", "/openapi.json", vec![]),
        ("GET", "/nowhere", vec![]),
        ("POST", FACE, vec![]),
        ("OPTIONS", FACE, vec![]),
        ("PURGE", FACE, vec![]),
        (
            "PURGE",
            FACE,
            vec![("authorization", "Bearer a bearer token for tests")],
        ),
        ("GET", &format!("{FACE}?x={}", "x".repeat(9000)), vec![]),
        ("GET", FACE, vec![("x-forwarded-for", "192.0.2.1")]),
        ("GET", FACE, vec![("x-forwarded-for", "192.0.2.1")]),
    ] {
        exchanges.push(exchange(&front, method, path, &sent).await);
    }
    let admin = rig.admin();
    for (method, path) in [
        ("GET", "/livez"),
        ("HEAD", "/readyz"),
        ("POST", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/v1/instances"),
        ("GET", "/v1/cache"),
        ("POST", "/v1/cache/tend"),
        ("POST", "/v1/purge?all=true"),
        ("POST", "/v1/purge"),
        ("GET", "/v1/avatars/waha/628100000001"),
        ("GET", "/v1/avatars/waha/1"),
        ("DELETE", "/v1/avatars/waha/628100000001"),
        ("GET", "/nowhere"),
    ] {
        exchanges.push(exchange(&admin, method, path, &[]).await);
    }
    let statuses: std::collections::BTreeSet<_> = exchanges
        .iter()
        .map(|exchange| exchange["status"].as_u64().unwrap())
        .collect();
    let wanted = [200, 204, 206, 304, 400, 401, 404, 405, 414, 416, 429];
    assert!(
        wanted.iter().all(|status| statuses.contains(status)),
        "{statuses:?}"
    );
    let output = fed(tool("python").arg("tests/lint.py"), &Value::from(exchanges));
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn fed(command: &mut Command, input: &Value) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Settings for schemathesis that an OpenAPI document cannot express.
const HINTS: &str = r#"
# An instance that is there, so that more than its absence is tried.
[parameters]
"path.instance" = "waha"

# OpenAPI 3.1 has no word for PURGE, which `Allow` rightly names.
[[operations]]
include-path = "/avatar/{instance}/{jid}"
checks.allow_header_conformance.enabled = false

# Its answer does not end. `live.rs` tests it.
[[operations]]
include-name = "GET /live/{instance}"
enabled = false

# Which parameters go together.
[[operations]]
include-name = "POST /v1/purge"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "POST /v1/warm"
checks.positive_data_acceptance.enabled = false

# Which of an event's members has the account's name.
[[operations]]
include-name = "POST /v1/hooks/{provider}"
checks.positive_data_acceptance.enabled = false

# The gateway's errors have the status 200, that of a wrong credential, too.
[[operations]]
include-path = "/{account}/contacts/image"
checks.ignored_auth.enabled = false
checks.negative_data_rejection.enabled = false

# The secret, and the places that the description of the gateway names.
[[operations]]
include-name = "POST /v1/hooks/{instance}/{secret}"
checks.positive_data_acceptance.enabled = false

# What is a LID, and what a number.
[[operations]]
include-name = "PUT /v1/aliases/{instance}"
checks.positive_data_acceptance.enabled = false

# What is a picture.
[[operations]]
include-name = "PUT /v1/avatars/{instance}/{jid}"
checks.positive_data_acceptance.enabled = false
"#;

/// Lets schemathesis test a document: with all kinds of requests, and then with valid ones for a configured
/// instance.
async fn assert_keeps_its_word(address: String) {
    tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        for (mode, hints) in [
            ("all", HINTS.replace("waha", "no-such-instance")),
            ("positive", HINTS.to_owned()),
        ] {
            let config = folder.path().join("schemathesis.toml");
            std::fs::write(&config, hints).unwrap();
            let output = tool("schemathesis")
                .arg("--config-file")
                .arg(config)
                .args(["run", &format!("http://{address}/openapi.json")])
                .args(["--url", &format!("http://{address}")])
                .args(["--mode", mode, "--max-examples", "30", "--seed", "1"])
                .args(["--phases", "examples,coverage,fuzzing", "--no-shrink"])
                .args(["--suppress-health-check", "all"])
                .env("NO_COLOR", "1")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success(),
                "{said}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_listener_conforms_to_its_openapi_document() {
    let rig = Settings::default().every_gateway().start().await;
    assert_keeps_its_word(rig.address()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_conforms_to_its_openapi_document() {
    let rig = Rig::start().await;
    rig.get(FACE).await;
    assert_keeps_its_word(rig.admin()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_for_webhooks_conforms_to_its_openapi_document() {
    assert_keeps_its_word(with_webhooks().await.hooks()).await;
}

async fn with_webhooks() -> Rig {
    let settings = Settings::default().section("hooks", "listen = \"127.0.0.1:0\"");
    settings.start().await
}

#[tokio::test]
async fn the_openapi_documents_have_this_version() {
    let rig = with_webhooks().await;
    for address in [rig.address(), rig.admin(), rig.hooks()] {
        let answer = Answer::to(&address, "GET", "/openapi.json", &[]).await;
        let document: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["openapi"], "3.1.0");
    }
}
