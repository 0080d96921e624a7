//! An instance's budget: granted calls, refused calls, and the answers that browsers get.

use std::time::Duration;

use crate::support::{Answer, LIMIT, Rig, rig::Settings, until};
use faceplate::emulator::{Fault, Rule};

fn impatient(instance: &str) -> Settings {
    Settings::default()
        .section("cache", "first_paint = \"1500ms\"")
        .instance(instance)
}

/// Requests `count` new faces, and counts the refusals by the budget.
async fn count_refusals(rig: &Rig, from: usize, count: usize) -> usize {
    let mut refused = 0;
    for n in from..from + count {
        let answer = rig.face("waha", &format!("62855500{n:03}")).await;
        if answer.reason() == "over_budget" {
            assert_eq!(answer.header("cache-control"), "no-store");
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!(wait >= 1);
            refused += 1;
        }
    }
    refused
}

#[tokio::test]
async fn beyond_the_burst_of_the_budget_new_faces_get_a_placeholder() {
    let rig = impatient("lookups = { per_minute = 30, burst = 10 }")
        .start()
        .await;
    assert_eq!(count_refusals(&rig, 0, 25).await, 15);
    assert_eq!(rig.calls().api, 10);
    // The faces that were refused come first.
    rig.seconds(4);
    until(async || rig.calls().api == 12, LIMIT).await;
    assert_eq!(count_refusals(&rig, 100, 5).await, 5);
}

#[tokio::test]
async fn a_client_that_returns_after_retry_after_is_served() {
    let rig = impatient("lookups = { per_minute = 2, burst = 1 }")
        .start()
        .await;
    rig.face("waha", "628100000001").await;
    rig.traffic();
    let refused = rig.face("waha", "628100000002").await;
    refused.assert_fallback("over_budget");
    assert_eq!(refused.header("retry-after"), "30");
    rig.seconds(29);
    // A refusal is not stored for the face, and spends nothing.
    for _ in 0..5 {
        let refused = rig.face("waha", "628100000002").await;
        refused.assert_fallback("over_budget");
        assert_eq!(refused.header("retry-after"), "1");
    }
    assert_eq!(rig.traffic(), (0, 0));
    rig.seconds(1);
    rig.face("waha", "628100000002")
        .await
        .assert_picture(&rig.bytes("628100000002"));
}

#[tokio::test]
async fn a_request_waits_for_the_budget_if_the_wait_is_shorter_than_first_paint() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"20s\"")
        .instance("lookups = { per_minute = 600, burst = 1 }")
        .start()
        .await;
    rig.face("waha", "628100000001").await;
    // The budget grants the next call after 100 ms of the rig's clock, which stands still.
    let mut second = std::pin::pin!(rig.face("waha", "628100000002"));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
    assert!(early.is_err(), "answered without waiting: {early:?}");
    rig.seconds(1);
    second.await.assert_picture(&rig.bytes("628100000002"));
    assert_eq!(rig.traffic(), (2, 2));
}

