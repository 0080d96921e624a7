//! Maintenance of the cache: eviction, collection of unreferenced files, compaction of index files.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::support::{Answer, Rig, rig::Settings};

fn jid(number: usize) -> String {
    format!("62855500{number:03}")
}

async fn cache(rig: &Rig) -> serde_json::Value {
    let answer = Answer::to(&rig.admin(), "GET", "/v1/cache", &[]).await;
    serde_json::from_slice(&answer.body).unwrap()
}

/// The evictions by cause, as the metrics count them.
async fn evictions(rig: &Rig) -> [u64; 4] {
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    ["max_bytes", "max_entries", "min_free", "inodes"].map(|cause| {
        let start = format!("faceplate_evictions_total{{cause=\"{cause}\"}} ");
        let mut lines = metrics.text().lines();
        let count = lines.find_map(|line| line.strip_prefix(&start));
        count.expect("a series of each cause").parse().unwrap()
    })
}

/// The pictures that are still in the cache, found without a call.
async fn find_cached(rig: &Rig, numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut kept = Vec::new();
    for number in numbers {
        let record = Answer::to(
            &rig.admin(),
            "GET",
            &format!("/v1/avatars/waha/{}", jid(number)),
            &[],
        )
        .await;
        if record.status == 200 {
            kept.push(number);
        }
    }
    kept
}

fn make_old(path: &Path, age: Duration) {
    let file = fs::File::options().append(true).open(path).unwrap();
    // File dates follow the system's clock, not the rig's.
    #[allow(clippy::disallowed_methods)]
    file.set_modified(SystemTime::now() - age).unwrap();
}

#[tokio::test]
async fn beyond_max_entries_the_least_recently_used_entries_are_evicted() {
    let rig = Settings::default()
        .section("cache", "max_entries = 20\nmemory = \"1b\"")
        .start()
        .await;
    for number in 0..30 {
        rig.face("waha", &jid(number)).await;
        rig.seconds(1);
    }
    rig.run_maintenance().await;
    assert_eq!(find_cached(&rig, 0..30).await, (11..30).collect::<Vec<_>>());
    assert_eq!(cache(&rig).await["evicted"], 11);
    assert_eq!(evictions(&rig).await, [0, 11, 0, 0]);
    assert_eq!(rig.files("index-v5").len(), 19);
    assert_eq!(rig.files("content-v2").len(), 19);
}

#[tokio::test]
async fn beyond_max_bytes_entries_are_evicted_until_it_holds() {
    let rig = Settings::default()
        .section("cache", "max_bytes = \"256KiB\"\nmemory = \"1b\"")
        .start()
        .await;
    for number in 0..40 {
        rig.face("waha", &jid(number)).await;
        rig.seconds(1);
    }
    rig.run_maintenance().await;
    let bytes = cache(&rig).await["bytes"].as_u64().unwrap();
    assert!(bytes <= 256 * 1024 && bytes > 128 * 1024, "{bytes}");
    let [of_bytes, others @ ..] = evictions(&rig).await;
    assert!(of_bytes > 0 && others == [0, 0, 0], "{of_bytes} {others:?}");
    let left = find_cached(&rig, 0..40).await;
    assert_eq!(*left.last().unwrap(), 39);
    assert!(!left.contains(&0));
}

