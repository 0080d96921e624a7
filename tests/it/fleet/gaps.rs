//! A replica that was away applies the changes that it missed, and compares its entries with Redis where they are lost.

use faceplate::emulator::Picture;
use redis::{FromRedisValue, streams::StreamRangeReply};

use super::{Fleet, PATIENT, at_once, cut_logs, is_paused, lift_pause, patient, rate_limit};
use crate::support::{Answer, LIMIT, Rig, redis::RedisServer, rig::Settings, until};

const FACE: &str = "628100000001";

async fn refresh(rig: &Rig) {
    let entry = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&rig.admin(), "POST", &entry, &[]).await;
}

/// Three replicas that know the face, of which the last one is stopped.
async fn one_away() -> (Fleet, String) {
    let mut fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    at_once(&fleet.replicas, 1, &path).await;
    fleet.replicas[2].stop().await;
    (fleet, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_comes_back_applies_the_changes_that_it_missed_before_it_serves() {
    let (mut fleet, path) = one_away().await;
    let vendors = fleet.first().vendors();
    vendors.set_picture(FACE, Picture::Face(77)).unwrap();
    let picture = fleet.first().bytes(FACE);
    refresh(fleet.first()).await;
    fleet.first().traffic();
    fleet.replicas[2].restart().await;
    let answer = fleet.replicas[2].get(&path).await;
    answer.assert_picture(&picture);
    assert_eq!(fleet.first().traffic(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_a_replica_whose_changes_are_lost_are_compared_with_redis() {
    let (mut fleet, path) = one_away().await;
    let vendors = fleet.first().vendors();
    vendors.set_picture(FACE, Picture::Face(77)).unwrap();
    let picture = fleet.first().bytes(FACE);
    refresh(fleet.first()).await;
    cut_logs(&fleet.redis);
    fleet.first().traffic();
    fleet.replicas[2].restart().await;
    let returned = &fleet.replicas[2];
    until(async || returned.get(&path).await.body == picture, LIMIT).await;
    assert_eq!(fleet.first().traffic(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_missed_the_lift_of_a_pause_with_its_log_pauses_no_longer() {
    let mut fleet = Fleet::start(patient).await;
    fleet.first().inject(rate_limit());
    // It saves the pause, which it hears of from the vendor.
    fleet.replicas[2].face("waha", FACE).await;
    fleet.first().vendors().clear_faults();
    assert!(is_paused(&fleet.replicas[2]).await);
    // Later than the pause, on the replica's own clock.
    fleet.replicas[2].seconds(60);
    fleet.replicas[2].stop().await;
    lift_pause(fleet.first(), &fleet.redis).await;
    cut_logs(&fleet.redis);
    fleet.replicas[2].restart().await;
    let returned = &fleet.replicas[2];
    until(async || !is_paused(returned).await, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_forgotten_faces_that_is_longer_than_one_answer_may_be_is_read_in_parts() {
    let (mut fleet, path) = one_away().await;
    let entry = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&fleet.first().admin(), "DELETE", &entry, &[]).await;
    // A part has a thousand: the first one ends between the face and another one of the same millisecond.
    let fill = "local face = redis.call('ZRANGE', KEYS[1], 0, 0)[1] \
        local last = redis.call('ZSCORE', KEYS[1], face) \
        for i = 1, 6000 do \
            local until_ms = string.format('%.0f', last - 1000 + i) \
            redis.call('ZADD', KEYS[1], until_ms, '!' .. string.rep('x', 150) .. i) \
        end \
        return redis.call('ZRANK', KEYS[1], face)";
    let lists: Vec<String> = fleet.redis.ask(&["KEYS", "*:forgotten"]);
    let rank: u64 = fleet.redis.ask(&["EVAL", fill, "1", &lists[0]]);
    assert_eq!(rank, 1000);
    let limit = "normal 524288 0 0";
    let _: String = fleet
        .redis
        .ask(&["CONFIG", "SET", "client-output-buffer-limit", limit]);
    cut_logs(&fleet.redis);
    fleet.replicas[2].restart().await;
    assert_ne!(fleet.replicas[2].get(&path).await.source(), "picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_flushed_costs_no_replica_its_faces() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    at_once(&fleet.replicas, 1, &path).await;
    fleet.first().traffic();
    let _: String = fleet.redis.ask(&["FLUSHALL"]);
    let picture = fleet.first().bytes(FACE);
    for replica in &fleet.replicas {
        replica.get(&path).await.assert_picture(&picture);
    }
    assert_eq!(fleet.first().traffic(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_flushed_hears_of_forgotten_faces_before_it_hears_of_others() {
    let server = RedisServer::start();
    let rig = patient().fleet(&server.url(), PATIENT).start().await;
    server.fill_budgets();
    for number in 10..40 {
        rig.face("waha", &format!("6281000000{number}")).await;
    }
    for number in [20, 30] {
        let entry = format!("/v1/avatars/waha/6281000000{number}");
        Answer::to(&rig.admin(), "DELETE", &entry, &[]).await;
    }
    let _: String = server.ask(&["FLUSHALL"]);
    let kinds = || -> Vec<String> {
        let logs: Vec<String> = server.ask(&["KEYS", "*:log"]);
        let lines = logs.iter().flat_map(|log| {
            let lines: StreamRangeReply = server.ask(&["XRANGE", log, "-", "+"]);
            lines.ids
        });
        let kinds = lines.map(|line| String::from_redis_value(line.map["kind"].clone()).unwrap());
        let is_of_face = |kind: &String| kind == "forget" || kind == "commit";
        kinds.filter(is_of_face).collect()
    };
    until(async || kinds().len() == 30, LIMIT).await;
    let first = &kinds()[..2];
    assert!(first.iter().all(|kind| kind == "forget"), "{:?}", kinds());
}

/// A fourth replica, which has nothing on its disk, after the third one has stopped.
async fn newcomer(fleet: &mut Fleet) -> Rig {
    fleet.replicas[2].stop().await;
    let settings = patient().fleet(&fleet.redis.url(), PATIENT);
    settings.beside(fleet.first()).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_flushed_hears_of_faces_and_of_forgotten_ones_again() {
    let mut fleet = Fleet::start(patient).await;
    let (path, other) = (format!("/avatar/waha/{FACE}"), "/avatar/waha/628100000002");
    at_once(&fleet.replicas, 1, &path).await;
    at_once(&fleet.replicas, 1, other).await;
    let entry = format!("/v1/avatars/waha/{FACE}");
    Answer::to(&fleet.first().admin(), "DELETE", &entry, &[]).await;
    let _: String = fleet.redis.ask(&["FLUSHALL"]);
    // A change that is read after the flush hides it from a look at the log alone.
    let pause = "/v1/instances/waha/pause";
    Answer::to(&fleet.first().admin(), "DELETE", pause, &[]).await;
    let is_back = async || {
        let keys: Vec<String> = fleet.redis.ask(&["KEYS", "*"]);
        let has = |part: &str| keys.iter().any(|key| key.contains(part));
        let entries = keys.iter().filter(|key| key.contains(":entry:"));
        has(":forgotten") && has(":picture:") && entries.count() == 1
    };
    until(is_back, LIMIT).await;
    let newcomer = newcomer(&mut fleet).await;
    fleet.first().traffic();
    assert_ne!(newcomer.get(&path).await.source(), "picture");
    let picture = newcomer.bytes("628100000002");
    newcomer.get(other).await.assert_picture(&picture);
    assert_eq!(fleet.first().traffic(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_flush_of_redis_no_replica_is_missing_from_those_that_have_to_forget() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    at_once(&fleet.replicas, 1, &path).await;
    let _: String = fleet.redis.ask(&["FLUSHALL"]);
    let entry = format!("/v1/avatars/waha/{FACE}");
    let forgotten = Answer::to(&fleet.replicas[2].admin(), "DELETE", &entry, &[]).await;
    assert!(
        forgotten.text().ends_with(r#""of":3}"#),
        "{}",
        forgotten.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_after_a_purge_takes_no_entry_from_before_it() {
    let (fleet, path) = one_away().await;
    refresh(fleet.first()).await;
    assert_asks_after_purge(fleet, &path, "instance=waha", cut_logs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_missed_a_purge_with_its_log_asks_again() {
    for scope in [
        format!("instance=waha&jid={FACE}&hard=true"),
        "instance=waha&hard=true".to_owned(),
    ] {
        let (fleet, path) = one_away().await;
        assert_asks_after_purge(fleet, &path, &scope, cut_logs).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_too_far_behind_its_log_applies_a_purge_of_all_faces() {
    // More changes than a replica applies one after the other.
    let lengthen_logs = |redis: &RedisServer| {
        let lengthen = "for _ = 1, 1001 do redis.call('XADD', KEYS[1], '*', 'kind', 'release') end";
        let logs: Vec<String> = redis.ask(&["KEYS", "*:log"]);
        for log in logs {
            let () = redis.ask(&["EVAL", lengthen, "1", &log]);
        }
    };
    let (fleet, path) = one_away().await;
    let scope = "instance=waha&hard=true";
    assert_asks_after_purge(fleet, &path, scope, lengthen_logs).await;
}

/// Asserts that the third replica asks the vendor, if faces were purged and `lose` lost the changes while it was away.
async fn assert_asks_after_purge(
    mut fleet: Fleet,
    path: &str,
    scope: &str,
    lose: impl Fn(&RedisServer),
) {
    let purge = format!("/v1/purge?{scope}");
    Answer::to(&fleet.first().admin(), "POST", &purge, &[]).await;
    lose(&fleet.redis);
    fleet.first().traffic();
    fleet.replicas[2].restart().await;
    let has_asked = async || {
        fleet.replicas[2].get(path).await;
        fleet.first().calls().api == 1
    };
    until(has_asked, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_a_redis_lost_to_an_earlier_one_comes_back_from_the_replicas() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    at_once(&fleet.replicas, 1, &path).await;
    let entries: Vec<String> = fleet.redis.ask(&["KEYS", "*:entry:*"]);
    let picture_key = entries[0].replace(":entry:", ":picture:");
    for key in [&entries[0], &picture_key] {
        let _: i64 = fleet.redis.ask(&["COPY", key, key, "DB", "1"]);
    }
    let vendors = fleet.first().vendors();
    vendors.set_picture(FACE, Picture::Face(77)).unwrap();
    let picture = fleet.first().bytes(FACE);
    refresh(fleet.first()).await;
    for replica in &fleet.replicas {
        until(async || replica.get(&path).await.body == picture, LIMIT).await;
    }
    let fail_over = "redis.call('FLUSHDB') redis.call('SELECT', 1) \
        for _, key in ipairs(KEYS) do redis.call('COPY', key, key, 'DB', 0) end \
        return redis.call('GET', KEYS[1])";
    let eval = ["EVAL", fail_over, "2", &entries[0], &picture_key];
    let earlier: String = fleet.redis.ask(&eval);
    let entry = || fleet.redis.ask::<String>(&["GET", &entries[0]]);
    until(async || entry()[..14] > earlier[..14], LIMIT).await;
    for replica in &fleet.replicas {
        assert_eq!(replica.get(&path).await.body, picture);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_a_replica_makes_on_demand_shows_no_face_that_was_forgotten_before() {
    let hasty = || Settings::default().section("cache", "first_paint = \"300ms\"");
    let mut fleet = Fleet::start(|| hasty().named("shop-*", "waha")).await;
    let path = format!("/avatar/shop-1/{FACE}");
    // The first request makes the account, whose budget is empty.
    at_once(&fleet.replicas, 1, &path).await;
    fleet.redis.fill_budgets();
    fleet.first().seconds(60);
    for replica in &fleet.replicas {
        until(
            async || replica.get(&path).await.source() == "picture",
            LIMIT,
        )
        .await;
    }
    fleet.replicas[2].stop().await;
    let entry = format!("/v1/avatars/shop-1/{FACE}");
    let forgotten = Answer::to(&fleet.first().admin(), "DELETE", &entry, &[]).await;
    assert_eq!(forgotten.text(), r#"{"applied":2,"of":2}"#);
    fleet.replicas[2].restart().await;
    assert_ne!(fleet.replicas[2].get(&path).await.source(), "picture");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_format_is_a_miss_and_stays() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    fleet.first().get(&path).await;
    fleet.first().traffic();
    let newer = change_entry(&fleet, r#"{"format":1,"#, r#"{"format":2,"#);
    let other = &fleet.replicas[1];
    let picture = other.bytes(FACE);
    other.get(&path).await.assert_picture(&picture);
    refresh(other).await;
    assert_eq!(fleet.first().traffic().0, 2);
    assert_eq!(only_entry(&fleet).1, newer);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_an_entry_that_a_replica_does_not_know_stay_in_it() {
    let fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{FACE}");
    fleet.first().get(&path).await;
    change_entry(&fleet, r#""last":{"#, r#""last":{"mood":7,"#);
    let other = &fleet.replicas[1];
    other.get(&path).await;
    refresh(other).await;
    let entry = only_entry(&fleet).1;
    assert!(entry.contains(r#""mood":7"#), "{entry}");
}

fn only_entry(fleet: &Fleet) -> (String, String) {
    let keys: Vec<String> = fleet.redis.ask(&["KEYS", "*:entry:*"]);
    assert_eq!(keys.len(), 1, "{keys:?}");
    (keys[0].clone(), fleet.redis.ask(&["GET", &keys[0]]))
}

fn change_entry(fleet: &Fleet, from: &str, to: &str) -> String {
    let (key, entry) = only_entry(fleet);
    let changed = entry.replace(from, to);
    assert_ne!(entry, changed);
    let _: String = fleet.redis.ask(&["SET", &key, &changed]);
    changed
}
