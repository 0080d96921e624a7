//! Instances whose account or name changed: the faces of an account are shown to its users alone, and can be moved and
//! deleted by their name in the cache.

use std::{fs, io::Read, path::Path, process::Stdio, time::Duration};

use crate::support::{Answer, Rig, program::errors, scene::Scene};
use serde_json::Value;

const FACE: &str = "628100000001";

async fn admin(rig: &Rig, method: &str, path: &str) -> Answer {
    Answer::to(&rig.admin(), method, path, &[]).await
}

#[tokio::test]
async fn an_instance_with_another_account_shows_no_face_of_the_earlier_account() {
    let mut rig = Rig::start().await;
    let picture = rig.bytes(FACE);
    for jid in [FACE, "me"] {
        rig.face("waha", jid).await;
    }
    for account in ["other", "third"] {
        rig.traffic();
        rig.reload(&format!("account = \"{account}\""));
        for jid in [FACE, "me"] {
            let face = rig.face("waha", jid).await;
            assert!(face.cache_status().contains("fwd=uri-miss"), "{account}");
        }
        assert_eq!(rig.traffic().0, 2);
        rig.restart().await;
        rig.face("waha", FACE).await.assert_picture(&picture);
        assert_eq!(rig.traffic().0, 0);
    }
    // A mistake that is corrected costs nothing.
    rig.reload("account = \"shop\"");
    let face = rig.face("waha", FACE).await;
    assert!(
        face.cache_status().contains("; hit"),
        "{}",
        face.cache_status()
    );
    assert_eq!(rig.traffic().0, 0);
}

#[tokio::test]
async fn a_restart_with_another_account_shows_no_face_of_the_earlier_account_and_has_its_own_budget()
 {
    let mut rig = Rig::start().await;
    rig.reload("lookups = { per_minute = 1, burst = 3 }");
    for number in 1..=3 {
        rig.face("waha", &format!("62810000000{number}")).await;
    }
    rig.stop().await;
    rig.configure("account = \"other\"");
    rig.restart().await;
    let face = rig.face("waha", FACE).await;
    assert!(face.cache_status().contains("fwd=uri-miss"));
    assert_eq!(face.source(), "picture");
}