#[tokio::test]
async fn a_stored_picture_is_served_when_the_budget_is_spent() {
    let rig = impatient("lookups = { per_minute = 1, burst = 1 }")
        .start()
        .await;
    let good = rig.face("waha", "628100000001").await;
    // The picture is so old that the request waits for a refresh.
    rig.hours(9 * 24);
    rig.face("waha", "628100000002").await;
    rig.traffic();
    let old = rig.face("waha", "628100000001").await;
    old.assert_picture(&good.body);
    assert_eq!(old.reason(), "over_budget");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_refresh_spends_the_lookup_budget_too() {
    let rig = impatient("lookups = { per_minute = 1, burst = 2 }")
        .start()
        .await;
    for path in [
        "/avatar/waha/628100000001?refresh=true",
        "/avatar/waha/628100000001?refresh=true",
    ] {
        assert_eq!(rig.get(path).await.source(), "picture");
    }
    rig.face("waha", "628100000002")
        .await
        .assert_fallback("over_budget");
    assert_eq!(rig.calls().api, 2);
}

#[tokio::test]
async fn a_cache_hit_spends_no_budget() {
    let rig = impatient("lookups = { per_minute = 1, burst = 1 }")
        .start()
        .await;
    let is_picture = async || rig.face("waha", "628100000001").await.source() == "picture";
    until(is_picture, LIMIT).await;
    for _ in 0..50 {
        assert_eq!(rig.face("waha", "628100000001").await.source(), "picture");
    }
    assert_eq!(rig.traffic(), (1, 1));
}

#[tokio::test]
async fn refreshes_have_their_own_small_budget_and_keep_the_picture() {
    let rig = Settings::default()
        .instance("refreshes = { per_minute = 1, burst = 2 }")
        .section("cache", "first_paint = \"1s\"")
        .start()
        .await;
    rig.face("waha", "628100000001").await;
    rig.traffic();
    for expected in ["", "", "over_budget"] {
        let answer = rig.get("/avatar/waha/628100000001?refresh=true").await;
        answer.assert_picture(&rig.bytes("628100000001"));
        assert_eq!(
            answer.cache_status().contains("over_budget"),
            !expected.is_empty(),
            "{}",
            answer.cache_status()
        );
        // A refresh button can say when it works again.
        assert_eq!(answer.reason(), expected);
        assert_eq!(answer.header("cache-control"), "no-cache");
        let retry_after = answer.header("retry-after").parse().unwrap_or(0);
        match expected {
            "" => assert_eq!(retry_after, 0),
            _ => assert!((50..=60).contains(&retry_after), "{retry_after}"),
        }
    }
    assert_eq!(rig.calls().api, 2);
}

#[tokio::test]
async fn a_day_has_no_more_calls_than_its_cap() {
    let rig = impatient("daily = 5").start().await;
    assert_eq!(count_refusals(&rig, 0, 12).await, 7);
    rig.hours(24);
    assert_eq!(count_refusals(&rig, 100, 12).await, 7);
}

#[tokio::test]
async fn each_instance_has_a_budget_of_its_own() {
    let rig = impatient("lookups = { per_minute = 1, burst = 1 }")
        .start()
        .await;
    count_refusals(&rig, 0, 3).await;
    assert_eq!(rig.calls().api, 1);
    rig.face("wappfy", "628100000002").await;
    assert_eq!(rig.calls().api, 2);
}

#[tokio::test]
async fn a_pause_asked_for_by_the_vendor_is_kept_and_then_over() {
    let rig = Rig::start().await;
    rig.inject(
        Rule::api(Fault::Status {
            status: 429,
            retry_after: Some(90),
        })
        .times(1),
    );
    let limited = rig.face("waha", "628100000001").await;
    limited.assert_fallback("rate_limited");
    assert_eq!(limited.header("retry-after"), "90");
    rig.seconds(89);
    rig.face("waha", "628100000002")
        .await
        .assert_fallback("rate_limited");
    assert_eq!(rig.traffic(), (1, 0));
    rig.seconds(1);
    for jid in ["628100000001", "628100000002"] {
        rig.face("waha", jid).await.assert_picture(&rig.bytes(jid));
    }
}

#[tokio::test]
async fn rate_limit_pauses_double_when_the_vendor_sends_no_retry_after() {
    let rig = Rig::start().await;
    rig.inject(Rule::api(Fault::Status {
        status: 429,
        retry_after: None,
    }));
    for minutes in [5, 10, 20, 40] {
        let limited = rig.face("waha", "628100000001").await;
        assert_eq!(limited.header("retry-after"), (minutes * 60).to_string());
        // The vendor is not called during the pause, not even for another face.
        rig.traffic();
        rig.seconds(minutes * 60 - 1);
        rig.face("waha", "628100000002")
            .await
            .assert_fallback("rate_limited");
        assert_eq!(rig.traffic(), (0, 0));
        rig.seconds(1);
    }
    rig.vendors().clear_faults();
    for jid in ["628100000001", "628100000002"] {
        rig.face("waha", jid).await.assert_picture(&rig.bytes(jid));
    }
    // After one good answer, the next rate limit starts with the shortest pause.
    rig.inject(Rule::api(Fault::Status {
        status: 429,
        retry_after: None,
    }));
    let limited = rig.face("waha", "628100000003").await;
    assert_eq!(limited.header("retry-after"), "300");
}

#[tokio::test]
async fn a_refresh_by_the_operator_beyond_the_budget_says_that_the_vendor_was_not_asked() {
    let rig = impatient("lookups = { per_minute = 2, burst = 2 }")
        .instance("refreshes = { per_minute = 2, burst = 1 }")
        .start()
        .await;
    let refresh = async |jid: &str| {
        let path = format!("/v1/avatars/waha/{jid}");
        Answer::to(&rig.admin(), "POST", &path, &[]).await
    };
    let face = "628100000001";
    assert_eq!(refresh(face).await.status, 200);
    rig.traffic();
    let refused = refresh(face).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), "30");
    let text = refused.text();
    for words in ["not-asked", "was not asked", "over_budget"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(rig.traffic(), (0, 0));
    // The entry is there all the same.
    let path = format!("/v1/avatars/waha/{face}");
    assert_eq!(
        Answer::to(&rig.admin(), "GET", &path, &[]).await.status,
        200
    );
    rig.seconds(30);
    until(async || rig.calls().api == 1, LIMIT).await;
    // While the instance pauses, the reason is the pause's.
    rig.seconds(60);
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(600),
    };
    rig.inject(Rule::api(limited));
    rig.face("waha", "628100000002").await;
    rig.traffic();
    let paused = refresh(face).await;
    assert_eq!(paused.status, 429);
    assert!(paused.text().contains("rate_limited"), "{}", paused.text());
    let wait: u64 = paused.header("retry-after").parse().unwrap();
    assert!((590..=600).contains(&wait), "{wait}");
    assert_eq!(rig.traffic(), (0, 0));
}
