//! Programs that fetch a face once: `wait=SECONDS`, and `d=404` while it is not known whether there is a picture.

use std::time::Duration;

use faceplate::emulator::{Fault, Rule};
use tokio::task::JoinHandle;

use crate::{
    access::{KEY, LATER, signature},
    support::{Answer, LIMIT, Rig, rig::Settings, until},
};

const BEARER: (&str, &str) = ("authorization", "Bearer a bearer token for tests");

fn numbered(number: usize) -> String {
    format!("62811{number:07}")
}

/// One call, then one every ten seconds; open to all, with a bearer token for programs.
fn with_budget(cache: &str) -> Settings {
    let access = "mode = \"open\"\nallow_public = true\nsigning_keys = [\"env:SIGNING_KEY\"]\n\
                  bearer_tokens = [\"env:BEARER\"]";
    Settings::default()
        .section("access", access)
        .section("cache", &format!("first_paint = \"500ms\"\n{cache}"))
        .instance("lookups = { per_minute = 6, burst = 1 }")
}

/// The same, with the one call spent.
async fn spent(cache: &str) -> Rig {
    let rig = with_budget(cache).start().await;
    rig.face("waha", &numbered(0)).await;
    rig
}

fn begin(rig: &Rig, number: usize, query: &str) -> JoinHandle<Answer> {
    let address = rig.address();
    let path = format!("/avatar/waha/{}?{query}", numbered(number));
    tokio::spawn(async move { Answer::to(&address, "GET", &path, &[BEARER]).await })
}

fn wanted(rig: &Rig) -> usize {
    rig.pipeline("waha").1.wanted().len()
}

async fn until_wanted(rig: &Rig, count: usize) {
    until(async || wanted(rig) == count, LIMIT).await;
}

#[tokio::test]
async fn a_program_that_waits_gets_the_picture_when_its_turn_comes() {
    let rig = spent("").await;
    let (first, second) = (begin(&rig, 1, "wait=30"), begin(&rig, 1, "wait=30&d=404"));
    until_wanted(&rig, 1).await;
    rig.seconds(10);
    for answer in [first.await.unwrap(), second.await.unwrap()] {
        assert_eq!(answer.source(), "picture", "{}", answer.cache_status());
    }
    assert_eq!(rig.calls().api, 2);
}

#[tokio::test]
async fn a_program_that_waits_is_told_that_there_is_no_picture() {
    let rig = spent("").await;
    rig.inject(Rule::api(Fault::Empty { remembered: false }));
    let program = begin(&rig, 1, "wait=30&d=404");
    until_wanted(&rig, 1).await;
    rig.seconds(10);
    let answer = program.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.reason()), (404, "unknown"));
}

#[tokio::test]
async fn a_browser_does_not_wait_for_a_face_that_a_program_waits_for() {
    let rig = spent("").await;
    let program = begin(&rig, 1, "wait=30");
    until_wanted(&rig, 1).await;
    let browser = rig.face("waha", &numbered(1)).await;
    browser.assert_fallback("over_budget");
    assert!(!program.is_finished());
    rig.seconds(10);
    assert_eq!(program.await.unwrap().source(), "picture");
}

#[tokio::test]
async fn a_request_waits_for_a_slow_vendor_as_long_as_it_says() {
    let rig = with_budget("").start().await;
    rig.inject(Rule::api(Fault::Latency { ms: 1500 }));
    let answer = begin(&rig, 0, "wait=30").await.unwrap();
    assert_eq!(answer.source(), "picture", "{}", answer.cache_status());
}

#[tokio::test]
async fn a_place_that_comes_up_after_longest_wait_is_not_waited_for() {
    for (longest, waits) in [("5s", false), ("30s", true), ("0s", false)] {
        let rig = spent(&format!("longest_wait = \"{longest}\"")).await;
        let mut program = begin(&rig, 1, "wait=3600");
        until_wanted(&rig, 1).await;
        if waits {
            rig.seconds(10);
            assert_eq!(program.await.unwrap().source(), "picture");
        } else {
            let at_once = tokio::time::timeout(Duration::from_secs(4), &mut program);
            let answer = at_once.await.unwrap().unwrap();
            answer.assert_fallback("over_budget");
            assert_eq!(answer.header("retry-after"), "10");
        }
    }
}

