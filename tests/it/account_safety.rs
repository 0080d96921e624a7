//! Protection against suspension of a WhatsApp account: budgets that survive restarts, and detection of soft
//! throttling, where the vendor answers "no picture" instead of 429.

use crate::support::{Rig, rig::Settings};
use faceplate::emulator::{Fault, Rule};

fn jids(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("6281000000{n:02}")).collect()
}

async fn refreshed(rig: &Rig, jid: &str) -> crate::support::Answer {
    rig.get(&format!("/avatar/waha/{jid}?refresh=true")).await
}

#[tokio::test]
async fn a_restart_loop_makes_no_more_calls_than_the_budget() {
    let mut rig = Settings::default()
        .instance("lookups = { per_minute = 30, burst = 10 }")
        .section("cache", "first_paint = \"1ms\"")
        .start()
        .await;
    let mut fresh = 0;
    for _ in 0..20 {
        for _ in 0..5 {
            fresh += 1;
            rig.face("waha", &format!("62855500{fresh:03}")).await;
        }
        rig.restart().await;
    }
    // A call is earned every two seconds, and the clock stands still, so only the burst can be spent.
    assert_eq!(rig.calls().api, 10);
    rig.seconds(60);
    for _ in 0..40 {
        fresh += 1;
        rig.face("waha", &format!("62855500{fresh:03}")).await;
    }
    assert!(rig.calls().api <= 10 + 10, "{}", rig.calls().api);
}

#[tokio::test]
async fn a_pause_survives_a_restart() {
    let mut rig = Rig::start().await;
    rig.inject(
        Rule::api(Fault::Status {
            status: 429,
            retry_after: Some(600),
        })
        .times(1),
    );
    rig.face("waha", "628100000001")
        .await
        .assert_fallback("rate_limited");
    rig.restart().await;
    rig.traffic();
    let paused = rig.face("waha", "628100000002").await;
    paused.assert_fallback("rate_limited");
    assert_eq!(paused.header("retry-after"), "600");
    assert_eq!(rig.traffic(), (0, 0));
    rig.seconds(600);
    rig.face("waha", "628100000002")
        .await
        .assert_picture(&rig.bytes("628100000002"));
}

#[tokio::test]
async fn consecutive_empty_answers_count_as_a_rate_limit_and_keep_the_pictures() {
    let rig = Rig::start().await;
    for jid in jids(10) {
        rig.face("waha", &jid).await;
    }
    rig.hours(25);
    rig.inject(Rule::api(Fault::Empty { remembered: false }));
    let mut reasons = Vec::new();
    rig.traffic();
    for jid in jids(10) {
        let answer = refreshed(&rig, &jid).await;
        answer.assert_picture(&rig.bytes(&jid));
        reasons.push(answer.reason().to_owned());
    }
    assert_eq!(reasons[..3], ["unknown", "unknown", "rate_limited"]);
    assert!(
        reasons[3..].iter().all(|reason| reason == "rate_limited"),
        "{reasons:?}"
    );
    // The third empty answer stopped the refreshes.
    assert_eq!(rig.traffic(), (3, 0));
}

#[tokio::test]
async fn an_instance_recovers_from_soft_throttling_when_the_vendor_does() {
    let rig = Rig::start().await;
    for jid in jids(5) {
        rig.face("waha", &jid).await;
    }
    rig.hours(25);
    rig.inject(Rule::api(Fault::Empty { remembered: false }));
    for jid in jids(5) {
        refreshed(&rig, &jid).await;
    }
    rig.vendors().clear_faults();
    rig.seconds(5 * 60);
    for jid in jids(5) {
        let answer = refreshed(&rig, &jid).await;
        answer.assert_picture(&rig.bytes(&jid));
        assert_eq!(answer.reason(), "");
    }
}

#[tokio::test]
async fn a_jump_in_the_share_of_empty_answers_pauses_the_instance() {
    let rig = Rig::start().await;
    for n in 0..40 {
        rig.face("waha", &format!("62855500{n:03}")).await;
    }
    rig.inject(Rule::api(Fault::Empty { remembered: false }));
    rig.traffic();
    for n in 100..160 {
        let answer = rig.face("waha", &format!("62855500{n:03}")).await;
        assert_eq!(answer.source(), "fallback");
    }
    let (calls, _) = rig.traffic();
    assert!((18..=20).contains(&calls), "{calls}");
}

#[tokio::test]
async fn the_operator_sets_the_sensitivity_of_the_soft_throttle_detector() {
    let rig = Settings::default()
        .instance("empty_answers = { lost = 1 }")
        .start()
        .await;
    rig.face("waha", "628100000001").await;
    rig.hours(25);
    rig.inject(Rule::api(Fault::Empty { remembered: false }));
    let answer = refreshed(&rig, "628100000001").await;
    assert_eq!(answer.reason(), "rate_limited");
}
