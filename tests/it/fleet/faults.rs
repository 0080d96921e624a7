//! Answers while Redis fails: known faces as ever, new ones from the reserve, and never more calls than the budget.

use std::time::{Duration, Instant};

use faceplate::emulator::{Fault, Picture, Rule};

use super::{PATIENT, cut_logs, is_paused, lift_pause, patient, rate_limit, until_counted};
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
    relayed_within(redis, settings, HASTY).await
}

async fn relayed_within(
    redis: &RedisServer,
    settings: impl Fn() -> Settings,
    timeout: &str,
) -> (Vec<Rig>, Vec<Relay>) {
    let (mut rigs, mut relays) = (Vec::<Rig>::new(), Vec::new());
    for _ in 0..2 {
        let relay = Relay::to(redis.address()).await;
        let mut settings = settings().fleet(&relay.url(), &format!("{timeout}\nreplicas = 2"));
        if let Some(first) = rigs.first() {
            settings = settings.beside(first);
        }
        rigs.push(settings.start().await);
        relays.push(relay);
    }
    redis.fill_budgets();
    until_counted(&rigs).await;
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
    // The reserve is soon used up, and waits for the clock.
    let clock = rigs[0].clock.clone();
    let passing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            clock.advance(Duration::from_millis(200));
        }
    });
    let is_shared = async || {
        Answer::to(&rigs[0].admin(), "POST", &entry, &[]).await;
        let keys: Vec<String> = redis.ask(&["KEYS", "*:entry:*"]);
        !keys.is_empty()
    };
    until(is_shared, LIMIT).await;
    passing.abort();
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
    let (rigs, relays) = relayed(&redis, ample).await;
    let path = format!("/avatar/waha/{FACE}");
    for rig in &rigs {
        rig.get(&path).await.assert_picture(&rig.bytes(FACE));
    }
    assert_forgotten_by_all(rigs, &relays[0], "waha").await;
}

