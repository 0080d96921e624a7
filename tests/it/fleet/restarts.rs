//! A replica that ends before its entries agree with the fleet's: the next process compares them.

use std::{fs, path::Path};

use faceplate::emulator::Picture;
use serde_json::Value;

use super::{
    Fleet, PATIENT, at_once, cut_logs, patient,
    s3::{pair, replica},
};
use crate::support::{
    Answer, LIMIT, Rig,
    redis::RedisServer,
    relay::{Relay, State},
    rig::Settings,
    s3::{self, S3Server},
    until,
};

const FACE: &str = "628100000001";
const OTHER_FACE: &str = "628100000002";
/// The state file of a replica that says whether Redis has not taken changes.
const STATE: &str = "instances/waha.unsent.json";

async fn refresh(rig: &Rig) {
    let entry = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&rig.admin(), "POST", &entry, &[]).await;
}

/// What the disk of a replica says about changes that Redis did not take.
fn saved_unsent(rig: &Rig) -> String {
    let state = fs::read_to_string(rig.cache.path().join(STATE)).unwrap_or_default();
    state.trim().to_owned()
}

async fn fleet_record(rig: &Rig) -> Value {
    let answer = Answer::to(&rig.admin(), "GET", "/v1/fleet", &[]).await;
    serde_json::from_slice(&answer.body).unwrap()
}

/// What the replica says about the account of the instance `waha`.
async fn account(rig: &Rig) -> Value {
    let fleet = fleet_record(rig).await;
    let mut accounts = fleet["accounts"].as_array().unwrap().iter();
    let account = accounts.find(|account| account["instance"] == "waha");
    account.unwrap().clone()
}

async fn is_comparing(rig: &Rig) -> bool {
    account(rig).await["reading"] == "comparing"
}

/// How often the replica has missed changes.
async fn epoch(rig: &Rig) -> u64 {
    account(rig).await["epoch"].as_u64().unwrap()
}

