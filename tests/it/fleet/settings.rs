//! Each key of `[fleet]` changes the behavior of a replica.

use std::time::{Duration, Instant};

use super::{PATIENT, patient};
use crate::support::{
    Answer, Rig,
    redis::RedisServer,
    relay::{Relay, State},
    rig::Settings,
};

const FACE: &str = "628100000001";

/// A replica whose link to Redis is cut, with full reserves.
async fn alone(lines: &str) -> Rig {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.address()).await;
    let rig = Settings::default()
        .section("cache", "first_paint = \"100ms\"")
        .instance("lookups = { per_minute = 1, burst = 30 }")
        .fleet(&relay.url(), &format!("{PATIENT}\n{lines}"))
        .start()
        .await;
    relay.set(State::Cut);
    rig.hours(5);
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn fleets_of_other_names_or_on_other_servers_share_nothing() {
    let (redis, other) = (RedisServer::start(), RedisServer::start());
    let first = patient().fleet(&redis.url(), PATIENT).start().await;
    let elsewhere = patient().fleet(&other.url(), PATIENT).beside(&first);
    let elsewhere = elsewhere.start().await;
    let keys = "name = \"shop\"\nredis = \"env:REDIS\"\nsecret = \"env:FLEET_SECRET\"";
    let renamed = patient().fleet(&redis.url(), PATIENT).beside(&first);
    let renamed = renamed.section("fleet", &format!("{keys}\n{PATIENT}"));
    let renamed = renamed.start().await;
    redis.fill_budgets();
    other.fill_budgets();
    for rig in [&first, &elsewhere, &renamed] {
        rig.face("waha", FACE).await;
        assert_eq!(first.traffic(), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reserve_of_a_replica_is_a_share_of_its_percent() {
    for (lines, expected) in [
        ("replicas = 1\nreserve = 20", 6),
        ("replicas = 1\nreserve = 50", 15),
        ("replicas = 3\nreserve = 20", 2),
    ] {
        let rig = alone(lines).await;
        for number in 0..20 {
            rig.face("waha", &format!("6281000002{number:02}")).await;
        }
        assert_eq!(rig.calls().api, expected, "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_takes_as_long_as_the_time_limit_at_most() {
    for (timeout, is_short) in [("\"300ms\"", true), ("\"3s\"", false)] {
        // The number of a replica that ended without a proper stop is not free for half a day.
        let redis = RedisServer::start();
        let relay = Relay::to(redis.address()).await;
        let lines = format!("replicas = 1\ntimeout = {timeout}");
        let rig = patient().fleet(&relay.url(), &lines).start().await;
        rig.seconds(600);
        relay.set(State::Hang);
        let start = Instant::now();
        let answer = rig.face("waha", FACE).await;
        answer.assert_picture(&rig.bytes(FACE));
        let took = start.elapsed();
        assert_eq!(took < Duration::from_secs(2), is_short, "{took:?}");
    }
}

/// The error of a replica that starts beside a living one.
async fn refusal(first: &str, second: impl Fn(Settings) -> Settings, lines: &str) -> String {
    let redis = RedisServer::start();
    let lines_of_first = format!("{PATIENT}\n{first}");
    let first = patient().fleet(&redis.url(), &lines_of_first);
    let first = first.start().await;
    let other = patient().fleet(&redis.url(), &format!("{PATIENT}\n{lines}"));
    let other = second(other.beside(&first)).try_start().await;
    other.err().expect("the replica started").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_does_not_fit_to_the_living_ones_is_refused_with_the_remedy() {
    let unchanged = |settings| settings;
    let error = refusal("replicas = 3", unchanged, "replicas = 4").await;
    assert!(error.contains("3 replicas, reserve 20"), "{error}");
    assert!(error.contains("the same fleet.replicas"), "{error}");
    let error = refusal("replicas = 1", unchanged, "replicas = 1").await;
    assert!(error.contains("raise it on all of them"), "{error}");
    let small = |settings: Settings| settings.instance("lookups = { per_minute = 7, burst = 7 }");
    let error = refusal("replicas = 3", small, "replicas = 3").await;
    assert!(
        error.contains("lookups 7 a minute and 7 at once"),
        "{error}"
    );
    assert!(error.contains("the same budget"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_wrong_password_is_refused() {
    let redis = RedisServer::start();
    let _: String = redis.ask(&["CONFIG", "SET", "requirepass", "right"]);
    for password in ["", ":wrong@"] {
        let url = redis
            .url()
            .replace("redis://", &format!("redis://{password}"));
        let error = patient().fleet(&url, PATIENT).try_start().await;
        let error = error.err().expect("the replica started").to_string();
        assert!(error.contains("credential"), "{error}");
    }
}

#[tokio::test]
async fn without_a_fleet_no_part_of_it_runs() {
    let rig = patient().start().await;
    rig.face("waha", FACE).await;
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    assert!(!metrics.text().contains("faceplate_fleet"));
    let redis = RedisServer::start();
    let replica = patient().fleet(&redis.url(), PATIENT).start().await;
    let metrics = Answer::to(&replica.admin(), "GET", "/metrics", &[]).await;
    let up = "faceplate_fleet_up{engine=\"redis\"} 1";
    assert!(metrics.text().contains(up), "{}", metrics.text());
}
