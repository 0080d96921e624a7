//! The queue of wanted faces: faces that the budget refuses are fetched later, without another request.

use std::time::{Duration, Instant};

use faceplate::emulator::{Fault, Rule};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Answer, LIMIT, Rig, rig::Settings, until};

fn numbered(number: usize) -> String {
    format!("62810{number:07}")
}

/// Ten calls at once, then one every two seconds: the default.
fn with_default_budget() -> Settings {
    Settings::default().instance("lookups = { per_minute = 30, burst = 10 }")
}

/// One call, then one every `seconds`.
fn slow_budget(seconds: u32) -> Settings {
    let lookups = format!("lookups = {{ per_minute = {}, burst = 1 }}", 60 / seconds);
    Settings::default().instance(&lookups)
}

/// The number of wanted faces, as `/v1/instances` says.
async fn count_wanted(rig: &Rig) -> u64 {
    rig.instance_record("waha").await["wanted"]
        .as_u64()
        .unwrap()
}

/// Asks for faces over six connections at a time, as a browser does, and counts the answers by reason.
async fn open_page(rig: &Rig, numbers: std::ops::Range<usize>) -> (usize, usize, usize) {
    let (mut page, mut counts) = (JoinSet::new(), (0, 0, 0));
    let mut count = |answer: Answer| match answer.reason() {
        "over_budget" => counts.1 += 1,
        "deferred" => counts.2 += 1,
        _ => counts.0 += 1,
    };
    for number in numbers {
        if page.len() == 6 {
            count(page.join_next().await.unwrap().unwrap());
        }
        let address = rig.address();
        page.spawn(async move {
            let path = format!("/avatar/waha/{}", numbered(number));
            Answer::to(&address, "GET", &path, &[]).await
        });
    }
    while let Some(answer) = page.join_next().await {
        count(answer.unwrap());
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_500_new_faces_shows_what_was_paid_for_and_then_fills_itself() {
    let rig = with_default_budget().start().await;
    rig.inject(Rule::api(Fault::Latency { ms: 300 }));
    let (shown, refused, deferred) = open_page(&rig, 0..500).await;
    // On a busy machine, some of the ten come after the first-paint deadline.
    assert_eq!((shown + deferred, refused), (10, 490));
    assert_eq!(rig.calls().api, 10);
    assert_eq!(count_wanted(&rig).await, 490);
    rig.vendors().clear_faults();
    // Seventeen minutes, in steps that the burst of the budget covers.
    for step in 1..=49 {
        rig.seconds(20);
        until(async || rig.calls().api == 10 + 10 * step, LIMIT).await;
    }
    until(async || count_wanted(&rig).await == 0, LIMIT).await;
    rig.seconds(40);
    for number in 0..500 {
        let jid = numbered(number);
        until(
            async || {
                let answer = rig.face("waha", &jid).await;
                answer.cache_status().contains("; hit")
            },
            LIMIT,
        )
        .await;
    }
    assert_eq!(rig.calls().api, 500);
}

#[tokio::test]
async fn a_client_that_wants_a_thousand_faces_does_not_starve_one_that_wants_five() {
    let server = "listen = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
                  client_rate = { per_minute = 60000, burst = 10000 }";
    let rig = with_default_budget()
        .section("server", server)
        .start()
        .await;
    let ask = async |client: &str, number: usize| {
        let path = format!("/avatar/waha/{}", numbered(number));
        rig.ask("GET", &path, &[("x-forwarded-for", client)]).await
    };
    for number in 0..1000 {
        ask("192.0.2.1", number).await;
    }
    for number in 2000..2005 {
        ask("192.0.2.2", number).await;
    }
    // Ten calls more: five for each.
    rig.seconds(20);
    until(async || rig.calls().api == 20, LIMIT).await;
    until(async || count_wanted(&rig).await == 985, LIMIT).await;
    for number in 2000..2005 {
        let has_it = async || {
            let answer = ask("192.0.2.2", number).await;
            answer.cache_status().contains("; hit")
        };
        until(has_it, LIMIT).await;
    }
}

#[tokio::test]
async fn retry_after_is_the_time_to_the_face_s_own_place() {
    let rig = slow_budget(10).start().await;
    rig.face("waha", &numbered(0)).await;
    for number in 1..=20 {
        let refused = rig.face("waha", &numbered(number)).await;
        refused.assert_fallback("over_budget");
        let told: usize = refused.header("retry-after").parse().unwrap();
        assert!(
            (5 * number..=20 * number).contains(&told),
            "{number}: {told}"
        );
    }
    for number in 1..=20 {
        rig.seconds(10);
        until(async || rig.calls().api == 1 + number, LIMIT).await;
        until(
            async || count_wanted(&rig).await == 20 - number as u64,
            LIMIT,
        )
        .await;
        let called = rig.calls().list;
        let jid = called.back().and_then(|call| call.jid.clone());
        assert!(jid.unwrap().starts_with(&numbered(number)));
    }
}

#[tokio::test]
async fn faces_of_a_slow_vendor_are_answered_at_once_after_a_few() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"3s\"")
        .start()
        .await;
    rig.inject(Rule::api(Fault::Hang));
    let [first, second, third, fourth] = [0, 1, 2, 3].map(numbered);
    let (a, b, c) = tokio::join!(
        rig.face("waha", &first),
        rig.face("waha", &second),
        rig.face("waha", &third)
    );
    for answer in [a, b, c] {
        answer.assert_fallback("deferred");
    }
    let at_once = tokio::time::timeout(Duration::from_secs(2), rig.face("waha", &fourth));
    at_once.await.unwrap().assert_fallback("deferred");
    // The fourth call is made by the queue worker, after the answer.
    until(async || rig.calls().api == 4, LIMIT).await;
}

