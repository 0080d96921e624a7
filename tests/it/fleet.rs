//! A fleet: replicas that share an account through Redis, and their answers when Redis fails.

mod account_state;
mod engines;
mod faults;
mod gaps;
mod model;
mod operators;
mod random;
mod restarts;
mod s3;
mod settings;
mod sharing;

use crate::support::{Answer, LIMIT, Rig, redis::RedisServer, rig::Settings, until};
use faceplate::emulator::{Fault, Rule};
use tokio::task::JoinSet;

/// A busy machine answers late; the tests of faults set less.
const PATIENT: &str = "timeout = \"5s\"";

/// Three replicas on one Redis, with the vendors of the first.
struct Fleet {
    redis: RedisServer,
    replicas: Vec<Rig>,
}

impl Fleet {
    async fn start(settings: impl Fn() -> Settings) -> Self {
        let redis = RedisServer::start();
        let mut replicas: Vec<Rig> = Vec::new();
        for _ in 0..3 {
            let mut settings = settings().fleet(&redis.url(), PATIENT);
            if let Some(first) = replicas.first() {
                settings = settings.beside(first);
            }
            replicas.push(settings.start().await);
        }
        redis.fill_budgets();
        until_counted(&replicas).await;
        Self { redis, replicas }
    }

    fn first(&self) -> &Rig {
        &self.replicas[0]
    }
}

/// Waits until each server knows all entries of its disk. Until then, a file that may be another entry's, too, is left to the
/// collection of garbage.
async fn until_counted(rigs: &[Rig]) {
    for rig in rigs {
        let is_counted = async || {
            let cache = Answer::to(&rig.admin(), "GET", "/v1/cache", &[]).await;
            cache.text().contains("\"counted\":true")
        };
        until(is_counted, LIMIT).await;
    }
}

fn patient() -> Settings {
    Settings::default().section("cache", "first_paint = \"0\"")
}

/// Lifts the pause of an instance at one of the servers, until Redis has taken that. The server may take itself to be
/// earlier than Redis is, because the test does not move its clock.
async fn lift_pause(rig: &Rig, redis: &RedisServer) {
    let is_lifted = async || {
        Answer::to(&rig.admin(), "DELETE", "/v1/instances/waha/pause", &[]).await;
        let accounts: Vec<String> = redis.ask(&["KEYS", "*:account"]);
        let end = |account: &str| redis.ask::<Option<u64>>(&["HGET", account, "paused_until"]);
        accounts.iter().all(|account| end(account).is_none())
    };
    until(is_lifted, LIMIT).await;
}

async fn is_paused(rig: &Rig) -> bool {
    !rig.instance_record("waha").await["paused_until"].is_null()
}

/// Loses the changes that no replica has read yet.
fn cut_logs(redis: &RedisServer) {
    let logs: Vec<String> = redis.ask(&["KEYS", "*:log"]);
    for log in logs {
        let _: i64 = redis.ask(&["XTRIM", &log, "MAXLEN", "0"]);
    }
}

/// A vendor that limits the account.
fn rate_limit() -> Rule {
    Rule::api(Fault::Status {
        status: 429,
        retry_after: None,
    })
}

/// `count` requests at once at each of the servers.
async fn at_once(rigs: &[Rig], count: usize, path: &str) -> Vec<Answer> {
    let mut requests = JoinSet::new();
    for rig in rigs {
        for _ in 0..count {
            let (address, path) = (rig.address(), path.to_owned());
            requests.spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
        }
    }
    requests.join_all().await
}
