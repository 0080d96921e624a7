//! Reloads of the configuration keep connections and pictures.

use std::fs;

use crate::support::{Answer, scene::Scene};
use faceplate::emulator::{Fault, Rule};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;

const FACE: &str = "/avatar/waha/628100000001";

#[tokio::test(flavor = "multi_thread")]
async fn sighup_applies_a_new_configuration() {
    let mut scene = Scene::set().await;
    assert_eq!(scene.get(FACE).await.status, 200);
    scene.rewrite("mode = \"open\"", "mode = \"signed\"");
    scene.server().signal("HUP");
    scene.server().wait_for("was read again");
    assert_eq!(scene.get(FACE).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_file_is_applied_without_a_signal() {
    let mut scene = Scene::set().await;
    scene.rewrite("[instances.waha]", "[instances.support]");
    scene.server().wait_for("was read again");
    assert_eq!(scene.get(FACE).await.status, 404);
    assert_eq!(scene.get("/avatar/support/628100000001").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_configuration_is_logged_and_the_previous_one_stays() {
    let mut scene = Scene::set().await;
    scene.rewrite("provider = \"waha\"", "provider = \"whatsapp\"");
    scene.server().signal("HUP");
    let said = scene.server().wait_for("the old one stays");
    assert!(said.contains("instances.waha.provider"), "{said}");
    assert_eq!(scene.get(FACE).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_the_files_of_secrets_again() {
    let mut scene = Scene::set().await;
    let secret = scene.program.folder.path().join("bearer");
    let address = scene.address("listen");
    let purge = async |token: &str| {
        let bearer = [("authorization", token)];
        Answer::to(&address, "PURGE", FACE, &bearer).await.status
    };
    fs::write(&secret, "the-first-secret\n").unwrap();
    scene.rewrite(
        "mode = \"open\"",
        &format!(
            "mode = \"open\"\nbearer_tokens = [\"file:{}\"]",
            secret.display()
        ),
    );
    scene.server().wait_for("was read again");
    assert_eq!(purge("Bearer the-first-secret").await, 200);
    fs::write(&secret, "the-second-secret\n").unwrap();
    scene.server().output.lock().unwrap().clear();
    scene.server().signal("HUP");
    scene.server().wait_for("was read again");
    assert_eq!(purge("Bearer the-first-secret").await, 401);
    assert_eq!(purge("Bearer the-second-secret").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_of_a_secret_is_applied_without_a_signal() {
    let mut scene = Scene::set().await;
    let folder = scene.program.folder.path().to_owned();
    // As Kubernetes mounts a Secret: the file is a link into a folder that is replaced as a whole.
    let publish = |version: &str, secret: &str| {
        let data = folder.join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("bearer"), secret).unwrap();
        let link = folder.join("..data.new");
        std::os::unix::fs::symlink(&data, &link).unwrap();
        fs::rename(&link, folder.join("..data")).unwrap();
    };
    let address = scene.address("listen");
    let purge = async |token: &str| {
        let bearer = [("authorization", token)];
        Answer::to(&address, "PURGE", FACE, &bearer).await.status
    };
    // The configuration names a file that does not exist yet.
    let secret = folder.join("..data/bearer");
    let line = format!(
        "mode = \"open\"\nbearer_tokens = [\"file:{}\"]",
        secret.display()
    );
    scene.rewrite("mode = \"open\"", &line);
    scene.server().wait_for("the old one stays");
    publish("1", "\u{feff}the-first-secret\r\n");
    scene.server().wait_for("was read again");
    assert_eq!(purge("Bearer the-first-secret").await, 200);
    scene.server().output.lock().unwrap().clear();
    publish("2", "the-second-secret");
    scene.server().wait_for("was read again");
    assert_eq!(purge("Bearer the-first-secret").await, 401);
    assert_eq!(purge("Bearer the-second-secret").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_form_of_the_log() {
    let mut scene = Scene::set().await;
    let address = scene.address("listen");
    for (is_json, from, to) in [
        (true, "[instances", "[log]\nformat = \"json\"\n[instances"),
        (false, "\"json\"", "\"text\""),
    ] {
        scene.server().output.lock().unwrap().clear();
        scene.rewrite(from, to);
        scene.server().signal("HUP");
        scene.server().wait_for("was read again");
        Answer::to(&address, "GET", FACE, &[]).await;
        let said = scene.server().wait_for("route");
        assert!(said.contains("was read again"), "{said}");
        let as_json = said.lines().map(serde_json::from_str::<serde_json::Value>);
        let forms: Vec<_> = as_json.map(|line| line.is_ok()).collect();
        assert!(forms.iter().all(|form| *form == is_json), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_need_a_restart_are_named_in_the_log() {
    let mut scene = Scene::set().await;
    let dir = scene.program.folder.path().join("cache");
    let dir = dir.display().to_string();
    scene.rewrite(&dir, &format!("{dir}-elsewhere"));
    scene.server().signal("HUP");
    let said = scene.server().wait_for("takes effect after a restart");
    assert!(said.contains("cache.dir"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_connections_pictures_and_pauses() {
    let mut scene = Scene::set().await;
    let address = scene.address("listen");
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |path: &str| {
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Empty::<Bytes>::new())
            .unwrap();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        let status = response.headers()["cache-status"]
            .to_str()
            .unwrap()
            .to_owned();
        response.into_body().collect().await.unwrap();
        status
    };
    assert!(ask(FACE).await.contains("fwd=uri-miss"));
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(600),
    };
    scene
        .emulator
        .control()
        .inject(Rule::api(limited).times(1))
        .unwrap();
    assert!(
        ask("/avatar/waha/628100000002")
            .await
            .contains("rate_limited")
    );
    scene.rewrite(
        "mode = \"open\"",
        "mode = \"open\"\nallow_origin = \"https://crm.example\"",
    );
    scene.server().signal("HUP");
    scene.server().wait_for("was read again");
    // The connection is the same.
    assert!(ask(FACE).await.contains("; hit"));
    assert!(
        ask("/avatar/waha/628100000003")
            .await
            .contains("rate_limited")
    );
    assert_eq!(
        scene.get(FACE).await.header("access-control-allow-origin"),
        "https://crm.example"
    );
}
