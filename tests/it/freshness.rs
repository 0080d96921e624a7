//! How long a picture is fresh, and the behavior after that. The tests move the clock.

use crate::support::{Rig, rig::Settings};
use faceplate::emulator::{Fault, Picture, Rule};

const FACE: &str = "628100000001";

/// Requests the face until the background refresh is stored, which shows as a fresh picture.
async fn until_fresh(rig: &Rig) -> crate::support::Answer {
    for _ in 0..500 {
        let answer = rig.face("waha", FACE).await;
        if answer.header("age") == "0" {
            return answer;
        }
    }
    panic!("the refresh behind the answer never ended");
}

#[tokio::test]
async fn a_fresh_picture_is_served_without_a_call_for_24_hours() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.traffic();
    rig.seconds(24 * 3600 - 1);
    let answer = rig.face("waha", FACE).await;
    answer.assert_picture(&rig.bytes(FACE));
    assert_eq!(answer.cache_status(), "faceplate; hit; ttl=1");
    assert_eq!(answer.header("age"), "86399");
    assert_eq!(answer.header("cache-control"), "public, max-age=86400");
    assert_eq!(answer.reason(), "");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_stale_picture_is_served_at_once_and_refreshed_once_in_the_background() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.traffic();
    rig.hours(25);
    let stale = rig.face("waha", FACE).await;
    stale.assert_picture(&rig.bytes(FACE));
    assert_eq!(
        stale.cache_status(),
        "faceplate; hit; ttl=-3600; detail=revalidating"
    );
    assert_eq!(stale.header("cache-control"), "no-cache");
    let fresh = until_fresh(&rig).await;
    assert_eq!(fresh.header("etag"), stale.header("etag"));
    assert_eq!(fresh.header("last-modified"), stale.header("last-modified"));
    // The link has the same file name, so nothing is downloaded.
    assert_eq!(rig.traffic(), (1, 0));
}

#[tokio::test]
async fn a_request_for_a_picture_older_than_the_grace_waits_for_the_refresh() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.hours(8 * 24 + 1);
    rig.vendors().set_picture(FACE, Picture::Face(7)).unwrap();
    let answer = rig.face("waha", FACE).await;
    answer.assert_picture(&rig.bytes(FACE));
    assert!(
        answer
            .cache_status()
            .starts_with("faceplate; fwd=stale; fwd-status=200; stored")
    );
}

#[tokio::test]
async fn an_upstream_failure_shows_only_in_the_headers() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.inject(Rule::api(Fault::Status {
        status: 502,
        retry_after: None,
    }));
    rig.hours(30 * 24);
    let answer = rig.face("waha", FACE).await;
    answer.assert_picture(&rig.bytes(FACE));
    assert_eq!(answer.reason(), "vendor_error");
    rig.traffic();
    // The vendor is not called again while the failure is remembered.
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_refresh_bypasses_the_cache_and_the_vendor_s_own() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.vendors().set_picture(FACE, Picture::Face(7)).unwrap();
    rig.traffic();
    let old = rig.face("waha", FACE).await;
    let new = rig.get(&format!("/avatar/waha/{FACE}?refresh=true")).await;
    new.assert_picture(&rig.bytes(FACE));
    assert_ne!(old.header("etag"), new.header("etag"));
    assert_eq!(
        new.cache_status(),
        "faceplate; fwd=request; fwd-status=200; stored; ttl=86400"
    );
    assert!(rig.calls().list[0].refresh);
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn no_picture_is_fresh_for_six_hours_and_then_checked_past_the_vendor_s_cache() {
    let rig = Rig::start().await;
    rig.vendors().set_picture(FACE, Picture::Hidden).unwrap();
    rig.face("waha", FACE).await.assert_fallback("unknown");
    rig.seconds(6 * 3600 - 1);
    let known = rig.face("waha", FACE).await;
    known.assert_fallback("unknown");
    assert_eq!(
        known.cache_status(),
        "faceplate; hit; ttl=1; detail=unknown"
    );
    assert_eq!(known.header("cache-control"), "public, max-age=1");
    assert_eq!(rig.traffic(), (1, 0));
    rig.seconds(1);
    rig.vendors().set_picture(FACE, Picture::Face(7)).unwrap();
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert!(rig.calls().list[0].refresh);
}