#[tokio::test]
async fn a_full_queue_of_wanted_faces_drops_the_oldest() {
    for (size, left) in [(2, 2), (100, 5)] {
        let cache = format!("first_paint = \"500ms\"\nmax_wanted = {size}");
        let rig = slow_budget(60).section("cache", &cache).start().await;
        for number in 0..6 {
            rig.face("waha", &numbered(number)).await;
        }
        assert_eq!(count_wanted(&rig).await, left, "{size}");
        let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
        let line = format!("faceplate_wanted_faces{{instance=\"waha\"}} {left}");
        assert!(metrics.text().contains(&line), "{}", metrics.text());
    }
}

#[tokio::test]
async fn an_instance_s_record_has_the_faces_that_are_fetched_next_and_when() {
    let rig = slow_budget(10).start().await;
    for number in 0..8 {
        rig.face("waha", &numbered(number)).await;
    }
    let due = |jid: usize, seconds: u64| {
        let at = rig.clock.now() + Duration::from_secs(seconds);
        json!({
            "jid": format!("{}@c.us", numbered(jid)),
            "class": "interactive",
            "with_refresh": false,
            "due": httpdate::fmt_http_date(at.as_system_time()),
        })
    };
    let record = rig.instance_record("waha").await;
    let expected: Vec<_> = (1..=5).map(|place| due(place, 10 * place as u64)).collect();
    assert_eq!(record["next"], json!(expected));
    assert_eq!(record["wanted"], 7);
    for left in (0..7).rev() {
        // The burst of the budget is one call.
        rig.seconds(10);
        until(async || count_wanted(&rig).await == left, LIMIT).await;
        let record = rig.instance_record("waha").await;
        if left > 0 {
            assert_eq!(record["next"][0], due(8 - left as usize, 10));
        }
    }
    assert_eq!(rig.instance_record("waha").await["next"], json!([]));
}

#[tokio::test]
async fn a_face_is_no_longer_wanted_after_the_configured_time() {
    for (time, calls) in [("30s", 1), ("1h", 2)] {
        let cache = format!("first_paint = \"500ms\"\nwanted_for = \"{time}\"");
        let rig = slow_budget(60).section("cache", &cache).start().await;
        for number in 0..2 {
            rig.face("waha", &numbered(number)).await;
        }
        rig.seconds(61);
        until(async || count_wanted(&rig).await == 0, LIMIT).await;
        until(async || rig.calls().api == calls, LIMIT).await;
    }
}

#[tokio::test]
async fn a_reload_keeps_the_wanted_faces_of_an_account() {
    let mut rig = slow_budget(10).start().await;
    for number in 0..2 {
        rig.face("waha", &numbered(number)).await;
    }
    rig.reload("refreshes = { per_minute = 3, burst = 1 }");
    assert_eq!(count_wanted(&rig).await, 1);
    rig.seconds(10);
    until(async || rig.calls().api == 2, LIMIT).await;
    until(async || count_wanted(&rig).await == 0, LIMIT).await;
}

#[tokio::test]
async fn a_forgotten_face_is_no_longer_wanted() {
    let rig = slow_budget(10).start().await;
    for number in 0..2 {
        rig.face("waha", &numbered(number)).await;
    }
    assert_eq!(count_wanted(&rig).await, 1);
    let path = format!("/v1/avatars/waha/{}", numbered(1));
    Answer::to(&rig.admin(), "DELETE", &path, &[]).await;
    assert_eq!(count_wanted(&rig).await, 0);
}

