//! Gateways as files: an operator's description, from its page in the documents to a face.

use std::fs;

use tempfile::TempDir;

use crate::{
    support::program::Program,
    wire::{Server, picture, response},
};

/// The gateway that docs/providers.md invents.
fn acme() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/providers.md");
    let page = fs::read_to_string(page).unwrap();
    let block = page.split("```toml").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let lines = block
        .lines()
        .map(|line| line.strip_prefix("   ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// A folder with the description, for `providers.dir`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("acme.toml"), acme()).unwrap();
    folder
}

#[tokio::test]
async fn a_description_in_the_operator_s_directory_is_a_gateway() {
    let server = Server::start(|server, received| {
        if received
            .head
            .starts_with("GET /v1/accounts/shop/photo?of=628100000001 ")
        {
            assert!(received.head.contains("x-key: "), "{}", received.head);
            let link = format!("http://{server}/a.jpg");
            let body = format!("{{\"ok\":true,\"photo\":{{\"href\":\"{link}\"}}}}");
            return Some(response("200 OK", "", body.as_bytes()));
        }
        if received.head.starts_with("GET /v1/") {
            let none = br#"{"ok":true,"photo":{"href":null}}"#;
            return Some(response("200 OK", "", none));
        }
        Some(response("200 OK", "", &picture()))
    })
    .await;
    let folder = folder();
    let rig = server
        .settings()
        .section(
            "providers",
            &format!("dir = \"{}\"", folder.path().display()),
        )
        .only("waha", "provider = \"acme\"")
        .start()
        .await;
    rig.face("waha", "628100000001")
        .await
        .assert_picture(&picture());
    rig.face("waha", "628100000002")
        .await
        .assert_fallback("unknown");
}

/// The program, with an instance of the gateway.
fn program(folder: &TempDir) -> Program {
    Program::with(&format!(
        r#"
        [access]
        mode = "open"
        [cache]
        dir = "DIR/cache"
        [providers]
        dir = "{}"
        [instances.shop]
        provider = "acme"
        account = "shop"
        token = "env:TOKEN"
        base_url = "https://acme.example"
        "#,
        folder.path().display()
    ))
}

#[test]
fn the_command_lists_shows_and_checks_descriptions() {
    let folder = folder();
    let program = program(&folder);
    let text = |args: &[&str]| {
        let output = program.run(args);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (is_ok, list) = text(&["providers"]);
    assert!(is_ok, "{list}");
    for name in ["waha", "evolution", "acme"] {
        assert!(list.contains(name), "{name}: {list}");
    }
    let (is_ok, shown) = text(&["providers", "show", "evolution"]);
    assert!(is_ok && shown.contains("format = 1"), "{shown}");
    let file = folder.path().join("acme.toml");
    let file = file.to_str().unwrap();
    let (is_ok, checked) = text(&["providers", "check", file]);
    assert!(is_ok, "{checked}");

    fs::write(file, acme().replace("link =", "lnik =")).unwrap();
    let (is_ok, refused) = text(&["providers", "check", file]);
    assert!(!is_ok, "{refused}");
    for part in ["lnik", "link", "acme.toml"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

#[test]
fn a_saved_reply_is_explained_without_a_call() {
    let folder = folder();
    let program = program(&folder);
    for (status, body, reading) in [
        ("200", r#"{"ok":true,"photo":{"href":null}}"#, "unknown"),
        ("200", r#"{"okay":true}"#, "vendor_error"),
        ("429", "", "rate_limited"),
    ] {
        let reply = folder.path().join("reply.json");
        fs::write(&reply, body).unwrap();
        let reply = reply.to_str().unwrap();
        let args = [
            "doctor",
            "--explain",
            "acme",
            "--reply",
            reply,
            "--status",
            status,
        ];
        let output = program.run(&args);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains(reading), "{status} {body}: {text}");
    }
}
