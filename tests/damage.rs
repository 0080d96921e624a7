//! Flipped bits and broken disks: never a wrong picture, never a failed request.

#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::PathBuf};

use support::{Answer, Rig};

const FACE: &str = "628100000008";

fn only_file(rig: &Rig, folder: &str) -> PathBuf {
    let mut folders = vec![rig.cache.path().join(folder)];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                return path;
            }
        }
    }
    panic!("no file in {folder}");
}

/// Flips one bit at each of many places in turn, restarts, and looks at the face.
async fn flip_everywhere(folder: &str, step: usize) {
    let mut rig = Rig::start().await;
    rig.face("waha", FACE).await;
    let (file, mut damaged) = (only_file(&rig, folder), 0);
    let good = fs::read(&file).unwrap();
    for at in (0..good.len()).step_by(step) {
        rig.stop().await;
        let file = only_file(&rig, folder);
        let mut bad = fs::read(&file).unwrap();
        let at = at.min(bad.len() - 1);
        bad[at] ^= 1 << (at % 8);
        fs::write(&file, bad).unwrap();
        rig.restart().await;
        rig.traffic();
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        damaged += usize::from(rig.traffic().0 > 0);
        // Healed: the next restart finds it whole.
        rig.restart().await;
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        assert_eq!(rig.traffic(), (0, 0), "offset {at} was not healed");
    }
    assert!(damaged > 0);
}

#[tokio::test]
async fn a_flipped_bit_in_a_picture_is_never_served_and_healed_by_a_fetch() {
    flip_everywhere("content-v2", 97).await;
}

#[tokio::test]
async fn a_flipped_bit_in_the_index_is_never_believed_and_healed_by_a_fetch() {
    flip_everywhere("index-v5", 13).await;
}

#[tokio::test]
async fn damage_is_counted() {
    let mut rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.stop().await;
    fs::write(only_file(&rig, "content-v2"), "not a picture").unwrap();
    rig.restart().await;
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    let cache = Answer::to(&rig.admin(), "GET", "/v1/cache", &[]).await;
    assert!(cache.text().contains("\"damaged\":1"), "{}", cache.text());
}

#[tokio::test]
async fn a_picture_whose_file_is_gone_is_fetched_again() {
    let mut rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.stop().await;
    fs::remove_dir_all(rig.cache.path().join("content-v2")).unwrap();
    rig.restart().await;
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.calls().cdn, 2);
}

async fn readiness(rig: &Rig) -> String {
    let answer = Answer::to(&rig.admin(), "GET", "/readyz", &[]).await;
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

#[tokio::test]
async fn a_cache_directory_removed_while_running_is_made_anew() {
    let mut rig = Rig::start().await;
    rig.face("waha", FACE).await;
    fs::remove_dir_all(rig.cache.path()).unwrap();
    for jid in [FACE, "628100000001", "628100000002"] {
        rig.face("waha", jid).await.assert_picture(&rig.bytes(jid));
    }
    assert_eq!(readiness(&rig).await, "ok\n");
    rig.restart().await;
    rig.traffic();
    rig.face("waha", "628100000002")
        .await
        .assert_picture(&rig.bytes("628100000002"));
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_disk_that_takes_no_writes_costs_caching_and_never_answers() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    // A file where the cache's folder was: nothing can be written, whoever tries.
    fs::remove_dir_all(rig.cache.path()).unwrap();
    fs::write(rig.cache.path(), "in the way").unwrap();
    for jid in [FACE, "628100000001", "628100000002"] {
        let first = rig.face("waha", jid).await;
        first.assert_picture(&rig.bytes(jid));
        assert!(
            !first.cache_status().contains("stored"),
            "{}",
            first.cache_status()
        );
        // From memory.
        let second = rig.face("waha", jid).await;
        second.assert_picture(&rig.bytes(jid));
        assert!(second.cache_status().starts_with("faceplate; hit"));
    }
    assert!(
        readiness(&rig).await.contains("degraded"),
        "{}",
        readiness(&rig).await
    );
    // And it resumes by itself.
    fs::remove_file(rig.cache.path()).unwrap();
    let answer = rig.face("waha", "628100000003").await;
    assert!(
        answer.cache_status().contains("stored"),
        "{}",
        answer.cache_status()
    );
    assert_eq!(readiness(&rig).await, "ok\n");
}
