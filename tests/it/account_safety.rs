//! Protection against suspension of a WhatsApp account: budgets that survive restarts, and detection of soft
//! throttling, where the vendor answers "no picture" instead of 429.

use std::time::Duration;

use crate::{
    support::{
        Answer, Rig,
        program::{Program, errors},
        rig::Settings,
        until,
    },
    wire::{Server, response},
};
use faceplate::emulator::{Fault, Rule};
use tokio::task::JoinHandle;

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
async fn an_operator_lifts_a_pause_and_it_stays_lifted_over_a_restart() {
    let mut rig = Rig::start().await;
    let path = "/v1/instances/waha/pause";
    let lift = async |rig: &Rig| Answer::to(&rig.admin(), "DELETE", path, &[]).await;
    rig.inject(
        Rule::api(Fault::Status {
            status: 429,
            retry_after: Some(600),
        })
        .times(1),
    );
    let limited = rig.face("waha", "628100000001").await;
    limited.assert_fallback("rate_limited");
    assert_eq!(lift(&rig).await.status, 204);
    rig.restart().await;
    rig.traffic();
    let answer = rig.face("waha", "628100000002").await;
    answer.assert_picture(&rig.bytes("628100000002"));
    assert_eq!(rig.traffic(), (1, 1));

    let again = lift(&rig).await;
    assert_eq!(again.status, 404);
    assert!(again.text().contains("not-paused"), "{}", again.text());
    let unknown = Answer::to(&rig.admin(), "DELETE", "/v1/instances/nobody/pause", &[]).await;
    assert_eq!(unknown.status, 404);
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

#[tokio::test]
async fn the_lost_pictures_that_were_counted_before_a_reload_count_after_it() {
    let mut rig = Settings::default()
        .instance("empty_answers = { lost = 3 }")
        .start()
        .await;
    for jid in jids(3) {
        rig.face("waha", &jid).await;
    }
    rig.hours(25);
    rig.inject(Rule::api(Fault::Empty { remembered: false }));
    for jid in jids(2) {
        assert_eq!(refreshed(&rig, &jid).await.reason(), "unknown");
    }
    rig.reload("lookups = { per_minute = 6000, burst = 1999 }");
    let third = refreshed(&rig, "628100000003").await;
    assert_eq!(third.reason(), "rate_limited");
    third.assert_picture(&rig.bytes("628100000003"));
    rig.traffic();
    let other = rig.face("waha", "628100000004").await;
    other.assert_fallback("rate_limited");
    assert_eq!(rig.traffic(), (0, 0));
}

/// A fault that the vendor answers with after a moment, so that something else can happen meanwhile.
fn inject_late(rig: &Rig, jid: &str, fault: Fault) {
    rig.inject(Rule::api(Fault::Latency { ms: 300 }).jid(jid));
    rig.inject(Rule::api(fault).jid(jid));
}

/// Asks for a face, and returns when the vendor has been called for it.
async fn begin(rig: &Rig, jid: &str) -> JoinHandle<Answer> {
    let (address, path) = (rig.address(), format!("/avatar/waha/{jid}"));
    let before = rig.calls().api;
    let asking = tokio::spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
    until(async || rig.calls().api > before, Duration::from_secs(10)).await;
    asking
}

fn status(status: u16, retry_after: Option<u64>) -> Fault {
    Fault::Status {
        status,
        retry_after,
    }
}

#[tokio::test]
async fn trouble_of_a_call_in_flight_during_a_reload_pauses_the_account() {
    let mut rig = Rig::start().await;
    inject_late(&rig, "628100000001", status(429, Some(600)));
    let asking = begin(&rig, "628100000001").await;
    rig.reload("lookups = { per_minute = 60, burst = 20 }");
    asking.await.unwrap().assert_fallback("rate_limited");
    rig.traffic();
    let other = rig.face("waha", "628100000002").await;
    other.assert_fallback("rate_limited");
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test]
async fn a_reload_grants_no_call_twice_and_changes_the_size_of_the_budget() {
    let mut rig = Settings::default()
        .instance("lookups = { per_minute = 30, burst = 10 }")
        .section("cache", "first_paint = \"1ms\"")
        .start()
        .await;
    let mut fresh = 0;
    let mut ask_for_thirty = async |rig: &Rig| {
        for _ in 0..30 {
            fresh += 1;
            rig.face("waha", &format!("62855500{fresh:03}")).await;
        }
        rig.traffic().0
    };
    assert_eq!(ask_for_thirty(&rig).await, 10);
    rig.reload("lookups = { per_minute = 30, burst = 10 }");
    assert_eq!(ask_for_thirty(&rig).await, 0);
    rig.reload("lookups = { per_minute = 30, burst = 15 }");
    assert_eq!(ask_for_thirty(&rig).await, 5);
}

#[tokio::test]
async fn later_trouble_of_calls_in_flight_never_shortens_a_pause() {
    for late in [status(401, None), status(429, Some(1))] {
        let rig = Rig::start().await;
        inject_late(&rig, "628100000002", late);
        let asking = begin(&rig, "628100000002").await;
        rig.inject(Rule::api(status(429, Some(300))).jid("628100000001"));
        rig.face("waha", "628100000001").await;
        asking.await.unwrap();
        let other = rig.face("waha", "628100000003").await;
        other.assert_fallback("rate_limited");
        assert_eq!(other.header("retry-after"), "300");
    }
}

#[tokio::test]
async fn a_retry_after_that_is_a_date_in_seconds_is_capped_at_the_longest_pause() {
    for (longest, seconds) in [("6h", "21600"), ("1h", "3600")] {
        let negative = format!("rate_limited_longest = \"{longest}\"");
        let rig = Settings::default()
            .section("cache.negative", &negative)
            .start()
            .await;
        rig.inject(Rule::api(status(429, Some(1_700_000_000))).times(1));
        rig.face("waha", "628100000001").await;
        let other = rig.face("waha", "628100000002").await;
        other.assert_fallback("rate_limited");
        assert_eq!(other.header("retry-after"), seconds);
    }
}

#[tokio::test]
async fn a_retry_after_of_the_call_for_the_session_is_capped_at_the_longest_pause() {
    let server = Server::start(|_, received| {
        Some(match received.head.starts_with("GET /api/sessions/") {
            true => response(
                "429 Too Many Requests",
                "retry-after: 1700000000\r\n",
                b"{}",
            ),
            false => response("200 OK", "", br#"{"url":null}"#),
        })
    })
    .await;
    let rig = server
        .settings()
        .section("cache.negative", "rate_limited_longest = \"1h\"")
        .start()
        .await;
    // The eighth empty answer in a row leads to that call, and is believed all the same.
    for number in 1..=8 {
        let answer = rig.face("waha", &format!("62810000000{number}")).await;
        answer.assert_fallback("unknown");
    }
    let other = rig.face("waha", "628100000009").await;
    other.assert_fallback("rate_limited");
    assert_eq!(other.header("retry-after"), "3600");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_during_a_call_does_not_put_off_the_next_one_for_hours() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"0\"")
        .start()
        .await;
    let (today, jid) = (rig.clock.now(), "628100000001");
    rig.inject(Rule::api(Fault::Latency { ms: 1000 }));
    rig.inject(Rule::api(Fault::NotJson));
    let jump = async {
        until(async || rig.calls().api == 1, Duration::from_secs(10)).await;
        rig.clock.set(today + Duration::from_secs(20 * 3600));
    };
    let (answer, ()) = tokio::join!(rig.face("waha", jid), jump);
    answer.assert_fallback("vendor_error");
    rig.clock.set(today);
    rig.vendors().clear_faults();
    rig.hours(2);
    rig.face("waha", jid).await.assert_picture(&rig.bytes(jid));
}

#[tokio::test]
async fn a_clock_that_was_ahead_or_is_set_back_stops_no_face() {
    let rig = Settings::default()
        .instance("lookups = { per_minute = 30, burst = 10 }")
        .start()
        .await;
    let today = rig.clock.now();
    rig.clock.set(today + Duration::from_secs(7 * 3600));
    let ahead = rig.face("waha", "628100000001").await;
    ahead.assert_picture(&rig.bytes("628100000001"));
    rig.clock.set(today);
    rig.traffic();
    for jid in ["628100000002", "628100000001"] {
        // The face that was fetched in the future is due. It is shown and refreshed in the background.
        rig.face("waha", jid).await.assert_picture(&rig.bytes(jid));
        until(async || rig.calls().api == 1, Duration::from_secs(10)).await;
        let is_hit = async || {
            let answer = rig.face("waha", jid).await;
            answer.cache_status().starts_with("faceplate; hit; ttl=86")
        };
        until(is_hit, Duration::from_secs(10)).await;
        assert_eq!(rig.traffic().0, 1, "{jid}");
    }
}

#[tokio::test]
async fn two_instances_with_one_account_are_refused() {
    let program = Program::with(
        r#"
[access]
mode = "open"
[instances.sales]
provider = "wawp"
account = "123456789"
token = "env:TOKEN"
[instances.support]
provider = "wawp"
account = "123456789"
token = "env:TOKEN"
"#,
    );
    let output = program
        .command(&["check"])
        .env("TOKEN", "secret-token-of-tests")
        .output()
        .unwrap();
    let text = errors(&output);
    assert!(!output.status.success());
    assert!(text.contains("instances.support.account"), "{text}");
    assert!(text.contains("[instances.sales]"), "{text}");
}
