//! The scripts, run by a real Redis at times of the test's own, against plain models.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};
use redis::{Connection, FromRedisValue, Script, Value};

use crate::support::redis::RedisServer;

/// Stands in for `clock.lua`: the test sets the time.
const CLOCK: &str = "local now = tonumber(redis.call('GET', 'now'))\n";
const BUDGET: &str = include_str!("../../../src/fleet/scripts/budget.lua");
const BEGIN: &str = include_str!("../../../src/fleet/scripts/begin.lua");
const CALL: &str = include_str!("../../../src/fleet/scripts/call.lua");
const COMMIT: &str = include_str!("../../../src/fleet/scripts/commit.lua");
const CHANGE: &str = include_str!("../../../src/fleet/scripts/change.lua");

const KEYS: [&str; 7] = [
    "account",
    "entry",
    "lease",
    "forgotten",
    "log",
    "picture",
    "lids",
];
/// An entry, as the scripts look at it.
const ENTRY: &str = r#"{"format":1,"last":{}}"#;
/// Noon of a day in November 2026.
const START: u64 = 1_795_262_400_000;
/// 60 calls a minute and ten at once, of which half are for background work.
const LIMITS: &str = r#"{"per_ms":[0.001,0.0001,0.0005],"burst":[10,2,5],"daily":1000}"#;

/// An answer of a script: its name, and the third value.
type Answer = (String, u64);

struct Engine {
    connection: Connection,
    now: u64,
}

impl Engine {
    fn new(server: &RedisServer) -> Self {
        let client = redis::Client::open(server.url()).unwrap();
        let mut engine = Self {
            connection: client.get_connection().unwrap(),
            now: START,
        };
        let _: () = redis::cmd("FLUSHALL")
            .query(&mut engine.connection)
            .unwrap();
        engine.pass(0);
        engine
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        let mut set = redis::cmd("SET");
        let () = set
            .arg("now")
            .arg(self.now)
            .query(&mut self.connection)
            .unwrap();
    }

    fn run(&mut self, parts: &[&str], keys: &[&str], arguments: &[&str]) -> Answer {
        let script = Script::new(&[&[CLOCK], parts].concat().concat());
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(*key);
        }
        for argument in arguments {
            call.arg(*argument);
        }
        let values: Vec<Value> = call.invoke(&mut self.connection).unwrap();
        let number = u64::from_redis_value(values[2].clone()).unwrap_or_default();
        (String::from_redis_value(values[0].clone()).unwrap(), number)
    }

    fn call(&mut self, is_background: bool, with_refresh: bool) -> Answer {
        let flag = |flag| if flag { "1" } else { "0" };
        let arguments = [flag(is_background), flag(with_refresh), LIMITS, "1"];
        self.run(&[BUDGET, CALL], &KEYS[..1], &arguments)
    }

    fn begin(&mut self, known: u64, token: &str) -> Answer {
        let known = known.to_string();
        let arguments = ["face", &known, token, "20000", "1", "0", "0", LIMITS, "1"];
        self.run(&[BUDGET, BEGIN], &KEYS[..4], &arguments)
    }

    fn commit(&mut self, base: u64, token: &str) -> Answer {
        let base = base.to_string();
        let life = "1000000000";
        let arguments = [
            "face", &base, token, ENTRY, life, "", "replica", "1", "", &base, "",
        ];
        self.run(&[COMMIT], &KEYS[..6], &arguments)
    }

    /// Commits an entry with a picture whose digest is `letter`, repeated, and its bytes if they are sent.
    fn commit_picture(&mut self, base: u64, letter: &str, is_sent: bool) -> Answer {
        let (base, digest) = (base.to_string(), letter.repeat(32));
        let value = if is_sent {
            format!("{digest}bytes")
        } else {
            String::new()
        };
        let life = "1000000000";
        let arguments = [
            "face", &base, "", ENTRY, life, &digest, "replica", "1", "", &base, &value,
        ];
        self.run(&[COMMIT], &KEYS[..6], &arguments)
    }

    fn change(&mut self, kind: &str, value: u64, text: &str) -> Answer {
        let value = value.to_string();
        let arguments = [kind, "face", &value, text, "replica", "1000000000"];
        self.run(&[CHANGE], &KEYS, &arguments)
    }
}

