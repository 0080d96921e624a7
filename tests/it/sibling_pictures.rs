//! Pictures reach the siblings, and no answer without a picture takes the place of one that a sibling has stored.

use faceplate::emulator::{Fault, Picture, Rule};
use redis::streams::StreamRangeReply;
use serde_json::Value;

use crate::support::{
    Answer, LIMIT, Rig,
    redis::RedisServer,
    relay::{Relay, State},
    rig::Settings,
    s3::{self, S3Server},
    until,
};

const FACE: &str = "628100000001";
const OUTAGE: Fault = Fault::Status {
    status: 502,
    retry_after: None,
};

fn replica(redis: &RedisServer, lines: &str) -> Settings {
    let settings = Settings::default().section("cache", "first_paint = \"0\"");
    settings.fleet(&redis.url(), &format!("timeout = \"5s\"\n{lines}"))
}

/// A replica that reaches the store of pictures at this address.
fn with_store(redis: &RedisServer, address: &str) -> Settings {
    replica(redis, "pictures = \"s3\"").section("fleet.s3", &s3::lines(address))
}

/// Two replicas. The second one reaches the store of pictures through a relay.
async fn pair(redis: &RedisServer, store: &S3Server) -> (Rig, Rig, Relay) {
    let relay = Relay::to(store.address()).await;
    let way = relay.url().replace("redis://", "");
    let first = with_store(redis, &store.address()).start().await;
    let second = with_store(redis, &way).beside(&first).start().await;
    redis.fill_budgets();
    (first, second, relay)
}

/// Waits until all replicas have applied the changes that were made until now.
async fn catch_up(redis: &RedisServer) {
    let logs: Vec<String> = redis.ask(&["KEYS", "*:log"]);
    for log in logs {
        let newest: StreamRangeReply = redis.ask(&["XREVRANGE", &log, "+", "-", "COUNT", "1"]);
        let newest = &newest.ids[0].id;
        let readers = log.replace(":log", ":readers");
        let have_applied = async || {
            let noted: Vec<String> = redis.ask(&["HVALS", &readers]);
            noted.iter().all(|position| position.starts_with(newest))
        };
        until(have_applied, LIMIT).await;
    }
}

