//! What `faceplate doctor` looks for in the engines of a fleet: whether they answer, the rights, the settings of Redis
//! that a budget needs, the clocks, and the store of pictures.

use std::time::Duration;

use redis::{FromRedisValue, Value, cmd};

use super::{
    link::{ConnectError, EngineFailure, Link},
    member::new_id,
    s3::{S3Pictures, S3Problem},
    settings::{PROBE_LIMIT, Settings},
};
use crate::{
    clock::{Clock, Timestamp},
    telemetry::Metrics,
    upstream::Resolver,
};

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examination {
    /// The key of the configuration.
    pub key: &'static str,
    pub(super) grade: Grade,
    /// The finding.
    pub found: String,
    /// The remedy; empty if none is needed.
    pub remedy: String,
}

/// How a result is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    Good,
    Risk,
    Fault,
}

/// The largest difference of the clocks that is not reported.
const SKEW: Duration = Duration::from_secs(60);
/// A script that does nothing, and its digest.
const SCRIPT: &str = "return 1";
const SCRIPT_SHA1: &str = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
const RIGHTS: &str = "give its user the rights that docs/fleet.md lists";

impl Examination {
    /// Whether faces are shared nevertheless.
    pub fn is_risk(&self) -> bool {
        self.grade == Grade::Risk
    }

    /// Whether nothing is to be done.
    pub fn is_good(&self) -> bool {
        self.grade == Grade::Good
    }

    fn good(key: &'static str, found: impl Into<String>) -> Self {
        Self::new(key, Grade::Good, found, "")
    }

    fn risk(key: &'static str, found: impl Into<String>, remedy: &str) -> Self {
        Self::new(key, Grade::Risk, found, remedy)
    }

    fn fault(key: &'static str, found: impl Into<String>, remedy: &str) -> Self {
        Self::new(key, Grade::Fault, found, remedy)
    }

    fn new(key: &'static str, grade: Grade, found: impl Into<String>, remedy: &str) -> Self {
        Self {
            key,
            grade,
            found: found.into(),
            remedy: remedy.to_owned(),
        }
    }
}

/// Examines the engines of a fleet.
pub async fn examine(settings: &Settings, resolver: &Resolver, clock: &Clock) -> Vec<Examination> {
    let mut results = examine_redis(settings, resolver, clock).await;
    if let Some(s3) = &settings.s3 {
        let (key, found) = (
            "fleet.s3",
            format!(
                "the bucket {} can be written to, read, listed and deleted from",
                s3.bucket
            ),
        );
        let pictures = S3Pictures::new(s3, resolver.clone(), Metrics::default());
        let probed = match pictures {
            Ok(pictures) => pictures.probe(&new_id()).await,
            Err(problem) => Err(problem),
        };
        results.push(match probed {
            Ok(()) => Examination::good(key, found),
            Err(problem @ S3Problem::Unreachable(_)) => Examination::fault(
                key,
                problem.to_string(),
                "check fleet.s3.endpoint, and whether this machine may reach it; pictures of siblings are fetched from the vendor meanwhile",
            ),
            Err(problem) => Examination::fault(key, problem.to_string(), "see above"),
        });
    }
    results
}

async fn examine_redis(
    settings: &Settings,
    resolver: &Resolver,
    clock: &Clock,
) -> Vec<Examination> {
    const KEY: &str = "fleet.redis";
    let settings = settings.clone().with_timeout(PROBE_LIMIT);
    let link = match Link::new(&settings, resolver.clone(), Metrics::default()) {
        Ok(link) => link,
        Err(problem) => return vec![Examination::fault(KEY, problem, "")],
    };
    match link.connect().await {
        Ok(()) => {}
        Err(ConnectError::Credential) => {
            let found = "Redis refuses the credential";
            return vec![Examination::fault(KEY, found, "check user and password")];
        }
        Err(ConnectError::Unreachable(why)) => {
            let remedy = "check the URL, and whether this machine may reach it; known faces are served meanwhile";
            let found = format!("Redis cannot be reached: {why}");
            return vec![Examination::fault(KEY, found, remedy)];
        }
    }
    if let Err(command) = try_rights(&link, &settings.name).await {
        let found = format!("Redis does not carry out {command}");
        return vec![Examination::fault(KEY, found, RIGHTS)];
    }
    let mut results = vec![Examination::good(
        KEY,
        "Redis answers, and the user has all rights",
    )];
    if let Some(time) = server_time(&link).await {
        results.push(compare_clocks(time, clock.now()));
    }
    // The nodes of a cluster each have their own.
    if let Some(info) = text(&link, cmd("INFO").arg("everything")).await {
        results.extend(read_info(&info));
    }
    results
}