#[tokio::test]
async fn a_forgotten_person_stays_forgotten_when_the_account_changes() {
    let mut rig = Rig::start().await;
    rig.face("waha", FACE).await;
    let path = format!("/v1/avatars/waha/{FACE}");
    assert_eq!(admin(&rig, "DELETE", &path).await.status, 204);
    rig.reload("account = \"other\"");
    rig.traffic();
    for _ in 0..2 {
        rig.face("waha", FACE).await.assert_fallback("hidden");
    }
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn forgetting_and_purging_an_instance_reach_the_faces_of_its_earlier_accounts() {
    let mut rig = Rig::start().await;
    let other = "628100000002";
    rig.face("waha", FACE).await;
    rig.face("waha", other).await;
    rig.reload("account = \"other\"");
    rig.face("waha", other).await;
    let path = format!("/v1/avatars/waha/{FACE}");
    assert_eq!(admin(&rig, "DELETE", &path).await.status, 204);
    let query = "/v1/purge?instance=waha&earlier=true&hard=true";
    // One of the two is a tombstone now, which no purge removes.
    assert_eq!(admin(&rig, "POST", query).await.text(), "{\"purged\":2}");
    rig.traffic();
    rig.face("waha", other)
        .await
        .assert_picture(&rig.bytes(other));
    assert_eq!(rig.traffic(), (0, 0));
    rig.reload("account = \"shop\"");
    rig.face("waha", FACE).await.assert_fallback("hidden");
    let face = rig.face("waha", other).await;
    assert!(face.cache_status().contains("fwd=uri-miss"));
    let query = "/v1/purge?instance=waha&hard=true";
    assert_eq!(admin(&rig, "POST", query).await.status, 200);
}

/// A cache with `count` faces of the instance `waha`.
async fn scene_with_faces(count: usize) -> Scene {
    let scene = Scene::set().await;
    for number in 0..count {
        face(&scene, "waha", number).await;
    }
    scene
}

/// Renames the instance in the configuration.
fn rename_in_configuration(scene: &Scene, from: &str, to: &str) {
    let (from, to) = (format!("[instances.{from}]"), format!("[instances.{to}]"));
    scene.rewrite(&from, &to);
}

async fn face(scene: &Scene, instance: &str, number: usize) -> Answer {
    let jid = format!("62855500{number:03}");
    let answer = scene.get(&format!("/avatar/{instance}/{jid}")).await;
    answer.assert_picture(&scene.emulator.control().face_bytes(&jid).unwrap());
    answer
}

/// Asserts that all faces are in the cache.
async fn assert_cached(scene: &Scene, instance: &str, count: usize) {
    scene.emulator.control().reset_calls();
    for number in 0..count {
        face(scene, instance, number).await;
    }
    assert_eq!(scene.emulator.control().calls().api, 0);
}

/// The output of a command, and whether it succeeded.
fn run(scene: &Scene, args: &[&str]) -> (String, bool) {
    let output = scene.command(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &errors(&output);
    (said, output.status.success())
}

fn states(scene: &Scene) -> Vec<String> {
    let folder = scene.program.folder.path().join("cache/instances");
    let items = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = items
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_instance_gets_its_faces_by_cache_rename() {
    for is_running in [true, false] {
        let mut scene = scene_with_faces(5).await;
        scene.stop();
        rename_in_configuration(&scene, "waha", "support");
        scene.serve();
        // It has one of the faces already.
        face(&scene, "support", 0).await;
        let log = scene.server().wait_for("is not configured");
        assert!(log.contains("faceplate cache rename waha NEW"), "{log}");
        let (said, _) = run(&scene, &["cache", "stats"]);
        assert!(
            said.contains("5 entries of accounts that are not configured"),
            "{said}"
        );
        assert!(said.contains("5 waha (not configured)"), "{said}");
        let (said, _) = run(&scene, &["doctor"]);
        assert!(
            said.contains("not configured, which are not served: waha"),
            "{said}"
        );
        let (said, _) = run(&scene, &["cache", "stats", "--json"]);
        let stats: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(stats["unused"], serde_json::json!({ "waha": 5 }));
        let (said, is_done) = run(&scene, &["cache", "rename", "support", "support"]);
        assert!(
            !is_done && said.contains("a configured instance uses the old name"),
            "{said}"
        );
        let (said, is_done) = run(&scene, &["cache", "rename", "waha", "nobody"]);
        assert!(
            !is_done && said.contains("no configured instance"),
            "{said}"
        );
        let (said, is_done) = run(&scene, &["cache", "rename", "wahu", "support"]);
        assert!(
            !is_done && said.contains("no faces of the old name"),
            "{said}"
        );

        if !is_running {
            scene.stop();
        }
        let (said, is_done) = run(&scene, &["cache", "rename", "waha", "support"]);
        assert!(is_done, "{said}");
        assert_eq!(said, "4 faces renamed; 1 had the new name already\n");
        if !is_running {
            scene.serve();
        }
        assert_cached(&scene, "support", 5).await;
        let (said, _) = run(&scene, &["cache", "stats"]);
        assert!(!said.contains("not configured"), "{said}");
        let (said, _) = run(&scene, &["cache", "verify"]);
        assert!(said.contains("5 entries are good, 0 damaged"), "{said}");
        assert!(!states(&scene).iter().any(|name| name.starts_with("waha")));
        let log = scene.stop();
        assert!(is_running || !log.contains("is not configured"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_was_killed_continues_when_it_is_repeated() {
    const COUNT: usize = 60;
    let mut scene = scene_with_faces(COUNT).await;
    scene.stop();
    rename_in_configuration(&scene, "waha", "support");
    let mut kills: u64 = 0;
    loop {
        let mut command = scene
            .program
            .command(&["cache", "rename", "waha", "support"]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        // Each run gets a little further.
        tokio::time::sleep(Duration::from_millis(kills)).await;
        if let Some(status) = process.try_wait().unwrap() {
            let mut said = String::new();
            let mut stderr = process.stderr.take().unwrap();
            stderr.read_to_string(&mut said).unwrap();
            // The run before may have been killed when all was done.
            assert!(status.success() || said.contains("no faces"), "{said}");
            break;
        }
        process.kill().unwrap();
        if process.wait().unwrap().success() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 0);
    scene.serve();
    assert_cached(&scene, "support", COUNT).await;
    let (said, _) = run(&scene, &["cache", "stats"]);
    assert!(
        said.contains(&format!("{COUNT} entries, {COUNT} with a picture")),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_of_a_renamed_instance_has_the_new_name() {
    let mut scene = scene_with_faces(0).await;
    scene.stop();
    scene.rewrite("[cache]", "[cache]\nretain = \"forever\"");
    scene.serve();
    face(&scene, "waha", 0).await;
    scene.stop();
    let export = |to: &Path| {
        let (said, is_done) = run(&scene, &["cache", "export", to.to_str().unwrap()]);
        assert!(is_done, "{said}");
        let manifest = fs::read_to_string(to.join("manifest.json")).unwrap();
        serde_json::from_str::<Value>(&manifest).unwrap()
    };
    let before = export(&scene.program.folder.path().join("before"));
    rename_in_configuration(&scene, "waha", "support");
    for _ in 0..2 {
        run(&scene, &["cache", "rename", "waha", "support"]);
    }
    let after = export(&scene.program.folder.path().join("after"));
    assert_eq!(after.as_array().unwrap().len(), 1);
    assert_eq!(
        (&before[0]["instance"], &after[0]["instance"]),
        (&"waha".into(), &"support".into())
    );
    for member in ["jid", "since", "integrity"] {
        assert_eq!(before[0][member], after[0][member]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faces_of_a_removed_instance_can_be_forgotten_and_purged() {
    let mut scene = scene_with_faces(3).await;
    scene.stop();
    rename_in_configuration(&scene, "waha", "support");
    let (said, is_done) = run(&scene, &["cache", "forget", "waha", "62855500000"]);
    assert!(is_done && said == "forgotten\n", "{said}");
    scene.serve();
    let path = "/v1/avatars/waha/62855500001";
    assert_eq!(scene.admin("GET", path).await.status, 200);
    assert_eq!(scene.admin("DELETE", path).await.status, 204);
    let record: Value = serde_json::from_slice(&scene.admin("GET", path).await.body).unwrap();
    assert_eq!(
        (&record["forgotten"], &record["picture"]),
        (&true.into(), &Value::Null)
    );
    let unknown = "/v1/avatars/waha/62855500009";
    assert_eq!(scene.admin("DELETE", unknown).await.status, 404);
    let purged = scene
        .admin("POST", "/v1/purge?instance=waha&hard=true")
        .await;
    assert_eq!(purged.text(), "{\"purged\":3}");
    assert!(!states(&scene).iter().any(|name| name.starts_with("waha")));
    let (said, _) = run(&scene, &["cache", "stats"]);
    assert!(said.contains(", 0 with a picture"), "{said}");
    let purged = scene
        .admin("POST", "/v1/purge?instance=nobody&hard=true")
        .await;
    assert_eq!(purged.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_account_is_told_at_the_start_with_the_remedy() {
    let mut scene = scene_with_faces(2).await;
    scene.stop();
    scene.rewrite("account = \"shop\"", "account = \"moved\"");
    for _ in 0..2 {
        scene.serve();
        let log = scene.stop();
        assert!(
            log.contains("the instance had another account before"),
            "{log}"
        );
        assert!(log.contains("faceplate cache rename waha waha"), "{log}");
    }
    let (said, _) = run(&scene, &["doctor"]);
    assert!(
        said.contains("not configured, which are not served: waha"),
        "{said}"
    );
    // It was the same WhatsApp account, at another address.
    let (said, is_done) = run(&scene, &["cache", "rename", "waha", "waha"]);
    assert!(is_done && said.starts_with("2 faces renamed"), "{said}");
    scene.serve();
    assert_cached(&scene, "waha", 2).await;
    let log = scene.stop();
    assert!(!log.contains("another account before"), "{log}");
}

#[tokio::test]
async fn a_renamed_instance_keeps_its_used_up_budget() {
    let mut scene = scene_with_faces(0).await;
    scene.stop();
    let narrow = "lookups = { per_minute = 1, burst = 2 }";
    scene.rewrite("lookups = { per_minute = 60000, burst = 10000 }", narrow);
    scene.serve();
    for number in 0..2 {
        face(&scene, "waha", number).await;
    }
    scene.stop();
    rename_in_configuration(&scene, "waha", "support");
    scene.serve();
    let refused = scene.get("/avatar/support/62855500003").await;
    refused.assert_fallback("over_budget");
}