#[tokio::test]
async fn a_face_that_is_evicted_from_disk_stays_in_memory() {
    let rig = Settings::default()
        .section("cache", "max_entries = 1")
        .start()
        .await;
    for number in 0..5 {
        rig.face("waha", &jid(number)).await;
    }
    rig.run_maintenance().await;
    assert!(rig.files("index-v5").len() <= 1);
    rig.traffic();
    for number in 0..5 {
        let face = rig.face("waha", &jid(number)).await;
        face.assert_picture(&rig.bytes(&jid(number)));
    }
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_reserve_that_eviction_cannot_give_evicts_nothing() {
    let rig = Settings::default()
        .section("cache", "min_free = \"1000TiB\"\nmemory = \"1b\"")
        .start()
        .await;
    for number in 0..5 {
        rig.face("waha", &jid(number)).await;
    }
    rig.run_maintenance().await;
    let record = cache(&rig).await;
    assert_eq!(
        (&record["entries"], &record["evicted"]),
        (&5.into(), &0.into())
    );
    let trouble = record["trouble"]["what"].as_str().unwrap();
    assert!(trouble.contains("short of space"), "{trouble}");
    rig.traffic();
    rig.face("waha", &jid(1))
        .await
        .assert_picture(&rig.bytes(&jid(1)));
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn eviction_by_age_continues_after_a_restart() {
    let mut rig = Settings::default()
        .section("cache", "max_entries = 10\nmemory = \"1b\"")
        .start()
        .await;
    for number in 0..10 {
        rig.face("waha", &jid(number)).await;
        rig.seconds(1);
    }
    rig.restart().await;
    rig.run_maintenance().await;
    assert_eq!(cache(&rig).await["entries"], 10);
    assert_eq!(cache(&rig).await["counted"], true);
    // A read from disk is a use.
    rig.face("waha", &jid(0)).await;
    rig.seconds(1);
    rig.face("waha", &jid(10)).await;
    rig.run_maintenance().await;
    let left = find_cached(&rig, 0..11).await;
    assert!(
        left.contains(&0) && left.contains(&10) && !left.contains(&1),
        "{left:?}"
    );
}

#[tokio::test]
async fn replacing_a_picture_removes_the_old_file() {
    let rig = Rig::start().await;
    rig.run_maintenance().await;
    rig.face("waha", "628100000001").await;
    for face in [2, 3, 4] {
        let picture = faceplate::emulator::Picture::Face(face);
        rig.vendors().set_picture("628100000001", picture).unwrap();
        rig.get("/avatar/waha/628100000001?refresh=true").await;
    }
    assert_eq!(rig.files("content-v2").len(), 1);
}

#[tokio::test]
async fn unreferenced_files_are_collected_after_the_grace() {
    let rig = Rig::start().await;
    rig.face("waha", &jid(1)).await;
    let ours = rig.files("content-v2");
    let folder = rig.cache.path().join("content-v2/sha256/ab/cd");
    fs::create_dir_all(&folder).unwrap();
    let orphan = folder.join("ef".repeat(30));
    fs::write(&orphan, "left by a crash").unwrap();
    let unfinished = rig.cache.path().join("tmp/.tmp7Qk2");
    fs::write(&unfinished, "half a picture").unwrap();
    rig.run_maintenance().await;
    assert!(orphan.exists() && unfinished.exists());
    for path in [&orphan, &unfinished, &ours[0]] {
        make_old(path, Duration::from_secs(3601));
    }
    rig.run_maintenance().await;
    assert!(!orphan.exists() && !unfinished.exists());
    assert_eq!(rig.files("content-v2"), ours);
}

#[tokio::test]
async fn the_operator_sets_the_grace_of_garbage_collection() {
    let rig = Settings::default()
        .section("cache", "gc_grace = \"0\"")
        .start()
        .await;
    let folder = rig.cache.path().join("content-v2/sha256/ab/cd");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ef".repeat(30)), "left by a crash").unwrap();
    rig.run_maintenance().await;
    assert_eq!(rig.files("content-v2").len(), 0);
}

#[tokio::test]
async fn a_thousand_confirmations_do_not_lengthen_the_index_file() {
    let rig = Settings::default()
        .instance("refreshes = { per_minute = 100000, burst = 100000 }\nlookups = { per_minute = 100000, burst = 100000 }")
        .start()
        .await;
    for _ in 0..1000 {
        rig.get("/avatar/waha/628100000008?refresh=true").await;
        rig.seconds(1);
    }
    let buckets = rig.files("index-v5");
    assert_eq!(buckets.len(), 1);
    assert!(fs::metadata(&buckets[0]).unwrap().len() <= 17 * 1024);
    let mut rig = rig;
    rig.restart().await;
    rig.face("waha", "628100000008")
        .await
        .assert_picture(&rig.bytes("628100000008"));
}
