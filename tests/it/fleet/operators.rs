//! What operators see of a fleet: its record, readiness, and the doctor's findings.

use std::{collections::HashMap, fs};

use faceplate::emulator::{Emulator, Options};
use serde_json::Value;

use super::{PATIENT, patient, s3::replica};
use crate::support::{
    Answer, LIMIT, Rig,
    program::{Program, errors},
    redis::RedisServer,
    relay::{Relay, State},
    s3::{self, S3Server},
    until,
};

const FACE: &str = "628100000001";

async fn record(rig: &Rig) -> Value {
    let answer = Answer::to(&rig.admin(), "GET", "/v1/fleet", &[]).await;
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

async fn ready(rig: &Rig) -> String {
    let answer = Answer::to(&rig.admin(), "GET", "/readyz", &[]).await;
    assert_eq!(answer.status, 200);
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_the_fleet_shows_replicas_engines_and_accounts() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let first = replica(&redis, &store.lines()).start().await;
    let second = replica(&redis, &store.lines()).beside(&first);
    let second = second.start().await;
    let own = record(&second).await;
    assert_eq!(
        (&own["name"], &own["living"], &own["replicas"]),
        (&"crm".into(), &2.into(), &3.into())
    );
    assert_eq!(
        (&own["redis"], &own["has_reserve"]),
        (&true.into(), &true.into())
    );
    assert_eq!(
        (&own["pictures"], &own["pictures_up"]),
        (&"s3".into(), &true.into())
    );
    assert_ne!(own["replica"], record(&first).await["replica"]);
    let is_current = async || {
        let own = record(&second).await;
        let accounts = own["accounts"].as_array().unwrap().clone();
        accounts.iter().any(|account| account["instance"] == "waha")
            && accounts
                .iter()
                .all(|account| account["reading"] == "current")
    };
    until(is_current, LIMIT).await;
    assert!(own["problem"].is_null(), "{own}");
    redis.fill_budgets();
    first.face("waha", FACE).await;
    let has_heard = async || {
        let own = record(&second).await;
        let mut accounts = own["accounts"].as_array().unwrap().iter();
        // A replica that is new has missed all changes before.
        accounts.any(|account| account["lag_seconds"].is_number() && account["epoch"] == 1)
    };
    until(has_heard, LIMIT).await;
    let overview = Answer::to(&first.admin(), "GET", "/v1/overview", &[]).await;
    let overview: Value = serde_json::from_slice(&overview.body).unwrap();
    assert_eq!(overview["fleet"]["name"], "crm");
}

#[tokio::test]
async fn without_a_fleet_its_record_is_not_found() {
    let rig = Rig::start().await;
    let answer = Answer::to(&rig.admin(), "GET", "/v1/fleet", &[]).await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("[fleet]"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_answer_is_named_by_the_record_and_by_readyz() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let relay = Relay::to(store.address()).await;
    let lines = s3::lines(&relay.url().replace("redis://", ""));
    let rig = replica(&redis, &lines).start().await;
    redis.fill_budgets();
    assert_eq!(ready(&rig).await, "ok\n");
    relay.set(State::Cut);
    rig.face("waha", FACE).await;
    assert!(ready(&rig).await.contains("S3"), "{}", ready(&rig).await);
    assert_eq!(record(&rig).await["pictures_up"], false);
    relay.set(State::Pass);
    let is_up = async || {
        rig.face("waha", "628100000002").await;
        rig.face("waha", "628100000003").await;
        rig.hours(48);
        ready(&rig).await == "ok\n"
    };
    until(is_up, LIMIT).await;
}

/// The doctor's verdict and text about each key of the fleet.
fn examine(program: &Program, redis: &str) -> Vec<(String, String, String)> {
    let mut command = program.command(&["doctor", "--json"]);
    command.env("REDIS", redis);
    command.env("FLEET_SECRET", "a fleet secret for tests");
    command.env("S3_KEY", s3::ACCESS_KEY);
    command.env("S3_SECRET", s3::SECRET_KEY);
    let output = command.output().unwrap();
    let all: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", errors(&output)));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = all["findings"].as_array().unwrap().iter().map(|finding| {
        let said = text(&finding["found"]) + " → " + &text(&finding["remedy"]);
        (text(&finding["verdict"]), text(&finding["about"]), said)
    });
    findings.collect()
}

