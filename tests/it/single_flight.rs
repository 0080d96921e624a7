//! Single-flight: requests for one face at the same time cause one call.

use crate::support::{Answer, LIMIT, Rig, rig::Settings, until};
use faceplate::{
    avatar::{Ask, Subject},
    emulator::{Fault, Rule},
    pipeline::{LookUp, Requester},
};
use tokio::task::JoinSet;

const FACE: &str = "628100000001";

/// `count` requests for one face at once, each on a connection of its own.
async fn at_once(rig: &Rig, count: usize, path: &str) -> Vec<Answer> {
    let address = rig.address();
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let (address, path) = (address.clone(), path.to_owned());
        requests.spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
    }
    requests.join_all().await
}

fn patient() -> Settings {
    Settings::default().section("cache", "first_paint = \"0\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_for_one_cold_face_are_one_transaction() {
    let rig = patient().start().await;
    rig.inject(Rule::api(Fault::Latency { ms: 1000 }));
    let answers = at_once(&rig, 1000, &format!("/avatar/waha/{FACE}")).await;
    let picture = rig.bytes(FACE);
    for answer in &answers {
        answer.assert_picture(&picture);
    }
    let count = |part: &str| {
        let parts = answers.iter().map(|answer| answer.cache_status());
        parts.filter(|status| status.contains(part)).count()
    };
    let (collapsed, hits) = (count("; collapsed"), count("; hit"));
    println!("{collapsed} requests waited for the transaction, {hits} came after it");
    assert_eq!(collapsed + hits, 999, "one request led it");
    assert!(collapsed > 100, "{collapsed} requests waited");
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn a_look_up_that_missed_just_before_a_fetch_was_stored_makes_no_call_of_its_own() {
    let rig = Rig::start().await;
    let (faces, waha) = rig.pipeline("waha");
    let subject = Subject::Chat(format!("{FACE}@c.us").parse().unwrap());
    let now = faces.now();
    let missed = faces
        .try_look_up(&waha, subject, Ask::View, Requester::operator(), now)
        .unwrap();
    let LookUp::Pending(missed) = missed else {
        panic!("the face was never asked for: {missed:?}");
    };
    rig.face("waha", FACE).await;
    let face = faces.finish_look_up(missed, None).await.unwrap();
    assert!(face.picture().is_some());
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_waiting_requests_share_one_failed_transaction() {
    let rig = patient().start().await;
    rig.inject(Rule::api(Fault::Latency { ms: 200 }));
    rig.inject(Rule::api(Fault::Status {
        status: 502,
        retry_after: None,
    }));
    for answer in at_once(&rig, 100, &format!("/avatar/waha/{FACE}")).await {
        answer.assert_fallback("vendor_error");
    }
    assert_eq!(rig.traffic(), (1, 0));
    // A later request gets the stored failure until the next try is due.
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn after_first_paint_the_browser_gets_a_placeholder_and_the_fetch_continues() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"30ms\"")
        .start()
        .await;
    rig.inject(Rule::api(Fault::Latency { ms: 300 }).times(1));
    let early = rig.face("waha", FACE).await;
    early.assert_fallback("deferred");
    assert_eq!(early.header("cache-control"), "no-store");
    assert!(early.cache_status().contains("detail=deferred"));
    let picture = rig.bytes(FACE);
    // The transaction ends by itself; a request that comes meanwhile joins it.
    let is_picture = async || rig.face("waha", FACE).await.source() == "picture";
    until(is_picture, LIMIT).await;
    rig.face("waha", FACE).await.assert_picture(&picture);
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn a_client_that_leaves_does_not_end_the_transaction() {
    let rig = patient().start().await;
    rig.inject(Rule::api(Fault::Latency { ms: 100 }).times(1));
    let address = rig.address();
    let leaving = tokio::spawn(async move {
        Answer::to(&address, "GET", &format!("/avatar/waha/{FACE}"), &[]).await
    });
    until(async || rig.calls().api > 0, LIMIT).await;
    leaving.abort();
    let _ = leaving.await;
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(rig.traffic(), (1, 1));
}