/// Asserts that the second replica forgets a face of `instance` that was forgotten at the first one without Redis, once that
/// one was started again. No request asks it for the face.
async fn assert_forgotten_by_all(mut rigs: Vec<Rig>, relay: &Relay, instance: &str) {
    relay.set(State::Cut);
    let entry = format!("/v1/avatars/{instance}/{FACE}");
    Answer::to(&rigs[0].admin(), "DELETE", &entry, &[]).await;
    rigs[0].stop().await;
    relay.set(State::Pass);
    rigs[0].restart().await;
    let is_forgotten = async || rigs[1].face(instance, FACE).await.source() != "picture";
    until(is_forgotten, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_s_face_that_was_forgotten_without_redis_is_forgotten_by_all_after_a_restart() {
    let redis = RedisServer::start();
    let hasty = || {
        let settings = Settings::default().section("cache", "first_paint = \"300ms\"");
        let settings = settings.instance("lookups = { per_minute = 6000, burst = 100 }");
        settings.named("shop-*", "waha")
    };
    let (rigs, relays) = relayed(&redis, hasty).await;
    let path = format!("/avatar/shop-7/{FACE}");
    // The first request makes the account, whose budget is empty.
    for rig in &rigs {
        rig.get(&path).await;
    }
    redis.fill_budgets();
    rigs[0].seconds(60);
    for rig in &rigs {
        until(async || rig.get(&path).await.source() == "picture", LIMIT).await;
    }
    assert_forgotten_by_all(rigs, &relays[0], "shop-7").await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_lifted_pause_that_redis_hears_of_late_ends_no_pause_that_began_since() {
    let redis = RedisServer::start();
    let (rigs, relays) = relayed(&redis, ample).await;
    rigs[0].get(&format!("/avatar/waha/{FACE}")).await;
    relays[1].set(State::Cut);
    let admin = rigs[1].admin();
    Answer::to(&admin, "DELETE", "/v1/instances/waha/pause", &[]).await;
    // Redis takes it after the pause.
    let purge = format!("/v1/purge?instance=waha&jid={FACE}&hard=true");
    Answer::to(&admin, "POST", &purge, &[]).await;
    let status = Fault::Status {
        status: 429,
        retry_after: None,
    };
    rigs[0].inject(Rule::api(status));
    rigs[0].face("waha", "628100000002").await;
    let field = |account: &str, name| redis.ask::<Option<u64>>(&["HGET", account, name]);
    let accounts: Vec<String> = redis.ask(&["KEYS", "*:account"]);
    let mut accounts = accounts.iter();
    let account = accounts.find(|account| field(account, "paused_at").is_some());
    let account = account.unwrap();
    // Redis goes by a clock that no test moves.
    let _: i64 = redis.ask(&["HINCRBY", account, "paused_at", "60000"]);
    relays[1].set(State::Pass);
    let is_purged = async || rigs[0].files("content-v2").is_empty();
    until(is_purged, LIMIT).await;
    let is_paused = async || !rigs[1].instance_record("waha").await["paused_until"].is_null();
    until(is_paused, LIMIT).await;
    assert!(field(account, "paused_until").is_some());
    assert!(!rigs[0].instance_record("waha").await["paused_until"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lift_that_is_read_late_ends_no_pause_that_the_vendor_has_asked_for_since() {
    let redis = RedisServer::start();
    let (rigs, _relays) = relayed(&redis, ample).await;
    rigs[0].get(&format!("/avatar/waha/{FACE}")).await;
    rigs[0].inject(rate_limit());
    rigs[0].face("waha", "628100000002").await;
    let logs: Vec<String> = redis.ask(&["KEYS", "*:log"]);
    let log = logs.iter().find(|log| {
        let lines: u64 = redis.ask(&["XLEN", log]);
        lines > 0
    });
    let time: Vec<u64> = redis.ask(&["TIME"]);
    let lifted_at = (time[0] * 1000 - 60_000).to_string();
    let mut line = vec!["XADD", log.unwrap(), "*", "kind", "lift", "face", ""];
    line.extend(["value", &lifted_at, "text", "", "from", "a sibling"]);
    let _: String = redis.ask(&line);
    let purge = format!("/v1/purge?instance=waha&jid={FACE}&hard=true");
    Answer::to(&rigs[1].admin(), "POST", &purge, &[]).await;
    let is_purged = async || rigs[0].files("content-v2").is_empty();
    until(is_purged, LIMIT).await;
    assert!(is_paused(&rigs[0]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lift_ends_a_pause_that_a_redis_whose_clock_was_ahead_has_stored() {
    let redis = RedisServer::start();
    let rig = ample().fleet(&redis.url(), PATIENT).start().await;
    redis.fill_budgets();
    rig.inject(rate_limit());
    rig.face("waha", FACE).await;
    let accounts: Vec<String> = redis.ask(&["KEYS", "*:account"]);
    let paused_at = |account: &str| redis.ask::<Option<u64>>(&["HGET", account, "paused_at"]);
    let mut accounts = accounts.iter();
    let account = accounts.find(|account| paused_at(account).is_some());
    let _: i64 = redis.ask(&["HINCRBY", account.unwrap(), "paused_at", "600000"]);
    lift_pause(&rig, &redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_a_flush_of_redis_and_ends_at_a_replica_that_missed_its_lift() {
    let redis = RedisServer::start();
    let (rigs, relays) = relayed(&redis, ample).await;
    rigs[0].inject(rate_limit());
    rigs[0].face("waha", FACE).await;
    rigs[0].vendors().clear_faults();
    until(async || is_paused(&rigs[1]).await, LIMIT).await;
    relays[1].set(State::Cut);
    let _: String = redis.ask(&["FLUSHALL"]);
    let has_noticed = async || {
        let answer = Answer::to(&rigs[0].admin(), "GET", "/v1/fleet", &[]).await;
        let record: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let accounts = record["accounts"].as_array().unwrap();
        accounts
            .iter()
            .all(|account| account["epoch"].as_u64() > Some(1))
    };
    until(has_noticed, LIMIT).await;
    assert!(is_paused(&rigs[0]).await);
    lift_pause(&rigs[0], &redis).await;
    cut_logs(&redis);
    assert!(is_paused(&rigs[1]).await);
    relays[1].set(State::Pass);
    until(async || !is_paused(&rigs[1]).await, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_replaces_no_newer_picture_of_a_sibling() {
    let redis = RedisServer::start();
    let (rigs, relays) = relayed_within(&redis, ample, PATIENT).await;
    rigs[0].inject(Rule::api(Fault::Latency { ms: 500 }));
    let path = format!("/avatar/waha/{FACE}");
    let late = {
        let (address, path) = (rigs[0].address(), path.clone());
        tokio::spawn(async move { Answer::to(&address, "GET", &path, &[]).await })
    };
    until(async || rigs[0].calls().api == 1, LIMIT).await;
    // The vendor answers, and the commit waits in the relay.
    relays[0].set(State::Hang);
    until(async || rigs[0].calls().cdn == 1, LIMIT).await;
    rigs[0].vendors().clear_faults();
    let leases: Vec<String> = redis.ask(&["KEYS", "*:lease:*"]);
    let _: i64 = redis.ask(&["DEL", &leases[0]]);
    rigs[0].seconds(60);
    let vendors = rigs[0].vendors();
    vendors.set_picture(FACE, Picture::Face(77)).unwrap();
    vendors.forget_vendor_cache();
    let newer = rigs[0].bytes(FACE);
    rigs[1].get(&path).await.assert_picture(&newer);
    let state = || {
        let keys: Vec<String> = redis.ask(&["KEYS", "*:entry:*"]);
        let entry: String = redis.ask(&["GET", &keys[0]]);
        let picture: Vec<u8> = redis.ask(&["GET", &keys[0].replace(":entry:", ":picture:")]);
        (entry, picture)
    };
    let before = state();
    assert!(before.1.ends_with(&newer));
    relays[0].set(State::Pass);
    late.await.unwrap();
    assert!(state() == before, "{}", state().0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_purge_holds_against_an_entry_that_redis_did_not_take_and_not_against_a_later_one() {
    let redis = RedisServer::start();
    let (rigs, relays) = relayed(&redis, ample).await;
    rigs[0].face("waha", FACE).await;
    let entries: Vec<String> = redis.ask(&["KEYS", "*:entry:*"]);
    let version = |key: &str| {
        let text: String = redis.ask(&["GET", key]);
        u64::from_str_radix(&text[..14], 16).unwrap()
    };
    relays[0].set(State::Cut);
    rigs[0].seconds(60);
    // The vendor confirms the picture, and a sibling purges all of the account's.
    let face = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&rigs[0].admin(), "POST", &face, &[]).await;
    let (account, _) = entries[0].split_once("entry:").unwrap();
    let (account, purged) = (format!("{account}account"), version(&entries[0]) + 1);
    let text = purged.to_string();
    let set = ["HSET", &account, "purged", &text, "purge_mode", "hard"];
    let _: i64 = redis.ask(&set);
    // Each round compares the entries that differ; the second one begins when the first one has ended.
    for (round, later) in ["628100000021", "628100000022"].into_iter().enumerate() {
        relays[0].set(State::Cut);
        rigs[0].face("waha", later).await;
        relays[0].set(State::Pass);
        let is_stored =
            async || redis.ask::<Vec<String>>(&["KEYS", "*:entry:*"]).len() == round + 2;
        until(is_stored, LIMIT).await;
    }
    assert!(version(&entries[0]) < purged);
}

/// The connections of clients other than the one that asks.
fn connections(redis: &RedisServer) -> Vec<String> {
    let list: String = redis.ask(&["CLIENT", "LIST"]);
    let others = list.lines().filter(|line| !line.contains("cmd=client"));
    let ids = others.filter_map(|line| line.split(' ').next());
    ids.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_late_answer_of_redis_costs_no_connection() {
    let redis = RedisServer::start();
    let rig = ample().fleet(&redis.url(), HASTY).start().await;
    redis.fill_budgets();
    rig.seconds(60);
    rig.face("waha", FACE).await;
    let before = connections(&redis);
    // The next command is late, and the one after that is not.
    let _: String = redis.ask(&["CLIENT", "PAUSE", "700", "ALL"]);
    let face = "628100000002";
    let answer = rig.face("waha", face).await;
    answer.assert_picture(&rig.bytes(face));
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let is_late = |line: &str| line.contains("late") && !line.ends_with(" 0");
    let mut lines = metrics.text().lines();
    assert!(lines.any(|line| line.starts_with("faceplate_fleet_commands") && is_late(line)));
    let after = connections(&redis);
    assert!(
        before.iter().all(|id| after.contains(id)),
        "{before:?} {after:?}"
    );
}
