//! Reloads of the configuration keep connections and pictures.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::support::{Answer, Rig, scene::Scene};
use faceplate::emulator::{Fault, Rule};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

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
async fn a_removed_configuration_file_is_a_failed_reload_until_it_is_back() {
    let mut scene = Scene::set().await;
    let file = scene.program.folder.path().join("faceplate.toml");
    let away = file.with_extension("away");
    fs::rename(&file, &away).unwrap();
    let said = scene.server().wait_for("the old one stays");
    assert!(said.contains("faceplate.toml"), "{said}");
    assert_eq!(scene.get(FACE).await.status, 200);
    fs::rename(&away, &file).unwrap();
    scene.server().wait_for("was read again");
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
    let stream = TcpStream::connect(&address).await.unwrap();
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

/// A way to a server, and how many connections have come by it.
async fn counted_way_to(server: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                // Either of the two may end early.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, count)
}

#[tokio::test]
async fn a_reload_keeps_the_connections_to_the_vendor() {
    let mut rig = Rig::start().await;
    let (way, connections) = counted_way_to(rig.emulator.api()).await;
    rig.reload_only("waha", &format!("base_url = \"http://{way}\""));
    // A connection that is idle for some seconds is closed, and a busy machine may take them between two calls.
    for attempt in 0..5 {
        let faces = [1, 2].map(|nth| format!("6281000000{:02}", 2 * attempt + nth));
        let first = rig.face("waha", &faces[0]).await;
        first.assert_picture(&rig.bytes(&faces[0]));
        let before = connections.load(Ordering::Relaxed);
        assert!(before > 0);
        let burst = 1000 + attempt;
        rig.reload(&format!(
            "lookups = {{ per_minute = 6000, burst = {burst} }}"
        ));
        let second = rig.face("waha", &faces[1]).await;
        second.assert_picture(&rig.bytes(&faces[1]));
        if connections.load(Ordering::Relaxed) == before {
            return;
        }
    }
    panic!("the call after each reload opened a connection");
}