#[tokio::test]
async fn no_picture_is_checked_by_a_plain_call_when_the_refresh_budget_is_used_up() {
    let rig = Settings::default()
        .instance("refreshes = { per_minute = 1, burst = 1 }")
        .start()
        .await;
    rig.vendors().set_picture(FACE, Picture::Hidden).unwrap();
    rig.face("waha", FACE).await.assert_fallback("unknown");
    rig.hours(6);
    rig.get("/avatar/waha/628100000002?refresh=true").await;
    rig.vendors().reset_calls();
    rig.face("waha", FACE).await.assert_fallback("unknown");
    let refreshes: Vec<_> = rig.calls().list.iter().map(|call| call.refresh).collect();
    assert_eq!(refreshes, [false]);
}

#[tokio::test]
async fn an_empty_answer_does_not_remove_a_good_picture() {
    let rig = Rig::start().await;
    let good = rig.face("waha", FACE).await.body;
    for picture in [
        Picture::Hidden,
        Picture::NotSet,
        Picture::NotFound,
        Picture::Unknown,
    ] {
        rig.vendors().set_picture(FACE, picture).unwrap();
        for _ in 0..5 {
            rig.hours(25);
            rig.get(&format!("/avatar/waha/{FACE}?refresh=true"))
                .await
                .assert_picture(&good);
        }
    }
}

#[tokio::test]
async fn on_hidden_drop_removes_a_picture_after_enough_confirmations() {
    let rig = Settings::default()
        .section("cache", "on_hidden = \"drop\"\nconfirmations = 3")
        .start()
        .await;
    let good = rig.face("waha", FACE).await.body;
    rig.vendors().set_picture(FACE, Picture::Hidden).unwrap();
    let look = format!("/avatar/waha/{FACE}?refresh=true");
    for _ in 0..2 {
        rig.hours(24);
        rig.get(&look).await.assert_picture(&good);
        // This one follows too soon after the last one to count.
        rig.hours(1);
        rig.get(&look).await.assert_picture(&good);
    }
    rig.hours(24);
    rig.get(&look).await.assert_fallback("unknown");
}

#[tokio::test]
async fn a_restart_serves_every_face_without_a_call() {
    let mut rig = Rig::start().await;
    let jids: Vec<String> = (1..=24).map(|n| format!("6281000000{n:02}")).collect();
    for jid in &jids {
        rig.face("waha", jid).await.assert_picture(&rig.bytes(jid));
    }
    rig.vendors()
        .set_picture("628100000103", Picture::Hidden)
        .unwrap();
    rig.face("waha", "628100000103")
        .await
        .assert_fallback("unknown");
    rig.traffic();
    rig.restart().await;
    for jid in &jids {
        let answer = rig.face("waha", jid).await;
        answer.assert_picture(&rig.bytes(jid));
        assert!(answer.cache_status().starts_with("faceplate; hit"));
    }
    rig.face("waha", "628100000103")
        .await
        .assert_fallback("unknown");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn faces_with_the_same_bytes_share_one_file() {
    let rig = Rig::start().await;
    rig.face("waha", FACE).await;
    rig.face("wappfy", FACE).await;
    rig.vendors()
        .set_picture("628100000002", Picture::Face(1))
        .unwrap();
    rig.face("waha", "628100000002").await;
    let files = rig.files("content-v2");
    assert_eq!(files.len(), 1);
    assert_eq!(std::fs::read(&files[0]).unwrap(), rig.bytes(FACE));
}
