//! Replicas share faces, budgets and changes while Redis works.

use std::fs;

use faceplate::emulator::{Fault, Picture, Rule};

use super::{Fleet, PATIENT, at_once, patient};
use crate::support::{
    Answer, LIMIT, Rig,
    events::Events,
    program::{Program, Running},
    redis::RedisServer,
    rig::Settings,
    until,
};

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
async fn a_page_that_listens_at_one_replica_hears_of_new_faces_of_the_others() {
    let fleet = Fleet::start(patient).await;
    let mut events = Events::open(&fleet.replicas[1].address(), "/live/waha", &[]).await;
    assert_eq!(events.next().await.kind, "ready");
    fleet.first().face("waha", FACE).await;
    let event = events.next().await;
    assert_eq!(event.kind, "face");
    assert_eq!(event.data["jid"], format!("{FACE}@c.us"));
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
async fn a_soft_purge_at_a_replica_that_has_lost_the_picture_reaches_its_siblings() {
    let mut fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    at_once(&fleet.replicas, 1, &path).await;
    // After the restart, its memory does not have the picture either.
    fleet.replicas[0].stop().await;
    for file in fleet.replicas[0].files("content-v2") {
        fs::remove_file(file).unwrap();
    }
    fleet.replicas[0].restart().await;
    fleet.first().traffic();
    let purge = format!("/v1/purge?instance=waha&jid={FACE}");
    Answer::to(&fleet.first().admin(), "POST", &purge, &[]).await;
    // The entry is fresh for a day unless it was purged.
    let sibling = &fleet.replicas[1];
    sibling.hours(1);
    let has_asked = async || {
        sibling.get(&path).await;
        fleet.first().calls().api == 1
    };
    until(has_asked, LIMIT).await;
}

/// The version of an entry in Redis.
fn version(entry: &str) -> u64 {
    u64::from_str_radix(&entry[..14], 16).unwrap()
}

/// A hard purge whose change no replica has read yet: of the face, or of all faces. Returns its version.
fn purge_unread(fleet: &Fleet, of_all: bool) -> u64 {
    let entries: Vec<String> = fleet.redis.ask(&["KEYS", "*:entry:*"]);
    let entry = &entries[0];
    let text: String = fleet.redis.ask(&["GET", entry]);
    let version = version(&text) + 1;
    if of_all {
        let (account, _) = entry.split_once("entry:").unwrap();
        let account = format!("{account}account");
        let version = version.to_string();
        let set = ["HSET", &account, "purged", &version, "purge_mode", "hard"];
        let _: i64 = fleet.redis.ask(&set);
    } else {
        let () = fleet.redis.ask(&["SET", entry, &format!("{version:014x}")]);
    }
    version
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_in_flight_does_not_bring_back_a_picture_removed_by_a_purge_on_a_sibling() {
    let error = Fault::Status {
        status: 500,
        retry_after: None,
    };
    for of_all in [false, true] {
        // The vendor's answer is an error, or the link of the removed picture.
        for error in [Some(error.clone()), None] {
            let mut fleet = Fleet::start(patient).await;
            let path = format!("/avatar/waha/{FACE}");
            at_once(&fleet.replicas, 1, &path).await;
            fleet.first().hours(25);
            fleet.redis.fill_budgets();
            fleet.first().traffic();
            let vendors = fleet.first().vendors();
            fleet.first().inject(Rule::api(Fault::Latency { ms: 500 }));
            if let Some(error) = error {
                vendors.set_picture(FACE, Picture::Face(5)).unwrap();
                fleet.first().inject(Rule::cdn(error));
            }
            fleet.first().get(&path).await;
            until(async || fleet.first().calls().api > 0, LIMIT).await;
            let purged = purge_unread(&fleet, of_all);
            // The fetch ends before the server does.
            fleet.replicas[0].stop().await;
            let entries: Vec<String> = fleet.redis.ask(&["KEYS", "*:entry:*"]);
            let entry: String = fleet.redis.ask(&["GET", &entries[0]]);
            let is_removed = version(&entry) <= purged;
            assert!(is_removed || entry.contains("\"picture\":null"), "{entry}");
        }
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

/// How many times a replica has asked Redis whether a fetch may begin.
async fn begins(rig: &Rig) -> u64 {
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let name = "faceplate_fleet_round_trip_seconds_count{command=\"begin\"} ";
    let mut lines = metrics.text().lines();
    let count = lines.find_map(|line| line.strip_prefix(name));
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_waits_for_a_siblings_looks_again_at_each_change_of_the_face() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    fleet.first().get(&path).await;
    let entries: Vec<String> = fleet.redis.ask(&["KEYS", "*:entry:*"]);
    let lease = entries[0].replace(":entry:", ":lease:");
    let set = ["SET", &lease, "another", "PX", "600000"];
    let _: String = fleet.redis.ask(&set);
    let hard = format!("/v1/purge?instance=waha&jid={FACE}&hard=true");
    let purge = async || Answer::to(&fleet.first().admin(), "POST", &hard, &[]).await;
    purge().await;
    let sibling = &fleet.replicas[1];
    // Without the changes, it looks once a second: half as often until the limit.
    let looks_often = async || {
        purge().await;
        begins(sibling).await > 60
    };
    let wake = async {
        until(looks_often, LIMIT).await;
        let _: i64 = fleet.redis.ask(&["DEL", &lease]);
    };
    let (answer, ()) = tokio::join!(sibling.get(&path), wake);
    answer.assert_picture(&fleet.first().bytes(FACE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sibling_asks_the_vendor_once_the_lease_of_a_replica_that_was_killed_has_ended() {
    let redis = RedisServer::start();
    // That of the program.
    let budget = "lookups = { per_minute = 60000, burst = 10000 }\nrefreshes = { per_minute = 6000, burst = 1000 }";
    let sibling = patient().instance(budget).fleet(&redis.url(), PATIENT);
    let sibling = sibling.start().await;
    let lines = format!(
        "[fleet]\nname = \"crm\"\nredis = \"env:REDIS\"\nsecret = \"env:FLEET_SECRET\"\n{PATIENT}"
    );
    let program = Program::before(&sibling.emulator, &lines);
    let mut command = program.command(&["serve"]);
    command.env("REDIS", redis.url());
    command.env("FLEET_SECRET", "a fleet secret for tests");
    let mut killed = Running::start(command);
    killed.wait_for("serving faces");
    redis.fill_budgets();
    sibling.inject(Rule::api(Fault::Hang).times(1));
    let (address, path) = (killed.address("listen"), format!("/avatar/waha/{FACE}"));
    let kill = async {
        until(async || sibling.calls().api == 1, LIMIT).await;
        killed.signal("KILL");
    };
    let (_, ()) = tokio::join!(Answer::attempt(&address, "GET", &path, &[]), kill);
    let _ = killed.end();
    let leases: Vec<String> = redis.ask(&["KEYS", "*:lease:*"]);
    let end_lease = async {
        until(async || begins(&sibling).await > 0, LIMIT).await;
        assert_eq!(sibling.calls().api, 1, "the lease is another's");
        let _: i64 = redis.ask(&["PEXPIRE", &leases[0], "1"]);
    };
    let (answer, ()) = tokio::join!(sibling.get(&path), end_lease);
    answer.assert_picture(&sibling.bytes(FACE));
    assert_eq!(sibling.traffic(), (2, 1));
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

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_share_the_calls_of_a_day() {
    let capped = || {
        Settings::default()
            .section("cache", "first_paint = \"20s\"")
            .instance("daily = 5")
    };
    let fleet = Fleet::start(capped).await;
    let accounts: Vec<String> = fleet.redis.ask(&["KEYS", "*:account"]);
    // Redis goes by a clock that no test moves. Calls from before its start count as made, by the time of day.
    for account in &accounts {
        let _: i64 = fleet.redis.ask(&["HSET", account, "today", "0"]);
    }
    let ask_for_twelve = async |from: usize| {
        for number in from..from + 12 {
            let jid = format!("6281000002{number:02}");
            fleet.replicas[number % 3].face("waha", &jid).await;
        }
        fleet.first().traffic().0
    };
    assert_eq!(ask_for_twelve(0).await, 5);
    // The calls become those of the day before.
    for account in &accounts {
        let _: i64 = fleet.redis.ask(&["HINCRBY", account, "day", "-1"]);
    }
    fleet.first().hours(24);
    assert_eq!(ask_for_twelve(12).await, 5);
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
    let redis = RedisServer::start();
    let first = patient().fleet(&redis.url(), PATIENT).start().await;
    let lines = PATIENT.to_owned();
    let other = patient().fleet(&redis.url(), &lines).beside(&first);
    let other = other.secret("another fleet secret").try_start().await;
    let error = other.err().unwrap().to_string();
    assert!(error.contains("another fleet.secret"), "{error}");
}
