//! The alerts about a fleet of two, one of which is cut off from Redis.

use faceplate::emulator::{Emulator, Options};

use super::{LIMIT, Prometheus, face};
use crate::support::{
    Answer,
    program::{Program, Running},
    redis::RedisServer,
    relay::{Relay, State},
    until,
};

/// A busy machine answers late. A relay that is cut costs no wait.
const FLEET: &str = r#"
[fleet]
name = "crm"
redis = "env:REDIS"
secret = "env:FLEET_SECRET"
timeout = "5s"
"#;

/// Starts a replica on the Redis with this URL.
fn serve(program: &Program, redis: &str) -> Running {
    let mut command = program.command(&["serve"]);
    command.env("REDIS", redis);
    command.env("FLEET_SECRET", "a fleet secret for tests");
    let mut running = Running::start(command);
    running.wait_for("serving faces");
    running
}

/// Whether a replica counts two live ones.
async fn counts_both(replica: &Running) -> bool {
    let metrics = Answer::to(&replica.address("admin"), "GET", "/metrics", &[]).await;
    metrics.text().contains("faceplate_fleet_replicas 2")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_about_a_fleet_fires_while_a_replica_has_no_redis_and_is_resolved_afterwards() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.address()).await;
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let programs = [(); 2].map(|()| Program::before(&emulator, FLEET));
    let replica = serve(&programs[0], &relay.url());
    let sibling = serve(&programs[1], &redis.url());
    // The one that was first hears of the other one within ten seconds.
    let are_counted = async || counts_both(&replica).await && counts_both(&sibling).await;
    until(are_counted, LIMIT).await;
    let (first, second) = (replica.address("admin"), sibling.address("admin"));
    let prometheus = Prometheus::start(&[&first, &second]);

    relay.set(State::Cut);
    let mut numbers = 3000..;
    let (down, reserve_used, apart) = (
        "FaceplateFleetEngineDown",
        "FaceplateFleetReserveUsed",
        "FaceplateFleetReplicaApart",
    );
    for alert in [down, reserve_used] {
        // A new face takes a call of the budget.
        let ask = async || face(&replica, numbers.next().unwrap()).await;
        prometheus.wait_during(ask, alert).await;
    }
    // The sibling counts it for half a minute more.
    prometheus.wait_for(apart).await;

    relay.set(State::Pass);
    for alert in [down, reserve_used, apart] {
        prometheus.wait_for_end(alert).await;
    }
}