#[track_caller]
fn assert_found(findings: &[(String, String, String)], verdict: &str, about: &str, word: &str) {
    let mut all = findings.iter();
    let is_there = all.any(|(v, a, said)| v == verdict && a == about && said.contains(word));
    assert!(
        is_there,
        "no {verdict} about {about} with {word:?} in {findings:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_looks_at_the_engines_of_the_fleet() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let tables = format!(
        "[fleet]\nname = \"crm\"\nredis = \"env:REDIS\"\nsecret = \"env:FLEET_SECRET\"\npictures = \"s3\"\n{PATIENT}\n[fleet.s3]\n{}\n",
        store.lines()
    );
    let program = Program::before(&emulator, &tables);
    let findings = examine(&program, &redis.url());
    assert_found(&findings, "ok", "fleet.redis", "has all rights");
    assert_found(&findings, "ok", "maxmemory-policy", "evicts nothing");
    assert_found(&findings, "warn", "appendonly", "set appendonly yes");
    assert_found(&findings, "ok", "fleet.s3", "can be written to");
    assert!(
        findings
            .iter()
            .any(|(_, about, said)| about == "clock" && said.contains("Redis"))
    );
    assert!(store.objects("").is_empty());
    let keys: Vec<String> = redis.ask(&["KEYS", "*"]);
    assert!(keys.is_empty(), "{keys:?}");

    for words in [
        &["CONFIG", "SET", "maxmemory", "100mb"][..],
        &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"],
        &[
            "ACL", "SETUSER", "narrow", "on", ">word", "~fp:*", "+@all", "-xadd",
        ],
    ] {
        let _: String = redis.ask(words);
    }
    let findings = examine(&program, &redis.url());
    assert_found(&findings, "warn", "maxmemory-policy", "noeviction");
    let page = include_str!("../../../docs/fleet.md");
    let mut lines = page.lines();
    let least = lines.find(|line| line.starts_with("ACL SETUSER faceplate"));
    let words = least.unwrap().split(' ');
    let _: String = redis.ask(&words.collect::<Vec<_>>());
    let least = format!("redis://faceplate:PASSWORD@{}", redis.address());
    assert_found(
        &examine(&program, &least),
        "ok",
        "fleet.redis",
        "has all rights",
    );
    let narrow = format!("redis://narrow:word@{}", redis.address());
    assert_found(&examine(&program, &narrow), "fail", "fleet.redis", "XADD");
    let wrong = format!("redis://narrow:other@{}", redis.address());
    assert_found(
        &examine(&program, &wrong),
        "fail",
        "fleet.redis",
        "user and password",
    );
    let nobody = examine(&program, "redis://127.0.0.1:1");
    assert_found(&nobody, "fail", "fleet.redis", "cannot be reached");
    drop(store);
    assert_found(
        &examine(&program, &redis.url()),
        "fail",
        "fleet.s3",
        "fleet.s3.endpoint",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_pictures_in_redis_says_so() {
    let redis = RedisServer::start();
    let rig = patient().fleet(&redis.url(), PATIENT).start().await;
    let own = record(&rig).await;
    assert_eq!(
        (&own["pictures"], &own["pictures_up"]),
        (&"redis".into(), &true.into())
    );
}

const NUMBERS: &str = "fp:crm:{fleet}:numbers";
const HEARTBEATS: &str = "fp:crm:{fleet}:heartbeats";

/// The replicas that have numbers.
fn numbers(redis: &RedisServer) -> HashMap<u32, String> {
    let held: HashMap<u32, String> = redis.ask(&["HGETALL", NUMBERS]);
    let holder = |text: String| text.split(' ').next().unwrap().to_owned();
    let held = held.into_iter();
    held.map(|(number, text)| (number, holder(text))).collect()
}

async fn name(rig: &Rig) -> String {
    record(rig).await["replica"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_kept_over_a_crash_and_given_back_at_a_proper_stop() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.address()).await;
    let two = format!("{PATIENT}\nreplicas = 2");
    let mut first = patient().fleet(&relay.url(), &two).start().await;
    let held = HashMap::from([(1, name(&first).await)]);
    assert_eq!(numbers(&redis), held);
    // Redis does not hear of the stop, as if the process had crashed.
    relay.set(State::Cut);
    first.stop().await;
    assert_eq!(numbers(&redis), held);
    relay.set(State::Pass);
    first.restart().await;
    assert_eq!(numbers(&redis), held);
    first.stop().await;
    assert!(numbers(&redis).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_replica_has_a_number_beyond_the_most_replicas() {
    let redis = RedisServer::start();
    let two = format!("{PATIENT}\nreplicas = 2");
    let settings = || patient().fleet(&redis.url(), &two);
    let first = settings().start().await;
    let second = settings().beside(&first).start().await;
    let held = HashMap::from([(1, name(&first).await), (2, name(&second).await)]);
    assert!(settings().beside(&first).try_start().await.is_err());
    assert_eq!(numbers(&redis), held);
    // One whose heartbeats have ended keeps its number.
    let _: i64 = redis.ask(&["HDEL", HEARTBEATS, &name(&second).await]);
    let third = settings().beside(&first).try_start().await;
    assert_eq!(numbers(&redis), held);
    // Else a heartbeat was faster.
    if let Ok(third) = third {
        assert_eq!(record(&third).await["has_reserve"], false);
    }
}

/// A replica of a fleet of one that slept behind the relay while Redis carried out `words` and another one started, and
/// that one.
async fn one_too_many(redis: &RedisServer, relay: &Relay, words: &[&str]) -> (Rig, Rig) {
    let alone = format!("{PATIENT}\nreplicas = 1");
    let asleep = patient().fleet(&relay.url(), &alone).start().await;
    relay.set(State::Cut);
    let _: redis::Value = redis.ask(words);
    let other = patient().fleet(&redis.url(), &alone).beside(&asleep);
    let other = other.start().await;
    relay.set(State::Pass);
    let names = [name(&asleep).await, name(&other).await];
    let are_live = async || {
        let beats: HashMap<String, u64> = redis.ask(&["HGETALL", HEARTBEATS]);
        names.iter().all(|name| beats.contains_key(name))
    };
    until(are_live, LIMIT).await;
    (asleep, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_slept_until_the_fleet_was_full_is_a_live_one_again() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.address()).await;
    let (asleep, other) = one_too_many(&redis, &relay, &["DEL", HEARTBEATS]).await;
    assert_eq!(record(&asleep).await["has_reserve"], true);
    let record = record(&other).await;
    assert_eq!(record["has_reserve"], false);
    let problem = record["problem"].as_str().unwrap();
    assert!(problem.contains("raise fleet.replicas"), "{problem}");
    let ready = Answer::to(&other.admin(), "GET", "/readyz", &[]).await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains(problem), "{}", ready.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_number_another_one_got_after_a_flush_has_no_reserve() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.address()).await;
    let (asleep, other) = one_too_many(&redis, &relay, &["FLUSHALL"]).await;
    assert_eq!(record(&other).await["has_reserve"], true);
    let has_heard = async || record(&asleep).await["has_reserve"] == false;
    until(has_heard, LIMIT).await;
    assert!(record(&asleep).await["problem"].is_string());
}

/// The output of `faceplate check` with these lines of `[fleet]` and this Redis.
fn check(program: &Program, redis: &str, secret: &str) -> (bool, String) {
    let mut command = program.command(&["check"]);
    command.env("REDIS", redis).env("FLEET_SECRET", secret);
    command.env("S3_KEY", s3::ACCESS_KEY);
    command.env("S3_SECRET", s3::SECRET_KEY);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), said + &errors(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn check_asks_the_engines_whether_the_replica_fits() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let budget = "lookups = { per_minute = 60000, burst = 10000 }\nrefreshes = { per_minute = 6000, burst = 1000 }";
    let first = replica(&redis, &store.lines()).instance(budget);
    let first = first.start().await;
    let fleet = format!(
        "[fleet]\nname = \"crm\"\nredis = \"env:REDIS\"\nsecret = \"env:FLEET_SECRET\"\npictures = \"s3\"\n[fleet.s3]\n{}\n",
        store.lines()
    );
    let program = Program::before(&first.emulator, &fleet);
    let secret = "a fleet secret for tests";
    let (is_good, said) = check(&program, &redis.url(), secret);
    assert!(is_good && said.contains("1 replica(s) live"), "{said}");
    assert!(store.objects("").is_empty());

    let (is_good, said) = check(&program, &redis.url(), "another fleet secret");
    assert!(!is_good && said.contains("another fleet.secret"), "{said}");
    let wrong = redis.url().replace("redis://", "redis://:wrong@");
    let (is_good, said) = check(&program, &wrong, secret);
    assert!(
        !is_good && said.contains("refuses the credential"),
        "{said}"
    );
    let (is_good, said) = check(&program, "redis://127.0.0.1:1", secret);
    assert!(is_good, "{said}");
    assert!(said.contains("fleet.redis cannot be reached"), "{said}");

    let config = fs::read_to_string(program.config()).unwrap();
    let other = Program::before(&first.emulator, &fleet);
    fs::write(other.config(), config.replace("60000", "60")).unwrap();
    let (is_good, said) = check(&other, &redis.url(), secret);
    assert!(!is_good && said.contains("the same budget"), "{said}");
    let other = fleet.replace("[fleet.s3]", "replicas = 5\n[fleet.s3]");
    let other = Program::before(&first.emulator, &other);
    let (is_good, said) = check(&other, &redis.url(), secret);
    assert!(
        !is_good && said.contains("the same fleet.replicas"),
        "{said}"
    );
    let other = fleet.replace("bucket = \"faces\"", "bucket = \"missing\"");
    let other = Program::before(&first.emulator, &other);
    let (is_good, said) = check(&other, &redis.url(), secret);
    assert!(!is_good && said.contains("fleet.s3.bucket"), "{said}");
    drop(store);
    let (is_good, said) = check(&program, &redis.url(), secret);
    assert!(
        is_good && said.contains("fleet.s3 cannot be reached"),
        "{said}"
    );
}
