//! Answers while Redis fails: known faces as ever, new ones from the reserve, and never more calls than the budget.

use std::time::{Duration, Instant};

use faceplate::emulator::{Fault, Rule};

use super::{PATIENT, patient};
use crate::support::{
    Answer, LIMIT, Rig,
    redis::RedisServer,
    relay::{Relay, State},
    rig::Settings,
    until,
};

const FACE: &str = "628100000001";
/// The relays hang, so that a test of them need not wait for long.
const HASTY: &str = "timeout = \"500ms\"";

/// Two replicas, each behind a relay of its own.
async fn relayed(redis: &RedisServer, settings: impl Fn() -> Settings) -> (Vec<Rig>, Vec<Relay>) {
    let (mut rigs, mut relays) = (Vec::<Rig>::new(), Vec::new());
    for _ in 0..2 {
        let relay = Relay::to(redis.address()).await;
        let mut settings = settings().fleet(&relay.url(), &format!("{HASTY}\nreplicas = 2"));
        if let Some(first) = rigs.first() {
            settings = settings.beside(first);
        }
        rigs.push(settings.start().await);
        relays.push(relay);
    }
    redis.fill_budgets();
    (rigs, relays)
}

fn ample() -> Settings {
    patient().instance("lookups = { per_minute = 6000, burst = 100 }")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_known_faces_are_served_and_new_ones_come_from_the_reserve() {
    let redis = RedisServer::start();
    let (rigs, relays) = relayed(&redis, ample).await;
    let path = format!("/avatar/waha/{FACE}");
    rigs[0].get(&path).await;
    let picture = rigs[0].bytes(FACE);
    for state in [State::Cut, State::Hang] {
        relays[0].set(state);
        rigs[0].get(&path).await.assert_picture(&picture);
        // The reserve fills by the replica's own clock: 10 calls a second, at most ten.
        rigs[0].seconds(60);
        let number = if state == State::Cut { 1 } else { 2 };
        let face = format!("62810000001{number}");
        let answer = rigs[0].face("waha", &face).await;
        answer.assert_picture(&rigs[0].bytes(&face));
        let ready = Answer::to(&rigs[0].admin(), "GET", "/readyz", &[]).await;
        assert_eq!(ready.status, 200);
        let text = String::from_utf8_lossy(&ready.body).into_owned();
        assert!(text.contains("Redis"), "{text}");
        relays[0].set(State::Pass);
        let is_up = async || {
            rigs[0]
                .face("waha", &format!("62810000000{}", number + 3))
                .await;
            let ready = Answer::to(&rigs[0].admin(), "GET", "/readyz", &[]).await;
            ready.body == "ok\n"
        };
        until(is_up, LIMIT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_costs_no_known_face_its_time() {
    let redis = RedisServer::start();
    let (rigs, relays) = relayed(&redis, ample).await;
    let path = format!("/avatar/waha/{FACE}");
    rigs[0].get(&path).await;
    relays[0].set(State::Hang);
    for _ in 0..20 {
        let start = Instant::now();
        rigs[0]
            .get(&path)
            .await
            .assert_picture(&rigs[0].bytes(FACE));
        assert!(start.elapsed() < Duration::from_millis(400));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_are_cut_off_make_no_more_calls_than_their_reserves() {
    let budget = || {
        Settings::default()
            .section("cache", "first_paint = \"100ms\"")
            .instance("lookups = { per_minute = 1, burst = 30 }")
    };
    let redis = RedisServer::start();
    let (rigs, relays) = relayed(&redis, budget).await;
    for relay in &relays {
        relay.set(State::Cut);
    }
    // Enough for both reserves to be full: a tenth of the burst each.
    rigs[0].hours(3);
    for (replica, rig) in rigs.iter().enumerate() {
        for number in 0..15 {
            let jid = format!("62810000{}{number:02}", 200 + replica);
            rig.face("waha", &jid).await;
        }
    }
    let calls = rigs[0].calls().api;
    assert_eq!(calls, 6, "two reserves of three calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_grants_no_burst_again() {
    let budget = || {
        Settings::default()
            .section("cache", "first_paint = \"100ms\"")
            .instance("lookups = { per_minute = 1, burst = 30 }")
    };
    let mut redis = RedisServer::start();
    let rig = budget().fleet(&redis.url(), PATIENT).start().await;
    redis.fill_budgets();
    rig.face("waha", "628100000002").await;
    assert_eq!(rig.calls().api, 1, "a full bucket has calls");
    redis.restart_empty();
    rig.seconds(5);
    for number in 10..20 {
        rig.face("waha", &format!("6281000000{number}")).await;
    }
    let calls = rig.calls().api;
    assert_eq!(calls, 1, "an unknown bucket starts empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_to_write_is_as_one_that_is_away() {
    let redis = RedisServer::start();
    let rig = ample().fleet(&redis.url(), PATIENT).start().await;
    redis.fill_budgets();
    rig.face("waha", FACE).await;
    for (key, value) in [("maxmemory", "1"), ("min-replicas-to-write", "1")] {
        let _: String = redis.ask(&["CONFIG", "SET", key, value]);
        rig.seconds(60);
        let face = match key {
            "maxmemory" => "628100000011",
            _ => "628100000012",
        };
        let answer = rig.face("waha", face).await;
        answer.assert_picture(&rig.bytes(face));
        let _: String = redis.ask(&["CONFIG", "SET", key, "0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_from_the_reserve_is_offered_to_the_siblings_when_redis_is_back() {
    let redis = RedisServer::start();
    let (rigs, relays) = relayed(&redis, ample).await;
    relays[0].set(State::Cut);
    rigs[0].seconds(60);
    rigs[0].face("waha", FACE).await;
    relays[0].set(State::Pass);
    let entry = format!("/v1/avatars/waha/{FACE}");
    let is_shared = async || {
        Answer::to(&rigs[0].admin(), "POST", &entry, &[]).await;
        let keys: Vec<String> = redis.ask(&["KEYS", "*:entry:*"]);
        !keys.is_empty()
    };
    until(is_shared, LIMIT).await;
    rigs[0].traffic();
    let answer = rigs[1].face("waha", FACE).await;
    answer.assert_picture(&rigs[0].bytes(FACE));
    assert_eq!(rigs[0].traffic(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_by_hours_does_not_prolong_the_wait_for_the_shared_budget() {
    let redis = RedisServer::start();
    let rig = Settings::default()
        .section("cache", "first_paint = \"2s\"")
        .instance("lookups = { per_minute = 1, burst = 30 }")
        .fleet(&redis.url(), PATIENT)
        .start()
        .await;
    // The shared budget is empty at first.
    rig.face("waha", FACE).await.assert_fallback("over_budget");
    rig.clock
        .set(rig.clock.now() - Duration::from_secs(5 * 3600));
    redis.fill_budgets();
    // The wait for the next call, which was more than a minute.
    rig.seconds(120);
    let face = "628100000002";
    rig.face("waha", face)
        .await
        .assert_picture(&rig.bytes(face));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_that_was_forgotten_without_redis_is_forgotten_by_all_after_a_restart() {
    let redis = RedisServer::start();
    let (mut rigs, relays) = relayed(&redis, ample).await;
    let path = format!("/avatar/waha/{FACE}");
    for rig in &rigs {
        rig.get(&path).await.assert_picture(&rig.bytes(FACE));
    }
    relays[0].set(State::Cut);
    let entry = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&rigs[0].admin(), "DELETE", &entry, &[]).await;
    rigs[0].stop().await;
    relays[0].set(State::Pass);
    rigs[0].restart().await;
    let is_forgotten = async || rigs[1].get(&path).await.source() != "picture";
    until(is_forgotten, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_has_not_heard_of_siblings_never_says_that_all_have_forgotten_a_face() {
    let redis = RedisServer::start();
    let (mut rigs, relays) = relayed(&redis, ample).await;
    relays[0].set(State::Cut);
    rigs[0].restart().await;
    let entry = format!("/v1/avatars/waha/{FACE}");
    let answer = Answer::to(&rigs[0].admin(), "DELETE", &entry, &[]).await;
    let spread: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(spread["applied"], 1, "{spread}");
    assert!(spread["of"].as_u64() > Some(1), "{spread}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_during_which_a_clock_is_set_ahead_is_as_fresh_for_a_sibling() {
    let redis = RedisServer::start();
    let first = ample().fleet(&redis.url(), PATIENT).start().await;
    let second = ample().fleet(&redis.url(), PATIENT);
    let second = second.beside_with_own_clock(&first).start().await;
    redis.fill_budgets();
    second.inject(Rule::api(Fault::Latency { ms: 1000 }));
    let jump = async {
        until(async || second.calls().api == 1, LIMIT).await;
        let clock = &second.clock;
        clock.set(clock.now() + Duration::from_secs(30 * 60));
    };
    tokio::join!(second.face("waha", FACE), jump);
    second.traffic();
    let answer = first.face("waha", FACE).await;
    answer.assert_picture(&first.bytes(FACE));
    assert_eq!(first.traffic(), (0, 0), "{}", answer.cache_status());
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_that_redis_has_not_taken_wait_in_a_bounded_queue_and_reach_the_siblings() {
    let redis = RedisServer::start();
    let (rigs, relays) = relayed(&redis, ample).await;
    let path = format!("/avatar/waha/{FACE}");
    for rig in &rigs {
        rig.get(&path).await.assert_picture(&rig.bytes(FACE));
    }
    rigs[0].traffic();
    relays[0].set(State::Cut);
    let purge = async |jid: &str| {
        let path = format!("/v1/purge?instance=waha&jid={jid}&hard=true");
        Answer::to(&rigs[0].admin(), "POST", &path, &[]).await;
    };
    purge(FACE).await;
    let lost = async || {
        let metrics = Answer::to(&rigs[0].admin(), "GET", "/metrics", &[]).await;
        let text = metrics.text().to_owned();
        let name = "faceplate_limit_reached_total{limit=\"unsent_changes\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or("0").to_owned()
    };
    for number in 1..1000 {
        purge(&format!("62810001{number:04}")).await;
    }
    assert_eq!(lost().await, "0");
    for number in 1000..1003 {
        purge(&format!("62810001{number:04}")).await;
    }
    assert_eq!(lost().await, "3");
    relays[0].set(State::Pass);
    let is_removed = async || rigs[1].files("content-v2").is_empty();
    until(is_removed, LIMIT).await;
}