#[derive(Clone, Debug)]
enum Call {
    Pass(u64),
    Take {
        is_background: bool,
        with_refresh: bool,
    },
    /// Another server process has the data: a failover.
    FailOver,
}

/// Token buckets that start empty.
#[derive(Clone, Debug)]
struct Buckets {
    stock: [f64; 3],
}

impl Buckets {
    const PER_MS: [f64; 3] = [0.001, 0.0001, 0.0005];
    const BURST: [f64; 3] = [10.0, 2.0, 5.0];

    fn pass(&mut self, millis: u64) {
        for (stock, (rate, burst)) in self
            .stock
            .iter_mut()
            .zip(Self::PER_MS.iter().zip(Self::BURST))
        {
            *stock = (*stock + millis as f64 * rate).min(burst);
        }
    }

    /// `None` where the difference is one of rounding.
    fn take(&mut self, counts: [bool; 3]) -> Option<bool> {
        let counted = || self.stock.iter().zip(counts).filter(|(_, counts)| *counts);
        if counted().any(|(stock, _)| (stock - 1.0).abs() < 1e-6) {
            return None;
        }
        let is_granted = counted().all(|(stock, _)| *stock >= 1.0);
        if is_granted {
            for (stock, counts) in self.stock.iter_mut().zip(counts) {
                *stock -= f64::from(u8::from(counts));
            }
        }
        Some(is_granted)
    }
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        3 => (0..30_000_u64).prop_map(Call::Pass),
        6 => any::<(bool, bool)>().prop_map(|(is_background, with_refresh)| Call::Take {
            is_background,
            with_refresh,
        }),
        1 => Just(Call::FailOver),
    ];
    vec(call, 1..60)
}

#[test]
fn the_shared_budget_is_a_token_bucket_that_starts_empty_after_each_failover() {
    let server = RedisServer::start();
    proptest!(ProptestConfig::with_cases(64), |(calls in calls())| {
        let mut engine = Engine::new(&server);
        let mut model = Buckets { stock: [0.0; 3] };
        // The bucket is known from its first call on.
        engine.call(false, false);
        for call in calls {
            match call {
                Call::Pass(millis) => {
                    engine.pass(millis);
                    model.pass(millis);
                }
                Call::FailOver => {
                    let mut set = redis::cmd("HSET");
                    set.arg("account").arg("run").arg("another");
                    let _: i64 = set.query(&mut engine.connection).unwrap();
                    engine.call(false, false);
                    model.stock = [0.0; 3];
                }
                Call::Take { is_background, with_refresh } => {
                    let Some(expected) = model.take([true, with_refresh, is_background]) else {
                        return Ok(());
                    };
                    let (name, wait) = engine.call(is_background, with_refresh);
                    prop_assert_eq!(name == "go", expected);
                    prop_assert!(expected || wait <= 10_000 || with_refresh);
                }
            }
        }
    });
}

#[test]
fn the_calls_of_a_day_end_at_its_limit_and_lost_ones_count_in_proportion() {
    let server = RedisServer::start();
    let mut engine = Engine::new(&server);
    // At noon, half of the thousand calls of the day count as made.
    assert_eq!(engine.call(false, false).0, "over_budget");
    let mut granted = 0;
    for _ in 0..2_000 {
        engine.pass(10_000);
        granted += u32::from(engine.call(false, false).0 == "go");
    }
    assert_eq!(granted, 500);
    let (name, wait) = engine.call(false, false);
    assert_eq!(name, "over_budget");
    assert_eq!(engine.now + wait, START + 12 * 3_600_000);
    engine.pass(wait);
    assert_eq!(engine.call(false, false).0, "go");
}

#[test]
fn a_call_that_was_not_made_can_be_taken_again_in_the_same_life_of_the_server() {
    let server = RedisServer::start();
    let mut engine = Engine::new(&server);
    engine.call(false, false);
    engine.pass(2_000);
    for _ in 0..2 {
        assert_eq!(engine.call(false, false).0, "go");
    }
    assert_eq!(engine.call(false, false).0, "over_budget");
    let give_back = |engine: &mut Engine| {
        let arguments = ["0", "0", LIMITS, "-1"];
        engine.run(&[BUDGET, CALL], &KEYS[..1], &arguments)
    };
    give_back(&mut engine);
    assert_eq!(engine.call(false, false).0, "go");
    let mut fail_over = redis::cmd("HSET");
    fail_over.arg("account").arg("run").arg("another");
    let _: i64 = fail_over.query(&mut engine.connection).unwrap();
    give_back(&mut engine);
    assert_eq!(engine.call(false, false).0, "over_budget");
}