/// How often the replica has read entries in Redis.
async fn reads_of_entries(rig: &Rig) -> u64 {
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let count = "faceplate_fleet_round_trip_seconds_count{command=\"get\"} ";
    let mut lines = metrics.text().lines();
    let value = lines.find_map(|line| line.strip_prefix(count));
    value.map_or(0, |value| value.parse().unwrap())
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let (path, to) = {
            let item = item.unwrap();
            (item.path(), to.join(item.file_name()))
        };
        match path.is_dir() {
            true => copy_folder(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

/// Two replicas with a store of pictures, to which the second one has a relay.
async fn pair_with_relay(redis: &RedisServer, store: &S3Server) -> (Rig, Rig, Relay) {
    let relay = Relay::to(store.address()).await;
    let lines = [store.lines(), s3::lines(relay.address())];
    let [first, second] = pair(redis, [&lines[0], &lines[1]]).await;
    (first, second, relay)
}

/// How far the replicas have applied the log of the account, as Redis knows it.
fn noted(redis: &RedisServer) -> (String, Vec<String>) {
    let logs: Vec<String> = redis.ask(&["KEYS", "*:log"]);
    let [log] = &logs[..] else {
        panic!("only one account has changes: {logs:?}");
    };
    let key = log.replace(":log", ":readers");
    let notes = redis.ask(&["HGETALL", &key]);
    (key, notes)
}

/// Lets the replicas take themselves to have applied every change.
fn note_all_as_applied(redis: &RedisServer) {
    let (key, notes) = noted(redis);
    let log = key.replace(":readers", ":log");
    let script = "return redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1]";
    let newest: String = redis.ask(&["EVAL", script, "1", &log]);
    for pair in notes.chunks(2) {
        let note = format!("{newest} 1 0");
        let _: i64 = redis.ask(&["HSET", &key, &pair[0], &note]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_with_redis_that_a_stop_interrupts_begins_again_at_the_next_start() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let (first, mut second, relay) = pair_with_relay(&redis, &store).await;
    let path = format!("/avatar/waha/{FACE}");
    first.get(&path).await;
    second.get(&path).await;
    second.stop().await;
    // Redis' clock goes on during the test, and this one does not: the new picture has to be newer by more than the test takes.
    first.seconds(3600);
    first
        .vendors()
        .set_picture(FACE, Picture::Face(77))
        .unwrap();
    let picture = first.bytes(FACE);
    refresh(&first).await;
    cut_logs(&redis);
    // A log that is empty after it was cut is a gap at each start.
    first.face("waha", OTHER_FACE).await;
    relay.set(State::Hang);
    second.restart().await;
    until(async || is_comparing(&second).await, LIMIT).await;
    second.stop().await;
    assert_eq!(saved_unsent(&second), "true");
    relay.set(State::Pass);
    second.restart().await;
    until(async || second.get(&path).await.body == picture, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faces_whose_comparison_a_stop_interrupts_are_compared_after_the_next_start() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let to_redis = Relay::to(redis.address()).await;
    let to_store = Relay::to(store.address()).await;
    let rig = replica(&redis, &s3::lines(to_store.address()));
    let mut rig = rig
        .fleet(&to_redis.url(), &format!("{PATIENT}\npictures = \"s3\""))
        .start()
        .await;
    redis.fill_budgets();
    to_redis.set(State::Cut);
    // The reserve fills by the replica's own clock.
    rig.seconds(60);
    for face in [FACE, OTHER_FACE] {
        rig.face("waha", face)
            .await
            .assert_picture(&rig.bytes(face));
    }
    until(async || saved_unsent(&rig) == "true", LIMIT).await;
    to_store.set(State::Hang);
    to_redis.set(State::Pass);
    let before = reads_of_entries(&rig).await;
    // The entries are compared, and the picture of the first one waits for the store.
    until(async || reads_of_entries(&rig).await > before, LIMIT).await;
    rig.stop().await;
    assert_eq!(saved_unsent(&rig), "true");
    to_store.set(State::Pass);
    rig.restart().await;
    let entries = || redis.ask::<Vec<String>>(&["KEYS", "*:entry:*"]).len();
    until(async || entries() == 2, LIMIT).await;
    // Then nothing is left for the next start.
    until(async || saved_unsent(&rig) == "false", LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_disk_says_that_it_has_unsent_changes_compares_its_entries() {
    for (is_unsent, is_compared) in [("false", false), ("true", true)] {
        let mut fleet = Fleet::start(patient).await;
        let path = format!("/avatar/waha/{FACE}");
        at_once(&fleet.replicas, 1, &path).await;
        fleet.replicas[2].stop().await;
        // Redis' clock goes on during the test, and the replicas' does not.
        fleet.first().seconds(3600);
        let vendors = fleet.first().vendors();
        vendors.set_picture(FACE, Picture::Face(77)).unwrap();
        let picture = fleet.first().bytes(FACE);
        refresh(fleet.first()).await;
        note_all_as_applied(&fleet.redis);
        fs::write(fleet.replicas[2].cache.path().join(STATE), is_unsent).unwrap();
        fleet.replicas[2].restart().await;
        let returned = &fleet.replicas[2];
        match is_compared {
            true => until(async || returned.get(&path).await.body == picture, LIMIT).await,
            false => assert_ne!(returned.get(&path).await.body, picture),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_redis_took_and_the_disk_lost_in_a_crash_is_taken_from_redis() {
    let redis = RedisServer::start();
    let mut rig = patient().fleet(&redis.url(), PATIENT).start().await;
    redis.fill_budgets();
    let path = format!("/avatar/waha/{FACE}");
    rig.get(&path).await;
    rig.stop().await;
    let before = tempfile::tempdir().unwrap();
    copy_folder(rig.cache.path(), before.path());
    let (key, notes) = noted(&redis);
    rig.restart().await;
    // Redis' clock goes on during the test, and the replica's does not.
    rig.seconds(3600);
    rig.vendors().set_picture(FACE, Picture::Face(77)).unwrap();
    let picture = rig.bytes(FACE);
    refresh(&rig).await;
    rig.stop().await;
    // The crash came before the entry was stored here, and before the position was noted.
    for item in fs::read_dir(rig.cache.path()).unwrap() {
        let path = item.unwrap().path();
        match path.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
    copy_folder(before.path(), rig.cache.path());
    for pair in notes.chunks(2) {
        let _: i64 = redis.ask(&["HSET", &key, &pair[0], &pair[1]]);
    }
    rig.traffic();
    rig.restart().await;
    until(async || rig.get(&path).await.body == picture, LIMIT).await;
    assert_eq!(rig.traffic(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_takes_longer_than_five_seconds_goes_on_applying_the_missed_changes() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let (first, mut second, relay) = pair_with_relay(&redis, &store).await;
    let faces: Vec<String> = (10..25)
        .map(|number| format!("6281000000{number}"))
        .collect();
    for face in &faces {
        first.face("waha", face).await;
        second.face("waha", face).await;
    }
    second.stop().await;
    first.seconds(3600);
    for (number, face) in (500..).zip(&faces) {
        first
            .vendors()
            .set_picture(face, Picture::Face(number))
            .unwrap();
        let entry = format!("/v1/avatars/waha/{face}");
        Answer::to(&first.admin(), "POST", &entry, &[]).await;
    }
    // Each change is a picture that the store gives late.
    relay.set(State::Slow);
    second.restart().await;
    let last = &faces[faces.len() - 1];
    let shows_picture =
        async |face: &str| second.face("waha", face).await.body == first.bytes(face);
    assert!(
        !shows_picture(last).await,
        "the start has waited for all changes"
    );
    relay.set(State::Pass);
    for face in &faces {
        until(async || shows_picture(face).await, LIMIT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_a_replica_missed_is_applied_once_also_if_it_misses_changes_again() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.address()).await;
    let first = patient().fleet(&redis.url(), PATIENT).start().await;
    let second = patient().fleet(&relay.url(), PATIENT).beside(&first);
    let second = second.start().await;
    redis.fill_budgets();
    let path = format!("/avatar/waha/{FACE}");
    second.get(&path).await;
    let miss_change = async |change: &str| {
        let epoch = epoch(&second).await;
        relay.set(State::Cut);
        until(
            async || fleet_record(&second).await["redis"] == false,
            LIMIT,
        )
        .await;
        Answer::to(&first.admin(), "POST", change, &[]).await;
        cut_logs(&redis);
        first.face("waha", OTHER_FACE).await;
        relay.set(State::Pass);
        let has_compared =
            async || self::epoch(&second).await > epoch && !is_comparing(&second).await;
        until(has_compared, LIMIT).await;
    };
    miss_change("/v1/purge?instance=waha&hard=true").await;
    assert!(second.files("content-v2").is_empty());
    second.get(&path).await.assert_picture(&second.bytes(FACE));
    let stored = second.files("content-v2");
    // Redis has lost the note that this replica has applied the purge.
    let (key, notes) = noted(&redis);
    for pair in notes.chunks(2) {
        let (position, _) = pair[1].rsplit_once(' ').unwrap();
        let note = format!("{position} 0");
        let _: i64 = redis.ask(&["HSET", &key, &pair[0], &note]);
    }
    miss_change(&format!("/v1/avatars/waha/{OTHER_FACE}")).await;
    assert_eq!(second.files("content-v2"), stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_a_reload_brings_back_with_unsent_changes_compares_its_entries() {
    let redis = RedisServer::start();
    let with_shop = || {
        let settings = patient().named("shop", "waha");
        settings.only("shop", "account = \"another\"")
    };
    let first = with_shop().fleet(&redis.url(), PATIENT).start().await;
    let second = with_shop().fleet(&redis.url(), PATIENT).beside(&first);
    let mut second = second.start().await;
    redis.fill_budgets();
    let path = format!("/avatar/shop/{FACE}");
    first.get(&path).await;
    second.get(&path).await;
    let mut configured = None;
    second.reload_as(|settings| {
        configured = Some(settings.clone());
        settings.without("shop")
    });
    until(async || second.get(&path).await.status == 404, LIMIT).await;
    // Redis' clock goes on during the test, and the replicas' does not.
    first.seconds(3600);
    first
        .vendors()
        .set_picture(FACE, Picture::Face(77))
        .unwrap();
    let picture = first.bytes(FACE);
    let entry = format!("/v1/avatars/shop/{FACE}");
    Answer::to(&first.admin(), "POST", &entry, &[]).await;
    note_all_as_applied(&redis);
    fs::write(
        second.cache.path().join("instances/shop.unsent.json"),
        "true",
    )
    .unwrap();
    second.reload_as(|_| configured.unwrap());
    until(async || second.get(&path).await.body == picture, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_left_memory_with_unsent_changes_is_compared_and_then_forgotten() {
    let redis = RedisServer::start();
    let rig = Settings::default()
        .section("cache", "first_paint = \"300ms\"")
        .named("shop-*", "waha")
        .only("shop-*", "account = \"missing-{instance}\"")
        .only("shop-*", "idle = \"1h\"")
        .fleet(&redis.url(), PATIENT);
    let rig = rig.start().await;
    let states = || {
        let files = rig.files("instances").into_iter();
        files
            .filter(|file| file.to_string_lossy().contains("/shop-"))
            .count()
    };
    rig.face("shop-1", FACE).await;
    assert_ne!(states(), 0);
    // It leaves memory, and keeps its states with the mark.
    let is_dropped = async || {
        rig.seconds(3700);
        let instances = Answer::to(&rig.admin(), "GET", "/v1/instances", &[]).await;
        !instances.text().contains("shop-1")
    };
    until(is_dropped, LIMIT).await;
    fs::write(
        rig.cache.path().join("instances/shop-1.unsent.json"),
        "true",
    )
    .unwrap();
    let is_forgotten = async || {
        rig.hours(25);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        states() == 0
    };
    until(is_forgotten, LIMIT).await;
}
