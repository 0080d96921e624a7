//! The programs in `docs/signing.md`, run unchanged against a real server.

use std::{fs, process::Command};

use crate::support::Rig;

const KEY: &str = "a signing key for tests";
const FACE: &str = "628100000001@c.us";
const EXP: &str = "1826700000";

/// The code in this language's section.
fn code(language: &str) -> String {
    let docs = include_str!("../../docs/signing.md");
    let (_, rest) = docs.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("\n```").unwrap().0.to_owned() + "\n"
}

/// Runs a program, and returns its output.
fn printed(language: &str, file: &str, command: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    fs::write(&path, code(language)).unwrap();
    let output = Command::new(command[0])
        .args(&command[1..])
        .arg(&path)
        .args([KEY, "waha", FACE, EXP])
        .env("HOME", folder.path())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: run make setup", command[0]));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn accepted(language: &str, file: &str, command: &[&str]) {
    let rig = Rig::start_signed().await;
    let path = printed(language, file, command);
    rig.get(&path).await.assert_picture(&rig.bytes(FACE));
}

#[tokio::test]
async fn the_javascript_in_the_documentation_signs_urls() {
    accepted("js", "sign.cjs", &["node"]).await;
}

#[tokio::test]
async fn the_python_in_the_documentation_signs_urls() {
    accepted("python", "sign.py", &["python3"]).await;
}

#[tokio::test]
async fn the_php_in_the_documentation_signs_urls() {
    accepted("php", "sign.php", &["php"]).await;
}

#[tokio::test]
async fn the_go_in_the_documentation_signs_urls() {
    accepted("go", "sign.go", &["go", "run"]).await;
}

#[tokio::test]
async fn the_shell_in_the_documentation_signs_urls() {
    accepted("sh", "sign.sh", &["sh"]).await;
}
