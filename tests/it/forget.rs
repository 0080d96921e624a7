//! A forgotten face is removed from disk and memory, and is not fetched again for some days.

use std::path::PathBuf;

use crate::support::{Answer, LIMIT, Rig, rig::Settings, until};
use faceplate::emulator::{Fault, Picture, Rule};

const FACE: &str = "628100000001@c.us";
const CACHED: &str = "628100000002@c.us";

async fn admin(rig: &Rig, method: &str, path: &str) -> Answer {
    Answer::to(&rig.admin(), method, path, &[]).await
}

async fn forget(rig: &Rig, instance: &str) {
    let answer = admin(rig, "DELETE", &format!("/v1/avatars/{instance}/{FACE}")).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// The files of the cache that hold these bytes.
fn files_with(rig: &Rig, bytes: &[u8]) -> Vec<PathBuf> {
    let mut files = rig.files("");
    files.retain(|path| std::fs::read(path).is_ok_and(|content| content == bytes));
    files
}

#[tokio::test]
async fn forgetting_removes_the_bytes_at_once_and_blocks_new_calls() {
    let mut rig = Rig::start().await;
    let bytes = rig.face("waha", FACE).await.body;
    forget(&rig, "waha").await;
    assert_eq!(files_with(&rig, &bytes), Vec::<PathBuf>::new());
    rig.traffic();
    rig.face("waha", FACE).await.assert_fallback("hidden");
    rig.get(&format!("/avatar/waha/{FACE}?refresh=true"))
        .await
        .assert_fallback("hidden");
    rig.restart().await;
    rig.hours(29 * 24);
    rig.face("waha", FACE).await.assert_fallback("hidden");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_forgotten_face_may_be_fetched_again_after_the_configured_days() {
    let rig = Settings::default()
        .section("cache", "forget_for = \"2d\"")
        .start()
        .await;
    rig.face("waha", FACE).await;
    forget(&rig, "waha").await;
    rig.hours(48);
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
}

#[tokio::test]
async fn the_operator_who_refreshes_a_forgotten_face_is_told_that_it_is_forgotten() {
    let rig = Rig::start().await;
    let path = format!("/v1/avatars/waha/{FACE}");
    assert_eq!(admin(&rig, "POST", &path).await.status, 200);
    forget(&rig, "waha").await;
    rig.traffic();
    let refused = admin(&rig, "POST", &path).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    for words in ["problem:forgotten", "not asked", "cache.forget_for"] {
        assert!(refused.text().contains(words), "{}", refused.text());
    }
    assert_eq!(rig.traffic(), (0, 0));
    // The tombstone is shown all the same.
    let tombstone = admin(&rig, "GET", &path).await;
    assert!(tombstone.text().contains("\"forgotten\":true"));
}

#[tokio::test]
async fn forgetting_a_face_keeps_bytes_that_another_face_has() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    let bytes = rig.face("wappfy", FACE).await.body;
    forget(&rig, "waha").await;
    assert_eq!(files_with(&rig, &bytes).len(), 1);
    rig.face("wappfy", FACE).await.assert_picture(&bytes);
    forget(&rig, "wappfy").await;
    assert_eq!(files_with(&rig, &bytes), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_fetch_in_flight_does_not_bring_back_a_forgotten_face() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"200ms\"")
        .start()
        .await;
    rig.inject(Rule::cdn(Fault::Latency { ms: 1000 }).times(1));
    rig.face("waha", FACE).await.assert_fallback("deferred");
    until(async || rig.calls().cdn > 0, LIMIT).await;
    rig.seconds(1);
    forget(&rig, "waha").await;
    let mut rig = rig;
    rig.restart().await;
    rig.face("waha", FACE).await.assert_fallback("hidden");
    assert_eq!(files_with(&rig, &rig.bytes(FACE)), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_picture_removed_at_the_vendor_does_not_come_back_from_an_older_fetch() {
    let rig = Settings::default()
        .section(
            "cache",
            "first_paint = \"10ms\"\non_hidden = \"drop\"\nconfirmations = 1",
        )
        .start()
        .await;
    rig.inject(Rule::cdn(Fault::Latency { ms: 300 }).times(1));
    rig.face("waha", FACE).await.assert_fallback("deferred");
    until(async || rig.calls().cdn > 0, LIMIT).await;
    // A later question is answered earlier: the picture is gone.
    rig.seconds(1);
    rig.vendors().set_picture(FACE, Picture::NotSet).unwrap();
    rig.get(&format!("/avatar/waha/{FACE}?refresh=true")).await;
    // On a slow machine the refresh is answered before its call is made.
    until(async || rig.calls().api == 2, LIMIT).await;
    let mut rig = rig;
    rig.restart().await;
    rig.face("waha", FACE).await.assert_fallback("unknown");
}

#[tokio::test]
async fn the_admin_record_of_a_face_has_its_entry() {
    let rig = Rig::start().await;
    let path = format!("/v1/avatars/waha/{FACE}");
    assert_eq!(admin(&rig, "GET", &path).await.status, 404);
    let face = rig.face("waha", FACE).await;
    let record: serde_json::Value =
        serde_json::from_slice(&admin(&rig, "GET", &path).await.body).unwrap();
    assert_eq!(record["last"]["outcome"], "picture");
    assert_eq!(record["picture"]["etag"], face.header("etag"));
    assert_eq!(record["picture"]["bytes"], face.body.len());
    assert_eq!(record["picture"]["fresh"], true);
    forget(&rig, "waha").await;
    let record: serde_json::Value =
        serde_json::from_slice(&admin(&rig, "GET", &path).await.body).unwrap();
    assert_eq!(record["forgotten"], true);
    assert!(record["picture"].is_null());
}

#[tokio::test]
async fn a_refresh_by_the_operator_that_has_no_answer_yet_says_so() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"200ms\"")
        .start()
        .await;
    let record = async |jid: &str| admin(&rig, "GET", &format!("/v1/avatars/waha/{jid}")).await;
    rig.face("waha", CACHED).await;
    until(async || record(CACHED).await.status == 200, LIMIT).await;
    for (jid, earlier) in [(FACE, "null"), (CACHED, "{")] {
        let path = format!("/v1/avatars/waha/{jid}");
        rig.inject(Rule::cdn(Fault::Latency { ms: 2000 }).times(1));
        rig.seconds(60);
        let deferred = admin(&rig, "POST", &path).await;
        assert_eq!(deferred.status, 202, "{}", deferred.text());
        for words in ["has not answered", &format!("\"entry\":{earlier}")] {
            assert!(deferred.text().contains(words), "{}", deferred.text());
        }
        until(async || record(jid).await.status == 200, LIMIT).await;
    }
}

#[tokio::test]
async fn the_admin_token_protects_everything_but_the_probes() {
    let rig = Settings::default()
        .section("admin", "listen = \"127.0.0.1:0\"\ntoken = \"env:BEARER\"")
        .start()
        .await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(admin(&rig, "GET", path).await.status, 200);
    }
    let path = format!("/v1/avatars/waha/{FACE}");
    let refused = admin(&rig, "DELETE", &path).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    let bearer = [("authorization", "Bearer a bearer token for tests")];
    assert_eq!(
        Answer::to(&rig.admin(), "DELETE", &path, &bearer)
            .await
            .status,
        204
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_races_with_forgetting_does_not_bring_back_the_face() {
    let mut rig = Rig::start().await;
    let jids: Vec<String> = (0..150).map(|n| format!("62855500{n:03}")).collect();
    for jid in &jids {
        rig.face("waha", jid).await;
    }
    // The face is not in memory, so every request reads the disk.
    rig.restart().await;
    for jid in &jids {
        let (path, record) = (
            format!("/avatar/waha/{jid}"),
            format!("/v1/avatars/waha/{jid}"),
        );
        let (public, operator) = (rig.address(), rig.admin());
        tokio::join!(
            Answer::to(&public, "GET", &path, &[]),
            Answer::to(&public, "GET", &path, &[]),
            Answer::to(&operator, "DELETE", &record, &[]),
            Answer::to(&public, "GET", &path, &[]),
            Answer::to(&public, "GET", &path, &[]),
        );
        rig.get(&path).await.assert_fallback("hidden");
    }
}

#[tokio::test]
async fn a_change_of_an_entry_that_is_only_on_disk_is_visible_at_the_next_request() {
    let rig = Settings::default()
        .section("cache", "memory = \"1b\"")
        .start()
        .await;
    // Another face has the same pictures, so their files stay.
    let other = "628100000002@c.us";
    let path = format!("/avatar/waha/{FACE}");
    for jid in [FACE, other] {
        rig.vendors().set_picture(jid, Picture::Face(5)).unwrap();
    }
    rig.face("waha", other).await;
    let seen = async || [rig.get(&path).await.body, rig.get(&path).await.body];
    let first = rig.bytes(FACE);
    // The first answer is the vendor's, the next ones come from disk.
    assert_eq!(seen().await, [&first, &first]);
    assert_eq!(seen().await, [&first, &first]);
    rig.vendors().set_picture(FACE, Picture::Face(7)).unwrap();
    let second = rig.bytes(FACE);
    rig.get(&format!("{path}?refresh=true")).await;
    assert_eq!(seen().await, [&second, &second]);
    rig.vendors().set_picture(other, Picture::Face(7)).unwrap();
    rig.get(&format!("/avatar/waha/{other}?refresh=true")).await;
    forget(&rig, "waha").await;
    for _ in 0..2 {
        rig.get(&path).await.assert_fallback("hidden");
    }
}

#[tokio::test]
async fn forgetting_a_face_removes_its_picture_in_other_sizes_from_memory() {
    let rig = Rig::start().await;
    let other = "628100000002@c.us";
    for jid in [FACE, other] {
        rig.vendors().set_picture(jid, Picture::Face(5)).unwrap();
    }
    let made = async || {
        let metrics = admin(&rig, "GET", "/metrics").await;
        let lines = metrics.text().lines();
        let counts = lines.filter_map(|line| line.strip_prefix("faceplate_derived_total"));
        let counts = counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u32>().ok());
        counts.sum::<u32>()
    };
    for jid in [FACE, other] {
        rig.get(&format!("/avatar/waha/{jid}?s=64&format=jpeg"))
            .await;
    }
    // Both faces have one picture, so they share the variant.
    assert_eq!(made().await, 1);
    forget(&rig, "waha").await;
    rig.get(&format!("/avatar/waha/{other}?s=64&format=jpeg"))
        .await;
    assert_eq!(made().await, 2);
}
