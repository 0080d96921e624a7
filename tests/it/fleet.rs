//! A fleet: replicas that share an account through Redis, and their answers when Redis fails.

mod account_state;
mod engines;
mod faults;
mod gaps;
mod model;
mod operators;
mod random;
mod s3;
mod settings;
mod sharing;

use crate::support::{Answer, Rig, redis::RedisServer, rig::Settings};
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
        Self { redis, replicas }
    }

    fn first(&self) -> &Rig {
        &self.replicas[0]
    }
}

fn patient() -> Settings {
    Settings::default().section("cache", "first_paint = \"0\"")
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
