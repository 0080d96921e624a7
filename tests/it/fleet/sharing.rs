//! Replicas share faces, budgets and changes while Redis works.

use faceplate::emulator::{Fault, Picture, Rule};

use super::{Fleet, PATIENT, at_once, patient};
use crate::support::{Answer, LIMIT, rig::Settings, until};

const FACE: &str = "628100000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_for_a_cold_face_at_three_replicas_make_one_call() {
    let fleet = Fleet::start(patient).await;
    fleet.first().inject(Rule::api(Fault::Latency { ms: 500 }));
    let answers = at_once(&fleet.replicas, 334, &format!("/avatar/waha/{FACE}")).await;
    let picture = fleet.first().bytes(FACE);
    for answer in &answers {
        answer.assert_picture(&picture);
    }
    assert_eq!(fleet.first().traffic(), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_that_a_sibling_has_costs_no_call_and_no_download() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    fleet.first().get(&path).await;
    assert_eq!(fleet.first().traffic(), (1, 1));
    let picture = fleet.first().bytes(FACE);
    for replica in &fleet.replicas {
        replica.get(&path).await.assert_picture(&picture);
    }
    assert_eq!(fleet.first().traffic(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_in_memory_sends_nothing_to_redis() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    fleet.first().get(&path).await;
    let scripts = || -> u64 {
        let stats: String = fleet.redis.ask(&["INFO", "commandstats"]);
        let lines = stats.lines().filter(|line| {
            ["cmdstat_evalsha:", "cmdstat_get:"]
                .iter()
                .any(|name| line.starts_with(name))
        });
        let calls = lines.map(|line| {
            let (_, calls) = line.split_once("calls=").unwrap();
            let (calls, _) = calls.split_once(',').unwrap();
            calls.parse::<u64>().unwrap()
        });
        calls.sum()
    };
    let before = scripts();
    for _ in 0..100 {
        fleet.first().get(&path).await;
    }
    // The three replicas may have renewed their membership meanwhile.
    assert!(scripts() - before <= 3, "{before} {}", scripts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_picture_reaches_a_sibling_that_has_the_old_one() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    at_once(&fleet.replicas, 1, &path).await;
    let vendors = fleet.first().vendors();
    vendors.set_picture(FACE, Picture::Face(77)).unwrap();
    let picture = fleet.first().bytes(FACE);
    let entry = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&fleet.first().admin(), "POST", &entry, &[]).await;
    fleet.first().get(&path).await.assert_picture(&picture);
    let sibling = &fleet.replicas[1];
    until(async || sibling.get(&path).await.body == picture, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_face_is_shown_by_no_replica_and_not_fetched_again() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    at_once(&fleet.replicas, 1, &path).await;
    fleet.first().traffic();
    let entry = format!("/v1/avatars/waha/{FACE}");
    let forgotten = Answer::to(&fleet.first().admin(), "DELETE", &entry, &[]).await;
    assert_eq!(forgotten.status, 200);
    assert_eq!(forgotten.text(), r#"{"applied":3,"of":3}"#);
    for replica in &fleet.replicas {
        assert_ne!(replica.get(&path).await.source(), "picture");
        until(async || replica.files("content-v2").is_empty(), LIMIT).await;
    }
    at_once(&fleet.replicas, 1, &path).await;
    assert_eq!(fleet.first().traffic(), (0, 0));
    let keys: Vec<String> = fleet.redis.ask(&["KEYS", "*"]);
    let left = keys
        .iter()
        .filter(|key| key.contains(":entry:") || key.contains(":picture:"));
    assert_eq!(left.count(), 0, "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_stopped_shows_no_face_that_was_forgotten_meanwhile() {
    let mut fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    at_once(&fleet.replicas, 1, &path).await;
    fleet.replicas[2].stop().await;
    let entry = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&fleet.first().admin(), "DELETE", &entry, &[]).await;
    let forgotten = || {
        let keys: Vec<String> = fleet.redis.ask(&["KEYS", "*:forgotten"]);
        !keys.is_empty()
    };
    until(async || forgotten(), LIMIT).await;
    fleet.replicas[2].restart().await;
    let answer = fleet.replicas[2].get(&path).await;
    assert_ne!(answer.source(), "picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_on_one_replica_is_one_on_all() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    for scope in [
        format!("instance=waha&jid={FACE}"),
        "instance=waha".to_owned(),
    ] {
        at_once(&fleet.replicas, 1, &path).await;
        let purge = format!("/v1/purge?{scope}&hard=true");
        Answer::to(&fleet.first().admin(), "POST", &purge, &[]).await;
        for replica in &fleet.replicas {
            until(async || replica.files("content-v2").is_empty(), LIMIT).await;
        }
        fleet.first().traffic();
        let answers = at_once(&fleet.replicas, 1, &path).await;
        answers[0].assert_picture(&fleet.first().bytes(FACE));
        assert_eq!(fleet.first().traffic(), (1, 1), "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_one_replica_learns_of_is_one_for_all_until_it_is_lifted() {
    let fleet = Fleet::start(patient).await;
    let status = Fault::Status {
        status: 429,
        retry_after: None,
    };
    fleet.first().inject(Rule::api(status));
    fleet.first().face("waha", FACE).await;
    fleet.first().vendors().clear_faults();
    fleet.first().traffic();
    let sibling = &fleet.replicas[1];
    sibling
        .face("waha", "628100000002")
        .await
        .assert_fallback("rate_limited");
    assert_eq!(fleet.first().traffic(), (0, 0));
    let lift = "/v1/instances/waha/pause";
    Answer::to(&fleet.first().admin(), "DELETE", lift, &[]).await;
    let is_paused = async || !sibling.instance_record("waha").await["paused_until"].is_null();
    until(async || !is_paused().await, LIMIT).await;
    sibling.face("waha", "628100000002").await;
    assert_eq!(fleet.first().traffic(), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_told_to_stop_ends_its_fetch_and_a_sibling_that_waits_has_the_face() {
    let mut fleet = Fleet::start(patient).await;
    fleet.first().inject(Rule::api(Fault::Latency { ms: 1000 }));
    let path = format!("/avatar/waha/{FACE}");
    let ask = |replica: usize| {
        let (address, path) = (fleet.replicas[replica].address(), path.clone());
        tokio::spawn(async move { Answer::to(&address, "GET", &path, &[]).await })
    };
    let holder = ask(2);
    let leases = || -> Vec<String> { fleet.redis.ask(&["KEYS", "*:lease:*"]) };
    until(async || !leases().is_empty(), LIMIT).await;
    let sibling = ask(1);
    let picture = fleet.first().bytes(FACE);
    fleet.replicas[2].stop().await;
    assert!(leases().is_empty(), "the lease ends with the replica");
    sibling.await.unwrap().assert_picture(&picture);
    holder.await.unwrap().assert_picture(&picture);
    assert_eq!(fleet.first().traffic(), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_share_one_budget() {
    let budget = || {
        Settings::default()
            .section("cache", "first_paint = \"200ms\"")
            .instance("lookups = { per_minute = 1, burst = 30 }")
    };
    let fleet = Fleet::start(budget).await;
    for number in 0..20 {
        let path = format!("/avatar/waha/6281000001{number:02}");
        at_once(&fleet.replicas, 1, &path).await;
    }
    for replica in 0..3 {
        for number in 0..20 {
            let jid = format!("62810000{}{number:02}", 200 + replica);
            fleet.replicas[replica].face("waha", &jid).await;
        }
    }
    let calls = fleet.first().calls().api;
    println!("{calls} calls");
    assert!((20..=25).contains(&calls), "{calls} calls of 24");
}

#[tokio::test]
async fn no_phone_number_is_in_redis() {
    let fleet = Fleet::start(patient).await;
    fleet.first().face("waha", FACE).await;
    let entry = format!("/v1/avatars/waha/{FACE}");
    fleet.replicas[1].face("waha", FACE).await;
    fleet.first().face("waha", "628100000002").await;
    Answer::to(&fleet.first().admin(), "DELETE", &entry, &[]).await;
    let _: String = fleet
        .redis
        .ask(&["CONFIG", "SET", "proto-max-bulk-len", "512mb"]);
    let keys: Vec<String> = fleet.redis.ask(&["KEYS", "*"]);
    assert!(keys.iter().any(|key| key.contains(":entry:")), "{keys:?}");
    for key in &keys {
        assert!(!key.contains("6281"), "{key}");
        let dump: Vec<u8> = fleet.redis.ask(&["DUMP", key]);
        let digits = b"628100000";
        let has_number = dump.windows(digits.len()).any(|window| window == digits);
        assert!(!has_number, "{key}");
    }
}

#[tokio::test]
async fn a_replica_with_another_secret_is_refused() {
    let redis = crate::support::redis::RedisServer::start();
    let first = patient().fleet(&redis.url(), PATIENT).start().await;
    let lines = PATIENT.to_owned();
    let other = patient().fleet(&redis.url(), &lines).beside(&first);
    let other = other.secret("another fleet secret").try_start().await;
    let error = other.err().unwrap().to_string();
    assert!(error.contains("another fleet.secret"), "{error}");
}