/// Tries a command of each kind on keys that are deleted. The error is the command that failed.
async fn try_rights(link: &Link, fleet: &str) -> Result<(), &'static str> {
    let key = |part: &str| format!("fp:{fleet}:{{fleet}}:probe:{part}");
    let commands = [
        (
            "SET",
            cmd("SET")
                .arg(key("text"))
                .arg("1")
                .arg("EX")
                .arg(60)
                .take(),
        ),
        ("GET", cmd("GET").arg(key("text")).take()),
        (
            "HSET",
            cmd("HSET").arg(key("hash")).arg("a").arg("1").take(),
        ),
        ("HGETALL", cmd("HGETALL").arg(key("hash")).take()),
        ("ZADD", cmd("ZADD").arg(key("set")).arg(1).arg("a").take()),
        (
            "XADD",
            cmd("XADD")
                .arg(key("log"))
                .arg("*")
                .arg("a")
                .arg("1")
                .take(),
        ),
        (
            "XRANGE",
            cmd("XRANGE").arg(key("log")).arg("-").arg("+").take(),
        ),
        ("SCRIPT LOAD", cmd("SCRIPT").arg("LOAD").arg(SCRIPT).take()),
        ("EVALSHA", cmd("EVALSHA").arg(SCRIPT_SHA1).arg(0).take()),
        (
            "DEL",
            cmd("DEL")
                .arg(key("text"))
                .arg(key("hash"))
                .arg(key("set"))
                .arg(key("log"))
                .take(),
        ),
        ("INFO", cmd("INFO").arg("server").take()),
    ];
    for (name, command) in commands {
        link.send("probe", &command)
            .await
            .map_err(|EngineFailure| name)?;
    }
    Ok(())
}

async fn server_time(link: &Link) -> Option<Timestamp> {
    let value = link.send("probe", &cmd("TIME")).await.ok()?;
    let (seconds, _): (String, String) = FromRedisValue::from_redis_value(value).ok()?;
    Some(Timestamp::from_secs(seconds.parse().ok()?))
}

async fn text(link: &Link, command: &mut redis::Cmd) -> Option<String> {
    let value: Value = link.send("probe", command).await.ok()?;
    String::from_redis_value(value).ok()
}

fn compare_clocks(theirs: Timestamp, ours: Timestamp) -> Examination {
    let off = ours.since(theirs).max(theirs.since(ours));
    let found = format!("differs from Redis's by {} s", off.as_secs());
    match off <= SKEW {
        true => Examination::good("clock", found),
        false => Examination::risk(
            "clock",
            found,
            "set the clocks (NTP); the replicas go by that of Redis, and dates for browsers by their own",
        ),
    }
}

/// Reads what INFO says about memory, persistence and replication.
fn read_info(info: &str) -> Vec<Examination> {
    let field = |name: &str| {
        let mut lines = info.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim)
    };
    let mut results = Vec::new();
    match (field("maxmemory"), field("maxmemory_policy")) {
        (_, Some("noeviction")) | (None | Some("0"), _) => {
            results.push(Examination::good("maxmemory-policy", "Redis evicts nothing"));
        }
        (_, policy) => results.push(Examination::risk(
            "maxmemory-policy",
            format!("Redis evicts keys ({})", policy.unwrap_or("unknown")),
            "set maxmemory-policy noeviction: an evicted budget starts empty, and an evicted list of forgotten faces shows them again",
        )),
    }
    if field("aof_enabled") == Some("0") {
        results.push(Examination::risk(
            "appendonly",
            "Redis keeps no log of writes on its disk",
            "set appendonly yes: a Redis that restarts without its data grants no calls at first, and forgotten faces are known to the replicas alone",
        ));
    }
    let has_replicas = field("connected_slaves").is_some_and(|count| count != "0");
    let is_bounded = field("min_slaves_good_slaves").is_some();
    if has_replicas && !is_bounded {
        results.push(Examination::risk(
            "min-replicas-to-write",
            "Redis has replicas, and writes without them",
            "set min-replicas-to-write 1 and min-replicas-max-lag 10: after a failover, the old primary grants calls only that long",
        ));
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    fn risks(info: &str) -> Vec<&'static str> {
        let results = read_info(info).into_iter();
        results
            .filter(Examination::is_risk)
            .map(|result| result.key)
            .collect()
    }

    #[test]
    fn settings_that_lose_a_budget_are_risks() {
        let sound = "maxmemory:1000\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nconnected_slaves:1\r\nmin_slaves_good_slaves:1\r\n";
        assert!(risks(sound).is_empty());
        assert!(risks("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n").is_empty());
        for (from, to, key) in [
            ("noeviction", "allkeys-lru", "maxmemory-policy"),
            ("aof_enabled:1", "aof_enabled:0", "appendonly"),
            ("min_slaves_good_slaves:1\r\n", "", "min-replicas-to-write"),
        ] {
            assert_eq!(risks(&sound.replace(from, to)), [key]);
        }
    }

    #[test]
    fn clocks_that_are_a_minute_apart_are_a_risk() {
        let (now, minute) = (Timestamp::from_secs(1_795_200_000), Duration::from_secs(60));
        assert!(compare_clocks(now, now + minute).is_good());
        let late = now + minute * 2;
        assert!(compare_clocks(now, late).is_risk() && compare_clocks(late, now).is_risk());
    }
}