#[tokio::test]
async fn wanted_faces_wait_for_the_end_of_a_pause() {
    let rig = slow_budget(10).start().await;
    for number in 0..3 {
        rig.face("waha", &numbered(number)).await;
    }
    let limited = Fault::Status {
        status: 429,
        retry_after: Some(90),
    };
    rig.inject(Rule::api(limited).times(1));
    rig.seconds(10);
    until(async || rig.calls().api == 2, LIMIT).await;
    let is_paused = async || rig.face("waha", &numbered(9)).await.reason() == "rate_limited";
    until(is_paused, LIMIT).await;
    // One that was asked for before the pause, and one during it. That whose call failed comes back at its end.
    until(async || count_wanted(&rig).await == 2, LIMIT).await;
    rig.seconds(80);
    assert_eq!((rig.calls().api, count_wanted(&rig).await), (2, 2));
    for calls in 3..=4 {
        rig.seconds(10);
        until(async || rig.calls().api == calls, LIMIT).await;
    }
    // The face whose call failed may be back only now, because a slow disk holds up the end of its fetch.
    let call_for_last_face = async || {
        rig.seconds(10);
        rig.calls().api == 5
    };
    until(call_for_last_face, LIMIT).await;
    until(async || count_wanted(&rig).await == 0, LIMIT).await;
    for number in [1, 2, 9] {
        let path = format!("/avatar/waha/{}", numbered(number));
        until(async || rig.get(&path).await.source() == "picture", LIMIT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_whose_call_failed_comes_without_another_request_unless_it_has_a_picture() {
    let rig = Settings::default().start().await;
    let failure = Fault::Status {
        status: 502,
        retry_after: None,
    };
    rig.inject(Rule::api(failure.clone()).times(1));
    let face = rig.face("waha", &numbered(0)).await;
    face.assert_fallback("vendor_error");
    rig.seconds(30);
    until(async || rig.calls().cdn == 1, LIMIT).await;
    let has_picture = async || rig.face("waha", &numbered(0)).await.source() == "picture";
    until(has_picture, LIMIT).await;
    // A stale picture is there to be looked at.
    rig.hours(25);
    rig.inject(Rule::api(failure).times(1));
    rig.face("waha", &numbered(0)).await;
    until(async || rig.calls().api == 3, LIMIT).await;
    rig.seconds(30);
    rig.face("waha", &numbered(1)).await;
    assert_eq!(rig.calls().api, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_face_is_wanted_no_longer_than_others() {
    let rig = Settings::default()
        .section("cache", "wanted_for = \"1m\"")
        .start()
        .await;
    rig.inject(Rule::api(Fault::Status {
        status: 502,
        retry_after: None,
    }));
    rig.face("waha", &numbered(0)).await;
    rig.seconds(30);
    until(async || rig.calls().api == 2, LIMIT).await;
    rig.seconds(61);
    let calls = rig.calls().api;
    rig.hours(1);
    // When another face has its answer, the queue has been looked at, too.
    rig.face("waha", &numbered(1)).await;
    assert_eq!(rig.calls().api, calls + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_their_place_are_answered_at_once_when_the_server_stops() {
    let mut rig = Settings::default()
        .section("cache", "first_paint = \"25s\"")
        .instance("lookups = { per_minute = 6, burst = 1 }")
        .start()
        .await;
    rig.face("waha", &numbered(0)).await;
    let mut requests = JoinSet::new();
    for number in 1..=2 {
        let (address, path) = (rig.address(), format!("/avatar/waha/{}", numbered(number)));
        requests.spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
    }
    until(async || count_wanted(&rig).await == 2, LIMIT).await;
    rig.traffic();
    let began = Instant::now();
    rig.stop().await;
    for answer in requests.join_all().await {
        answer.assert_fallback("over_budget");
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(rig.traffic().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_of_a_face_that_was_pushed_while_it_waited_is_left_for_another_face() {
    let rig = Settings::default()
        .section("cache", "first_paint = \"25s\"")
        .instance("lookups = { per_minute = 6, burst = 1 }")
        .start()
        .await;
    rig.face("waha", &numbered(0)).await;
    let (address, path) = (rig.address(), format!("/avatar/waha/{}", numbered(1)));
    let waiting = tokio::spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
    until(async || count_wanted(&rig).await == 1, LIMIT).await;
    let picture = rig.bytes(&numbered(5));
    let path = format!("/v1/avatars/waha/{}", numbered(1));
    let media = [("content-type", "image/jpeg")];
    let pushed = Answer::send(&rig.admin(), "PUT", &path, &media, &picture).await;
    assert_eq!(pushed.status, 200, "{}", pushed.text());
    rig.traffic();
    rig.seconds(10);
    waiting.await.unwrap().assert_picture(&picture);
    let other = rig.face("waha", &numbered(2)).await;
    assert_eq!(other.source(), "picture");
    assert_eq!(rig.traffic().0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_of_day_that_is_set_neither_holds_up_wanted_faces_nor_drops_them() {
    for set_back in [true, false] {
        let rig = with_default_budget().start().await;
        open_page(&rig, 0..30).await;
        assert_eq!(count_wanted(&rig).await, 20);
        let (now, by) = (rig.clock.now(), Duration::from_secs(20 * 3600));
        rig.clock.set(if set_back { now - by } else { now + by });
        for made in [20, 30] {
            rig.seconds(20);
            until(async || rig.calls().api == made, LIMIT).await;
        }
        assert_eq!(count_wanted(&rig).await, 0);
    }
}