#[test]
fn a_fetch_that_begins_again_with_its_lease_takes_no_other_call() {
    let server = RedisServer::start();
    let mut engine = Engine::new(&server);
    engine.call(false, false);
    engine.pass(2_000);
    for _ in 0..3 {
        assert_eq!(engine.begin(0, "a").0, "go");
    }
    assert_eq!(engine.begin(0, "b").0, "held");
    assert_eq!(engine.call(false, false).0, "go");
    assert_eq!(engine.call(false, false).0, "over_budget");
}

#[test]
fn a_picture_is_stored_with_its_entry_and_not_without() {
    let server = RedisServer::start();
    let mut engine = Engine::new(&server);
    let picture = |engine: &mut Engine| {
        let mut get = redis::cmd("GET");
        let value: Option<String> = get.arg("picture").query(&mut engine.connection).unwrap();
        value.map(|value| value[..1].to_owned())
    };
    assert_eq!(engine.commit_picture(0, "a", false).0, "picture_missing");
    assert_eq!(engine.commit(0, "").0, "stored");
    let (name, version) = engine.commit_picture(0, "a", true);
    assert_eq!(name, "conflict");
    assert_eq!(picture(&mut engine), None);
    let (name, first) = engine.commit_picture(version, "b", true);
    assert_eq!(name, "stored");
    assert_eq!(engine.commit_picture(version, "a", true).0, "conflict");
    assert_eq!(picture(&mut engine).as_deref(), Some("b"));
    assert_eq!(engine.commit_picture(first, "b", false).0, "stored");
}

#[test]
fn an_entry_without_a_lease_from_before_a_hard_purge_is_not_stored() {
    let server = RedisServer::start();
    for purge in ["remove", "purge"] {
        let mut engine = Engine::new(&server);
        let (_, version) = engine.commit(0, "");
        engine.pass(1_000);
        let (_, removed) = engine.change(purge, 0, "hard");
        let (name, at) = engine.commit(version, "");
        assert_eq!((name.as_str(), at), ("removed", removed), "{purge}");
        assert_eq!(engine.commit(removed, "").0, "stored", "{purge}");
    }
}

#[test]
fn a_lift_ends_a_pause_from_a_clock_that_was_ahead_unless_it_comes_late() {
    let server = RedisServer::start();
    let mut engine = Engine::new(&server);
    engine.change("pause", 3_600_000, "\"auth\"");
    // Another server takes over, whose clock is behind.
    engine.now -= 600_000;
    engine.pass(0);
    let now = engine.now;
    assert_eq!(engine.change("lift", now - 1, "").0, "unchanged");
    assert_eq!(engine.change("lift", now, "").0, "changed");
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Begin(usize),
    Commit(usize),
    Release(usize),
    Forget(u64),
    Remove,
    Purge,
    Pause(u64),
    /// So many milliseconds after the operator lifted the pause.
    Lift(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..15_000_u64).prop_map(Step::Pass),
        6 => (0..3_usize).prop_map(Step::Begin),
        5 => (0..3_usize).prop_map(Step::Commit),
        1 => (0..3_usize).prop_map(Step::Release),
        1 => (1..30_000_u64).prop_map(Step::Forget),
        1 => Just(Step::Remove),
        1 => Just(Step::Purge),
        1 => (1..30_000_u64).prop_map(Step::Pause),
        1 => (0..3_000_u64).prop_map(Step::Lift),
    ];
    vec(step, 1..50)
}

/// The state of one face in a fleet.
#[derive(Clone, Debug, Default)]
struct Model {
    version: Option<u64>,
    /// The version at which the entry was removed.
    removed: u64,
    /// The holder; Redis ends a lease by its real clock, which does not move in this test.
    lease: Option<usize>,
    forgotten_until: u64,
    paused_until: u64,
    paused_at: u64,
    purged: u64,
}

