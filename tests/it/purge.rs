//! Soft and hard purges.

use crate::support::{Answer, LIMIT, Rig, rig::Settings, until};
use faceplate::emulator::{Fault, Picture, Rule};

const FACE: &str = "628100000001";
const OTHER: &str = "628100000002";

async fn purge(rig: &Rig, query: &str) -> Answer {
    Answer::to(&rig.admin(), "POST", &format!("/v1/purge?{query}"), &[]).await
}

/// Two faces of one instance and one of another, with the traffic counts at zero.
async fn rig() -> Rig {
    let rig = Settings::default()
        .section(
            "access",
            "mode = \"open\"\nbearer_tokens = [\"env:BEARER\"]",
        )
        .start()
        .await;
    for (vendor, jid) in [("waha", FACE), ("waha", OTHER), ("wappfy", FACE)] {
        rig.face(vendor, jid).await;
    }
    rig.traffic();
    rig
}

#[tokio::test]
async fn a_soft_purge_serves_the_face_once_more_and_refreshes_it() {
    let mut rig = rig().await;
    rig.vendors().set_picture(FACE, Picture::Face(5)).unwrap();
    rig.vendors().forget_vendor_cache();
    let answer = purge(&rig, &format!("instance=waha&jid={FACE}")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, "{\"purged\":1}")
    );
    let stale = rig.face("waha", FACE).await;
    assert_eq!(stale.source(), "picture");
    assert!(
        stale.cache_status().contains("revalidating"),
        "{}",
        stale.cache_status()
    );
    rig.restart().await;
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn a_hard_purge_removes_the_face() {
    let rig = rig().await;
    purge(&rig, &format!("instance=waha&jid={FACE}&hard=true")).await;
    assert!(
        rig.face("waha", FACE)
            .await
            .cache_status()
            .contains("fwd=uri-miss")
    );
    rig.face("wappfy", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn a_fetch_in_flight_does_not_bring_back_a_picture_removed_by_a_hard_purge() {
    let error = Fault::Status {
        status: 500,
        retry_after: None,
    };
    // The vendor's answer is an error, or the link of the removed picture.
    for error in [Some(error), None] {
        let mut rig = rig().await;
        rig.hours(25);
        rig.inject(Rule::api(Fault::Latency { ms: 500 }));
        if let Some(error) = error {
            rig.vendors().set_picture(FACE, Picture::Face(5)).unwrap();
            rig.inject(Rule::cdn(error));
        }
        rig.face("waha", FACE).await;
        until(async || rig.calls().api > 0, LIMIT).await;
        let purged = purge(&rig, &format!("instance=waha&jid={FACE}&hard=true")).await;
        assert_eq!(purged.text(), "{\"purged\":1}");
        // The fetch ends before the server does.
        rig.restart().await;
        let entry = format!("/v1/avatars/waha/{FACE}");
        let record = Answer::to(&rig.admin(), "GET", &entry, &[]).await;
        let has_no_picture = record.status == 404 || record.text().contains("\"picture\":null");
        assert!(has_no_picture, "{}", record.text());
    }
}

#[tokio::test]
async fn an_instance_or_all_can_be_purged_at_once() {
    let rig = rig().await;
    assert_eq!(
        purge(&rig, "instance=waha&hard=true").await.text(),
        "{\"purged\":2}"
    );
    assert_eq!(purge(&rig, "all=true").await.text(), "{\"purged\":1}");
    assert_eq!(
        purge(&rig, &format!("instance=waha&jid={FACE}"))
            .await
            .text(),
        "{\"purged\":0}"
    );
}

#[tokio::test]
async fn a_purge_reaches_faces_that_are_in_memory_alone() {
    let rig = Settings::default()
        .section("cache", "max_entries = 1")
        .start()
        .await;
    for (vendor, jid) in [("waha", FACE), ("waha", OTHER), ("wappfy", FACE)] {
        rig.face(vendor, jid).await;
    }
    rig.run_maintenance().await;
    rig.traffic();
    let purged = purge(&rig, "instance=waha&hard=true").await;
    assert_eq!(purged.text(), "{\"purged\":2}");
    for jid in [FACE, OTHER] {
        let face = rig.face("waha", jid).await;
        assert!(face.cache_status().contains("fwd=uri-miss"));
    }
    assert_eq!(rig.traffic(), (2, 2));
    rig.face("wappfy", FACE).await;
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_purge_does_not_bring_back_a_forgotten_face() {
    let rig = rig().await;
    Answer::to(
        &rig.admin(),
        "DELETE",
        &format!("/v1/avatars/waha/{FACE}"),
        &[],
    )
    .await;
    for query in ["all=true", "all=true&hard=true"] {
        purge(&rig, query).await;
        rig.face("waha", FACE).await.assert_fallback("hidden");
    }
}

#[tokio::test]
async fn the_purge_method_needs_a_bearer_token() {
    let rig = rig().await;
    let path = format!("/avatar/waha/{FACE}");
    let refused = rig.ask("PURGE", &path, &[]).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("www-authenticate")),
        (401, "Bearer")
    );
    let bearer = [("authorization", "Bearer a bearer token for tests")];
    assert_eq!(
        rig.ask("PURGE", &path, &bearer).await.text(),
        "{\"purged\":1}"
    );
    assert!(
        rig.face("waha", FACE)
            .await
            .cache_status()
            .contains("revalidating")
    );
}

#[tokio::test]
async fn a_purge_without_a_subject_is_refused() {
    let rig = rig().await;
    for query in [
        "",
        "jid=628100000001",
        "all=true&instance=waha",
        "hard=true",
        "instance=waha&jid=x",
        "al=true",
    ] {
        assert_eq!(purge(&rig, query).await.status, 400, "{query}");
    }
    assert_eq!(purge(&rig, "instance=nobody").await.status, 404);
    assert_eq!(
        Answer::to(&rig.admin(), "GET", "/v1/purge?all=true", &[])
            .await
            .status,
        405
    );
}