#[tokio::test]
async fn no_more_requests_wait_for_longer_than_max_waiting_says() {
    for (max, waiting) in [(1, 1), (100, 2)] {
        let rig = spent(&format!("max_waiting = {max}")).await;
        let programs: Vec<_> = (1..=2)
            .map(|number| begin(&rig, number, "wait=30"))
            .collect();
        until_wanted(&rig, 2).await;
        let answered = async || programs.iter().filter(|one| one.is_finished()).count();
        until(async || answered().await == 2 - waiting, LIMIT).await;
        for left in [1, 0] {
            rig.seconds(10);
            until_wanted(&rig, left).await;
        }
        let mut shown = 0;
        for program in programs {
            let answer = program.await.unwrap();
            shown += usize::from(answer.source() == "picture");
        }
        assert_eq!(shown, waiting, "{max}");
    }
}

#[tokio::test]
async fn wait_needs_a_signature_or_a_token() {
    let rig = spent("").await;
    let path = format!("/avatar/waha/{}?wait=30", numbered(1));
    let answer = rig.get(&path).await;
    answer.assert_fallback("over_budget");
    assert_eq!(answer.header("x-faceplate-ignored"), "wait");
    let forged = rig.get(&format!("{path}&exp={LATER}&sig=forged")).await;
    assert_eq!(forged.header("x-faceplate-ignored"), "wait");
    let sig = signature(KEY, "waha", &format!("{}@c.us", numbered(1)), LATER, "");
    let (address, path) = (rig.address(), format!("{path}&exp={LATER}&sig={sig}"));
    let signed = tokio::spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
    rig.seconds(10);
    assert_eq!(signed.await.unwrap().source(), "picture");
    let unknown = rig
        .ask("GET", "/avatar/waha/62811?wait=long", &[BEARER])
        .await;
    assert_eq!(unknown.header("x-faceplate-ignored"), "wait");
}

#[tokio::test]
async fn a_program_that_waits_is_answered_when_the_server_stops() {
    let mut rig = spent("").await;
    let program = begin(&rig, 1, "wait=30");
    until_wanted(&rig, 1).await;
    rig.stop().await;
    program.await.unwrap().assert_fallback("over_budget");
}

#[tokio::test]
async fn d_404_is_a_503_with_retry_after_while_it_is_not_known_whether_there_is_a_picture() {
    let rig = spent("").await;
    let face = async |number| {
        let path = format!("/avatar/waha/{}?d=404", numbered(number));
        rig.get(&path).await
    };
    let refused = face(1).await;
    assert_eq!(
        (refused.status.as_u16(), refused.reason()),
        (503, "over_budget")
    );
    assert_eq!(refused.header("retry-after"), "10");
    assert_eq!(refused.header("cache-control"), "no-store");
    assert!(refused.text().contains("urn:faceplate:problem:not-known"));
    rig.seconds(10);
    until_wanted(&rig, 0).await;
    until(async || face(1).await.status == 200, LIMIT).await;

    rig.inject(Rule::api(Fault::Hang).times(1));
    rig.seconds(10);
    let deferred = face(2).await;
    assert_eq!(
        (deferred.status.as_u16(), deferred.reason()),
        (503, "deferred")
    );
    assert_eq!(deferred.header("retry-after"), "2");

    rig.inject(Rule::api(Fault::NotJson));
    rig.seconds(10);
    let failed = face(3).await;
    assert_eq!(
        (failed.status.as_u16(), failed.reason()),
        (503, "vendor_error")
    );
    assert_ne!(failed.header("retry-after"), "");

    rig.vendors().clear_faults();
    rig.inject(Rule::api(Fault::Empty { remembered: false }));
    rig.seconds(10);
    let none = face(4).await;
    assert_eq!((none.status.as_u16(), none.reason()), (404, "unknown"));
    assert_eq!(none.header("retry-after"), "");
}

#[tokio::test]
async fn a_time_of_day_that_is_set_changes_nothing_about_how_slow_a_vendor_is() {
    let rig = Rig::start().await;
    for number in 1..=3 {
        rig.face("waha", &format!("62810000000{number}")).await;
    }
    let latency = async || rig.instance_record("waha").await["latency"].clone();
    assert!(latency().await.is_number());
    let day = Duration::from_secs(24 * 3600);
    rig.clock.set(rig.clock.now() + day);
    assert!(latency().await.is_number());
    rig.seconds(300);
    assert!(!latency().await.is_number());
}