impl Model {
    /// The version at which the newest entry was removed, by a purge of the face or of all.
    fn removal(&self) -> u64 {
        let removed = self.version.map_or(self.removed, |_| 0);
        removed.max(self.purged)
    }
}

#[test]
fn a_face_has_one_holder_and_no_entry_is_overwritten_unseen() {
    let server = RedisServer::start();
    proptest!(ProptestConfig::with_cases(96), |(steps in steps())| {
        let mut engine = Engine::new(&server);
        let mut model = Model::default();
        // The version that each of three replicas knows.
        let mut known = HashMap::<usize, u64>::new();
        let tokens = ["a", "b", "c"];
        for step in steps {
            // The budget has a model of its own.
            let mut fill = redis::cmd("HSET");
            fill.arg("account").arg("calls").arg(9);
            let _: i64 = fill.query(&mut engine.connection).unwrap();
            let seen = model.version.filter(|version| *version > model.purged);
            match step {
                Step::Pass(millis) => engine.pass(millis),
                Step::Begin(replica) => {
                    let own = known.get(&replica).copied().unwrap_or(0);
                    let (name, number) = engine.begin(own, tokens[replica]);
                    let expected = if engine.now < model.forgotten_until {
                        "forgotten"
                    } else if seen.is_some_and(|version| version > own) {
                        "entry"
                    } else if model.lease.is_some_and(|holder| holder != replica) {
                        "held"
                    } else if engine.now < model.paused_until {
                        "paused"
                    } else if name == "over_budget" {
                        // The first call of a bucket that was never used.
                        "over_budget"
                    } else {
                        "go"
                    };
                    prop_assert_eq!(&name, expected);
                    match name.as_str() {
                        "entry" => {
                            prop_assert_eq!(Some(number), seen);
                            known.insert(replica, number);
                        }
                        "go" => {
                            prop_assert_eq!(number, model.version.unwrap_or(model.removed).max(model.purged));
                            known.insert(replica, number);
                            model.lease = Some(replica);
                        }
                        _ => {}
                    }
                }
                Step::Commit(replica) => {
                    let own = known.get(&replica).copied().unwrap_or(0);
                    let (name, number) = engine.commit(own, tokens[replica]);
                    if engine.now < model.forgotten_until {
                        prop_assert_eq!(&name, "forgotten");
                    } else if seen.is_some_and(|version| version != own) {
                        prop_assert_eq!(&name, "conflict");
                        prop_assert_eq!(Some(number), seen);
                        known.insert(replica, number);
                    } else if seen.is_none() && model.removal() > own {
                        prop_assert_eq!(&name, "removed");
                        prop_assert_eq!(number, model.removal());
                        known.insert(replica, number);
                    } else {
                        prop_assert_eq!(&name, "stored");
                        let newest = model.version.unwrap_or(model.removed).max(own);
                        prop_assert!(number > newest && number >= 4 * engine.now);
                        known.insert(replica, number);
                        model.version = Some(number);
                        model.lease = model.lease.filter(|holder| *holder != replica);
                    }
                }
                Step::Release(replica) => {
                    engine.change("release", 0, tokens[replica]);
                    model.lease = model.lease.filter(|holder| *holder != replica);
                }
                Step::Forget(millis) => {
                    engine.change("forget", millis, "");
                    model.forgotten_until = model.forgotten_until.max(engine.now + millis);
                    (model.version, model.lease, model.removed) = (None, None, 0);
                }
                Step::Remove => {
                    let (_, version) = engine.change("remove", 0, "");
                    prop_assert!(version > model.version.unwrap_or(model.removed));
                    (model.version, model.removed) = (None, version);
                }
                Step::Purge => {
                    engine.change("purge", 0, "hard");
                    model.purged = 4 * engine.now + 3;
                }
                Step::Pause(millis) => {
                    engine.change("pause", millis, "\"auth\"");
                    model.paused_until = model.paused_until.max(engine.now + millis);
                    model.paused_at = engine.now;
                }
                Step::Lift(late) => {
                    let lifted_at = engine.now - late;
                    engine.change("lift", lifted_at, "");
                    if model.paused_at <= lifted_at {
                        (model.paused_until, model.paused_at) = (0, 0);
                    }
                }
            }
        }
    });
}
