//! The state of an account is one for all replicas: the session, the detector of soft throttling, the numbers of LIDs.

use faceplate::emulator::{Endpoint, Fault, Picture, Rule};
use serde_json::Value;

use super::{Fleet, at_once, patient};
use crate::support::{Answer, LIMIT, redis::RedisServer, until};

const FACES: [&str; 3] = ["628100000001", "628100000002", "628100000003"];
const LID: &str = "100875997589545@lid";

#[tokio::test(flavor = "multi_thread")]
async fn faces_that_lose_their_pictures_at_different_replicas_count_together() {
    let fleet = Fleet::start(patient).await;
    for face in FACES {
        at_once(&fleet.replicas, 1, &format!("/avatar/waha/{face}")).await;
        let vendors = fleet.first().vendors();
        vendors.set_picture(face, Picture::Unknown).unwrap();
    }
    let lose = async |replica: usize| {
        let entry = format!("/v1/avatars/waha/{}", FACES[replica]);
        Answer::to(&fleet.replicas[replica].admin(), "POST", &entry, &[]).await;
    };
    lose(0).await;
    lose(1).await;
    // The third replica asks again until it has heard of the other two: a face that stays empty counts once.
    let is_limited = async || {
        lose(2).await;
        let record = fleet.replicas[2].instance_record("waha").await;
        !record["paused_until"].is_null()
    };
    until(is_limited, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_one_replica_sees_down_is_down_for_all_until_one_sees_it_work() {
    let fleet = Fleet::start(patient).await;
    let status = Fault::Status {
        status: 401,
        retry_after: None,
    };
    fleet.first().inject(Rule::api(status));
    fleet.first().face("waha", FACES[0]).await;
    let sibling = &fleet.replicas[1];
    let session = async || sibling.instance_record("waha").await["session"].clone();
    until(async || session().await == "refused", LIMIT).await;
    fleet.first().vendors().clear_faults();
    let pause = "/v1/instances/waha/pause";
    Answer::to(&fleet.first().admin(), "DELETE", pause, &[]).await;
    // Until Redis has heard of the end of the pause, no call is made.
    let works = async || {
        fleet.first().face("waha", FACES[1]).await;
        session().await == "working"
    };
    until(works, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_a_list_of_chats_has_caused_is_one_for_all() {
    let fleet = Fleet::start(patient).await;
    let status = Fault::Status {
        status: 429,
        retry_after: None,
    };
    fleet.first().inject(Rule::api(status));
    let token = fleet.first().vendors().token().to_owned();
    let headers = [("x-api-key", &*token)];
    let list = "/api/shop/chats/overview?limit=3";
    fleet.first().ask("GET", list, &headers).await;
    fleet.first().vendors().clear_faults();
    fleet.first().traffic();
    let answer = fleet.replicas[1].face("waha", FACES[0]).await;
    answer.assert_fallback("rate_limited");
    assert_eq!(fleet.first().traffic(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_a_lid_that_one_replica_has_asked_for_is_known_to_all() {
    let fleet = Fleet::start(patient).await;
    let number = format!("{}@c.us", FACES[0]);
    let vendors = fleet.first().vendors();
    vendors.set_number(LID, &number).unwrap();
    let picture = fleet.first().bytes(&number);
    let first = fleet.first().face("waha", LID).await;
    first.assert_picture(&picture);
    fleet.first().traffic();
    for sibling in &fleet.replicas[1..] {
        sibling.face("waha", LID).await.assert_picture(&picture);
    }
    assert_eq!(fleet.first().traffic(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_makes_the_daily_warm_up() {
    let schedule = "warm = { at = \"03:00\", top = 7 }";
    let fleet = Fleet::start(|| patient().only("waha", schedule)).await;
    // It is 18:40 UTC when the replicas start.
    fleet.first().hours(9);
    let (mut runs, mut ended, mut asked) = (0, 0, 0);
    let is_over = async || {
        (runs, ended, asked) = (0, 0, 0);
        for replica in &fleet.replicas {
            let metrics = Answer::to(&replica.admin(), "GET", "/metrics", &[]).await;
            let turn = "faceplate_fleet_round_trip_seconds_count{command=\"turn\"} 1";
            asked += usize::from(metrics.text().contains(turn));
            let warm = Answer::to(&replica.admin(), "GET", "/v1/warm", &[]).await;
            let of_replica: Vec<Value> = serde_json::from_slice(&warm.body).unwrap();
            runs += of_replica.len();
            ended += of_replica
                .iter()
                .filter(|run| run["state"] == "done")
                .count();
        }
        asked == 3 && ended > 0
    };
    until(is_over, LIMIT).await;
    assert_eq!(runs, 1);
    let chats = fleet.first().calls();
    let lists = chats
        .list
        .iter()
        .filter(|call| call.endpoint == Endpoint::Overview);
    assert_eq!(lists.count(), 1);
}

/// How many times a user without the right for it has sent ZRANGEBYSCORE, which reads the forgotten faces.
fn rejected(redis: &RedisServer) -> u32 {
    let stats: String = redis.ask(&["INFO", "commandstats"]);
    let mut lines = stats.lines();
    let line = lines.find(|line| line.starts_with("cmdstat_zrangebyscore:"));
    let mut values = line.unwrap_or_default().split(',');
    let value = values.find_map(|value| value.strip_prefix("rejected_calls="));
    value.map_or(0, |value| value.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_asks_again_for_the_forgotten_faces_before_it_serves() {
    let mut fleet = Fleet::start(patient).await;
    let path = format!("/avatar/waha/{}", FACES[0]);
    at_once(&fleet.replicas, 1, &path).await;
    let mut returned = fleet.replicas.remove(2);
    returned.stop().await;
    let entry = format!("/v1/avatars/waha/{}", FACES[0]);
    Answer::to(&fleet.first().admin(), "DELETE", &entry, &[]).await;
    let set_right = |right: &str| {
        let _: String = fleet.redis.ask(&["ACL", "SETUSER", "default", right]);
    };
    set_right("-zrangebyscore");
    // After three failures, nothing is asked for a second.
    let give_back = async {
        until(async || rejected(&fleet.redis) >= 3, LIMIT).await;
        set_right("+zrangebyscore");
    };
    tokio::join!(returned.restart(), give_back);
    assert_ne!(returned.get(&path).await.source(), "picture");
    let answer = Answer::to(&returned.admin(), "GET", "/v1/fleet", &[]).await;
    let record: Value = serde_json::from_slice(&answer.body).unwrap();
    let accounts = record["accounts"].as_array().unwrap();
    let is_alone = accounts.iter().any(|account| account["reading"] == "alone");
    assert!(!is_alone, "{record}");
}
