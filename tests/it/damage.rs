//! Flipped bits and broken disks never cause a wrong picture or a failed request.

use std::{
    fs::{self, TryLockError},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::support::{Answer, LIMIT, Rig, only_file, rig::Settings, until};
use faceplate::emulator::{Fault, Picture, Rule};
use sha2::{Digest, Sha256};

const FACE: &str = "628100000008";

/// Flips one bit, restarts, and requests the face, for many positions of the bit.
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
        // The entry is repaired: it is there after the next restart.
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
async fn a_picture_that_is_read_from_disk_again_and_again_is_proven_each_time() {
    // The memory tier is too small for a picture, so every request reads the disk.
    let rig = Settings::default()
        .section("cache", "memory = \"1b\"")
        .start()
        .await;
    for _ in 0..3 {
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
    }
    rig.traffic();
    let file = only_file(&rig, "content-v2");
    let mut bad = fs::read(&file).unwrap();
    bad[1000] ^= 1;
    fs::write(&file, bad).unwrap();
    for _ in 0..3 {
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
    }
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn damaged_entries_are_counted_in_the_metrics() {
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
async fn a_damaged_last_line_of_an_index_file_does_not_bring_back_an_older_picture_as_fresh() {
    let mut rig = Rig::start().await;
    rig.face("waha", FACE).await;
    let old = rig.bytes(FACE);
    rig.seconds(60);
    rig.vendors().set_picture(FACE, Picture::Face(5)).unwrap();
    rig.get(&format!("/avatar/waha/{FACE}?refresh=true"))
        .await
        .assert_picture(&rig.bytes(FACE));
    let damage = |rig: &Rig| {
        let path = only_file(rig, "index-v5");
        let mut bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 2);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    rig.stop().await;
    let saved = fs::read(only_file(&rig, "index-v5")).unwrap();
    damage(&rig);
    // If the vendor answers, its answer counts.
    rig.restart().await;
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    // If it does not, the older picture is shown as stale.
    rig.stop().await;
    fs::write(only_file(&rig, "index-v5"), saved).unwrap();
    // Only the index file is restored. The older picture's bytes were removed when it was replaced.
    let content = rig.cache.path().join("content-v2");
    cacache_content(&content, &old);
    damage(&rig);
    rig.restart().await;
    rig.inject(Rule::api(Fault::Status {
        status: 502,
        retry_after: None,
    }));
    let answer = rig.face("waha", FACE).await;
    answer.assert_picture(&old);
    assert_eq!(answer.header("x-faceplate-reason"), "vendor_error");
}

/// Writes a picture to its content path.
fn cacache_content(folder: &Path, bytes: &[u8]) {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = folder.join("sha256").join(&hex[..2]).join(&hex[2..4]);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(&hex[4..]), bytes).unwrap();
}

#[tokio::test]
async fn a_cache_directory_removed_while_running_is_created_again() {
    let mut rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.run_maintenance().await;
    fs::remove_dir_all(rig.cache.path()).unwrap();
    for jid in [FACE, "628100000001", "628100000002"] {
        rig.face("waha", jid).await.assert_picture(&rig.bytes(jid));
    }
    assert_eq!(readiness(&rig).await, "ok\n");
    // It has the same mode and lock as before.
    let mode = fs::metadata(rig.cache.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let lock = fs::File::open(rig.cache.path().join("lock")).unwrap();
    assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
    // The lost entries are not counted. The first face is in memory and was not written again.
    rig.run_maintenance().await;
    let cache = Answer::to(&rig.admin(), "GET", "/v1/cache", &[]).await;
    assert!(cache.text().contains("\"entries\":2,"), "{}", cache.text());
    rig.restart().await;
    rig.traffic();
    rig.face("waha", "628100000002")
        .await
        .assert_picture(&rig.bytes("628100000002"));
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_cache_directory_that_another_server_has_locked_is_left_alone() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    fs::remove_dir_all(rig.cache.path()).unwrap();
    fs::create_dir(rig.cache.path()).unwrap();
    let theirs = fs::File::create(rig.cache.path().join("lock")).unwrap();
    theirs.try_lock().unwrap();
    let answer = rig.face("waha", "628100000001").await;
    answer.assert_picture(&rig.bytes("628100000001"));
    assert!(!answer.cache_status().contains("stored"));
    let ready = readiness(&rig).await;
    assert!(ready.contains("in use by another faceplate"), "{ready}");
    drop(theirs);
    rig.run_maintenance().await;
    assert_eq!(readiness(&rig).await, "ok\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_disk_delays_no_probe_and_no_face_in_memory() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.run_maintenance().await;
    let index = hang(&rig);
    let address = rig.address();
    let hanging = tokio::spawn(async move {
        let path = format!("/avatar/waha/{FACE}?refresh=true");
        Answer::to(&address, "GET", &path, &[]).await
    });
    until(async || rig.calls().api > 1 || rig.calls().cdn > 1, LIMIT).await;
    for _ in 0..20 {
        assert_eq!(readiness(&rig).await, "ok\n");
        for probe in ["/livez", "/metrics", "/v1/cache"] {
            let answer = Answer::to(&rig.admin(), "GET", probe, &[]).await;
            assert_eq!(answer.status, 200);
        }
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
    }
    end_hang(&index, None);
    hanging.await.unwrap().assert_picture(&rig.bytes(FACE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_on_a_hanging_disk_gets_a_placeholder_in_time() {
    let mut rig = with_hasty_pages().start().await;
    let index = put_on_hanging_disk(&mut rig).await;
    let answer = rig.face("waha", FACE).await;
    assert_eq!(answer.source(), "fallback");
    assert!(answer.cache_status().contains("deferred"));
    assert_eq!(answer.header("cache-control"), "no-store");
    end_hang(&index, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_whose_look_up_outlasts_first_paint_is_fetched_all_the_same() {
    let mut rig = with_hasty_pages().start().await;
    let index = put_on_hanging_disk(&mut rig).await;
    for query in ["", "?refresh=true", "?s=64"] {
        let answer = rig.get(&format!("/avatar/waha/{FACE}{query}")).await;
        assert!(answer.cache_status().contains("deferred"), "{query}");
    }
    let path = format!("/v1/avatars/waha/{FACE}");
    let refreshed = Answer::to(&rig.admin(), "POST", &path, &[]).await;
    assert_eq!(refreshed.status, 202, "{}", refreshed.text());
    assert_eq!(rig.traffic(), (0, 0));
    // The disk answers that the entry is damaged.
    end_hang(&index, None);
    let is_fetched = async || {
        let answer = rig.face("waha", FACE).await;
        answer.cache_status().contains("; hit")
    };
    until(is_fetched, LIMIT).await;
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    // One for the views, and one for the refreshes.
    until(async || rig.calls().api == 2, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_whose_look_up_outlasts_first_paint_stays_wanted_if_the_budget_is_used_up() {
    let lookups = "lookups = { per_minute = 1, burst = 1 }";
    let mut rig = with_hasty_pages().instance(lookups).start().await;
    let index = put_on_hanging_disk(&mut rig).await;
    let answer = rig.face("waha", FACE).await;
    assert!(answer.cache_status().contains("deferred"));
    end_hang(&index, None);
    let is_wanted = async || rig.instance_record("waha").await["wanted"] == 1;
    until(is_wanted, LIMIT).await;
    rig.seconds(60);
    until(async || rig.calls().api == 1, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_face_whose_look_up_outlasts_first_paint_costs_no_call() {
    let mut rig = with_hasty_pages().start().await;
    store(&mut rig).await;
    let entry = fs::read(only_file(&rig, "index-v5")).unwrap();
    let index = hang(&rig);
    let answer = rig.face("waha", FACE).await;
    assert!(answer.cache_status().contains("deferred"));
    end_hang(&index, Some(&entry));
    let is_read = async || {
        let answer = rig.face("waha", FACE).await;
        answer.cache_status().contains("; hit")
    };
    until(is_read, LIMIT).await;
    assert_eq!(rig.traffic(), (0, 0));
}

/// A server with no memory tier to speak of, whose pages wait for 50 ms.
fn with_hasty_pages() -> Settings {
    let cache = "memory = \"1b\"\nfirst_paint = \"50ms\"";
    Settings::default().section("cache", cache)
}

/// Stores the face on a disk that hangs from then on.
async fn put_on_hanging_disk(rig: &mut Rig) -> PathBuf {
    store(rig).await;
    hang(rig)
}

/// Stores the face, and starts the server again: a process knows an entry that it has written or read without its index
/// file.
async fn store(rig: &mut Rig) {
    rig.face("waha", FACE).await;
    until(async || !rig.files("index-v5").is_empty(), LIMIT).await;
    rig.restart().await;
    rig.run_maintenance().await;
    rig.traffic();
}

/// Replaces the index file by a named pipe. Opening it blocks until the other end is opened, like a file of a
/// network disk that is gone.
fn hang(rig: &Rig) -> PathBuf {
    let index = only_file(rig, "index-v5");
    fs::remove_file(&index).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&index).status();
    assert!(made.unwrap().success());
    index
}

/// Ends the wait of all threads that open the pipe, and puts a file with this entry, or no file, in its place.
fn end_hang(index: &Path, entry: Option<&[u8]>) {
    // Opening both ends does not block.
    let pipe = fs::File::options().read(true).write(true).open(index);
    let mut pipe = pipe.unwrap();
    fs::remove_file(index).unwrap();
    if let Some(entry) = entry {
        fs::write(index, entry).unwrap();
        pipe.write_all(entry).unwrap();
    }
    // A thread that found the pipe before may open it only now, and would wait for ever if it were closed.
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(1));
        drop(pipe);
    });
}

#[tokio::test]
async fn a_disk_that_fails_writes_costs_caching_but_no_answer() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    // A regular file in place of the cache's folder makes every write fail, root's too.
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
        // This one comes from memory.
        let second = rig.face("waha", jid).await;
        second.assert_picture(&rig.bytes(jid));
        assert!(second.cache_status().starts_with("faceplate; hit"));
    }
    assert!(
        readiness(&rig).await.contains("degraded"),
        "{}",
        readiness(&rig).await
    );
    // Writing resumes by itself, without a picture to write.
    fs::remove_file(rig.cache.path()).unwrap();
    rig.run_maintenance().await;
    assert_eq!(readiness(&rig).await, "ok\n");
    let answer = rig.face("waha", "628100000003").await;
    assert!(
        answer.cache_status().contains("stored"),
        "{}",
        answer.cache_status()
    );
    assert_eq!(readiness(&rig).await, "ok\n");
}