async fn refresh(rig: &Rig) {
    rig.get(&format!("/avatar/waha/{FACE}?refresh=true")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_in_an_outage_at_a_replica_without_the_face_leaves_the_siblings_picture() {
    let redis = RedisServer::start();
    let first = replica(&redis, "").start().await;
    let second = replica(&redis, "").beside(&first).start().await;
    redis.fill_budgets();
    first.face("waha", FACE).await;
    let picture = first.bytes(FACE);
    first.inject(Rule::api(OUTAGE));
    first.traffic();
    refresh(&second).await;
    assert_eq!(first.traffic(), (1, 0), "the refresh asks the vendor");
    second.face("waha", FACE).await.assert_picture(&picture);
    catch_up(&redis).await;
    first.face("waha", FACE).await.assert_picture(&picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_store_and_the_vendor_at_one_replica_leaves_the_siblings_picture() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let (first, second, relay) = pair(&redis, &store).await;
    first.face("waha", FACE).await;
    let picture = first.bytes(FACE);
    relay.set(State::Cut);
    first.inject(Rule::api(OUTAGE));
    let answer = second.face("waha", FACE).await;
    answer.assert_fallback("vendor_error");
    catch_up(&redis).await;
    first.face("waha", FACE).await.assert_picture(&picture);
    relay.set(State::Pass);
    let is_shown = async || second.face("waha", FACE).await.body == picture;
    until(is_shown, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_cannot_read_a_newer_picture_does_not_replace_it_by_its_older_one() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let (first, second, relay) = pair(&redis, &store).await;
    first.face("waha", FACE).await;
    second.face("waha", FACE).await;
    relay.set(State::Cut);
    let vendors = first.vendors();
    vendors.set_picture(FACE, Picture::Face(77)).unwrap();
    vendors.forget_vendor_cache();
    first.seconds(60);
    refresh(&first).await;
    let picture = first.bytes(FACE);
    first.inject(Rule::api(OUTAGE));
    first.seconds(60);
    refresh(&second).await;
    let third = with_store(&redis, &store.address()).beside(&first);
    let third = third.start().await;
    third.face("waha", FACE).await.assert_picture(&picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_picture_that_a_replica_could_not_read_is_shown_as_soon_as_it_can() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let (first, second, relay) = pair(&redis, &store).await;
    first.face("waha", FACE).await;
    second.face("waha", FACE).await;
    relay.set(State::Cut);
    first
        .vendors()
        .set_picture(FACE, Picture::Face(77))
        .unwrap();
    first.vendors().forget_vendor_cache();
    refresh(&first).await;
    catch_up(&redis).await;
    relay.set(State::Pass);
    let picture = first.bytes(FACE);
    let is_shown = async || second.face("waha", FACE).await.body == picture;
    until(is_shown, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_entries_that_redis_missed_are_offered_to_it_although_it_fails_again_meanwhile() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.address()).await;
    let settings = Settings::default().section("cache", "first_paint = \"0\"");
    let rig = settings.fleet(&relay.url(), "timeout = \"500ms\"");
    let rig = rig.start().await;
    redis.fill_budgets();
    let is_up = async || {
        let ready = Answer::to(&rig.admin(), "GET", "/readyz", &[]).await;
        ready.body == "ok\n"
    };
    let entries = || redis.ask::<Vec<String>>(&["KEYS", "*:entry:*"]).len();
    relay.set(State::Cut);
    // The reserve fills by the replica's own clock.
    rig.seconds(60);
    for number in 1..=4 {
        let face = format!("62810000000{number}");
        rig.face("waha", &face)
            .await
            .assert_picture(&rig.bytes(&face));
    }
    assert_eq!(entries(), 0);
    relay.set(State::Pass);
    until(is_up, LIMIT).await;
    relay.set(State::Hang);
    until(async || !is_up().await, LIMIT).await;
    relay.set(State::Pass);
    until(async || entries() == 4, LIMIT).await;
}

/// Makes the attempt of the fleet's only entry a minute older. Redis goes by a clock that no test moves.
fn age_entry(redis: &RedisServer) {
    let keys: Vec<String> = redis.ask(&["KEYS", "*:entry:*"]);
    let text: String = redis.ask(&["GET", &keys[0]]);
    let (version, entry) = text.split_at(14);
    let mut entry: Value = serde_json::from_str(entry).unwrap();
    for time in ["asked", "decided"] {
        let millis = entry["last"][time].as_u64().unwrap();
        entry["last"][time] = (millis - 60_000).into();
    }
    let text = format!("{version}{entry}");
    let _: String = redis.ask(&["SET", &keys[0], &text, "KEEPTTL"]);
}

/// Two replicas with a face. The second one reaches Redis through a relay.
async fn pair_behind_a_relay(redis: &RedisServer) -> (Rig, Rig, Relay) {
    let relay = Relay::to(redis.address()).await;
    let first = replica(redis, "").start().await;
    let settings = Settings::default().section("cache", "first_paint = \"0\"");
    let second = settings.fleet(&relay.url(), "timeout = \"500ms\"");
    let second = second.beside(&first).start().await;
    redis.fill_budgets();
    first.face("waha", FACE).await;
    (first, second, relay)
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_a_replica_without_redis_and_the_face_leaves_the_siblings_picture() {
    let redis = RedisServer::start();
    let (first, second, relay) = pair_behind_a_relay(&redis).await;
    let picture = first.bytes(FACE);
    age_entry(&redis);
    relay.set(State::Cut);
    // The reserve fills by the replica's own clock.
    first.seconds(60);
    first.inject(Rule::api(OUTAGE));
    let answer = second.face("waha", FACE).await;
    answer.assert_fallback("vendor_error");
    relay.set(State::Pass);
    let is_shown = async || second.face("waha", FACE).await.body == picture;
    until(is_shown, LIMIT).await;
    catch_up(&redis).await;
    first.face("waha", FACE).await.assert_picture(&picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_a_replica_without_redis_does_not_bring_an_older_picture_back() {
    let redis = RedisServer::start();
    let (first, second, relay) = pair_behind_a_relay(&redis).await;
    second.face("waha", FACE).await;
    relay.set(State::Cut);
    first.seconds(60);
    first
        .vendors()
        .set_picture(FACE, Picture::Face(77))
        .unwrap();
    first.vendors().forget_vendor_cache();
    let picture = first.bytes(FACE);
    refresh(&first).await;
    age_entry(&redis);
    first.seconds(60);
    first.inject(Rule::api(OUTAGE));
    refresh(&second).await;
    relay.set(State::Pass);
    let is_shown = async || second.face("waha", FACE).await.body == picture;
    until(is_shown, LIMIT).await;
    catch_up(&redis).await;
    first.face("waha", FACE).await.assert_picture(&picture);
}

/// Two replicas with a face, of whose newer picture only the first one's disk has the bytes: the store has lost them. The
/// second one has not heard of that picture yet, and its own entry waits to be compared with Redis.
async fn pair_with_a_lost_picture(redis: &RedisServer, store: &S3Server) -> (Rig, Rig, Relay) {
    let relay = Relay::to(redis.address()).await;
    let first = with_store(redis, &store.address()).start().await;
    let settings = Settings::default().section("cache", "first_paint = \"0\"");
    let settings = settings.fleet(&relay.url(), "timeout = \"500ms\"\npictures = \"s3\"");
    let settings = settings.section("fleet.s3", &s3::lines(&store.address()));
    let second = settings.beside(&first).start().await;
    redis.fill_budgets();
    first.face("waha", FACE).await;
    second.face("waha", FACE).await;
    relay.set(State::Cut);
    let vendors = first.vendors();
    vendors.set_picture(FACE, Picture::Face(77)).unwrap();
    vendors.forget_vendor_cache();
    first.seconds(60);
    refresh(&first).await;
    store.objects("").iter().for_each(|object| {
        std::fs::remove_file(object).unwrap();
    });
    first.inject(Rule::api(OUTAGE));
    first.seconds(60);
    refresh(&second).await;
    relay.set(State::Pass);
    (first, second, relay)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_the_store_has_lost_is_asked_for_again() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let (first, second, _relay) = pair_with_a_lost_picture(&redis, &store).await;
    first.vendors().clear_faults();
    first.hours(1);
    let picture = first.bytes(FACE);
    let is_shown = async || second.face("waha", FACE).await.body == picture;
    until(is_shown, LIMIT).await;
    assert!(!store.objects("").is_empty(), "the store has it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_a_replica_that_cannot_have_a_lost_picture_leaves_the_siblings() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let (first, second, _relay) = pair_with_a_lost_picture(&redis, &store).await;
    catch_up(&redis).await;
    first.seconds(60);
    first.traffic();
    refresh(&second).await;
    assert_eq!(first.traffic(), (1, 0), "the refresh asks the vendor");
    catch_up(&redis).await;
    let picture = first.bytes(FACE);
    first.face("waha", FACE).await.assert_picture(&picture);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_at_a_replica_that_cannot_have_a_lost_picture_leaves_the_siblings() {
    let (redis, store) = (RedisServer::start(), S3Server::start().await);
    let (first, mut second, _relay) = pair_with_a_lost_picture(&redis, &store).await;
    catch_up(&redis).await;
    let (vendors, picture) = (first.vendors(), first.bytes(FACE));
    vendors.clear_faults();
    vendors.set_picture(FACE, Picture::NotSet).unwrap();
    vendors.forget_vendor_cache();
    age_entry(&redis);
    let entries: Vec<String> = redis.ask(&["KEYS", "*:entry:*"]);
    let entry = || redis.ask::<String>(&["GET", &entries[0]]);
    let before = entry();
    first.seconds(60);
    first.traffic();
    refresh(&second).await;
    assert_eq!(first.traffic(), (1, 0), "the refresh asks the vendor");
    // A replica whose changes are lost compares its entries with Redis.
    second.stop().await;
    let logs: Vec<String> = redis.ask(&["KEYS", "*:log"]);
    for log in logs {
        let _: i64 = redis.ask(&["XTRIM", &log, "MAXLEN", "0"]);
    }
    second.restart().await;
    let has_compared = async || {
        let answer = Answer::to(&second.admin(), "GET", "/v1/fleet", &[]).await;
        let record: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut accounts = record["accounts"].as_array().unwrap().iter();
        accounts.all(|account| account["reading"] == "current")
    };
    until(has_compared, LIMIT).await;
    assert_eq!(entry(), before);
    first.face("waha", FACE).await.assert_picture(&picture);
}
