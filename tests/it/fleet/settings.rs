//! Each key of `[fleet]` changes the behavior of a replica.

use std::time::{Duration, Instant};

use super::{PATIENT, patient};
use crate::support::{
    Rig,
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
