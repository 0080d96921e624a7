//! Random runs: three replicas on one Redis, each behind a relay, with faults at random. Every other seed keeps the
//! pictures in an S3 store behind further relays. The invariants of a fleet are checked over the vendors' calls and all
//! answers. The seed is printed; FACEPLATE_FLEET_SEED repeats a run, and FACEPLATE_FLEET_SECONDS sets its length.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use faceplate::emulator::Picture;
use tokio::time;

use super::patient;
use crate::support::{
    Answer, LIMIT, Rig,
    redis::RedisServer,
    relay::{Relay, State},
    rig::Settings,
    s3::{self, S3Server},
};

/// Calls a second, and at once.
const RATE: f64 = 10.0;
const BURST: f64 = 30.0;
/// The faces that are asked for. One that is forgotten is replaced by another one.
const FACES: usize = 40;
/// How long a call may take from the budget to the vendor's log.
const SLACK: f64 = 1.0;
/// How long a replica may take to hear of its siblings again after a fault.
const RETURN: Duration = Duration::from_secs(8);

struct Run {
    redis: RedisServer,
    relays: Vec<Relay>,
    store: Option<Store>,
    replicas: Vec<Rig>,
    random: Random,
    started: Instant,
    last: Instant,
    /// The calls until each moment.
    calls: Vec<(f64, f64)>,
    /// Every picture that a face has had.
    pictures: HashMap<String, HashSet<Bytes>>,
    next_picture: u32,
    faces: Vec<String>,
    next_face: u32,
    forgotten: BTreeMap<String, Instant>,
    /// The end of the last fault of each replica.
    well_since: Vec<Instant>,
    faults: Vec<(Instant, Fault)>,
}

/// The S3 store, and each replica's way to it.
struct Store {
    server: S3Server,
    relays: Vec<Relay>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Relay(usize),
    Store(usize),
    Hang,
    Clock(usize, TimeShift),
}

/// How far the clock of a replica is from the others'.
#[derive(Clone, Copy, Debug)]
enum TimeShift {
    Ahead(Duration),
    Behind(Duration),
}

/// SplitMix64: a run is repeated from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn budget() -> Settings {
    patient()
        .section("cache", "first_paint = \"300ms\"")
        .instance("lookups = { per_minute = 600, burst = 30 }\nrefreshes = { per_minute = 600, burst = 30 }")
}

fn number(name: &str, default: u64) -> u64 {
    let set = env::var(name).ok();
    set.and_then(|set| set.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_breaks_the_invariants_of_a_fleet() {
    let seconds = number("FACEPLATE_FLEET_SECONDS", 15);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let seed = number("FACEPLATE_FLEET_SEED", now.as_nanos() as u64);
    println!("FACEPLATE_FLEET_SEED={seed} FACEPLATE_FLEET_SECONDS={seconds}");
    let mut run = Run::start(seed).await;
    while run.started.elapsed() < Duration::from_secs(seconds) {
        run.step().await;
    }
    run.end_faults();
    run.agree().await;
    run.check_calls();
    println!("{} calls in {seconds} s", run.calls.last().unwrap().1);
}

impl TimeShift {
    fn reverse(self) -> Self {
        match self {
            TimeShift::Ahead(by) => TimeShift::Behind(by),
            TimeShift::Behind(by) => TimeShift::Ahead(by),
        }
    }
}

impl Store {
    async fn start() -> Self {
        let server = S3Server::start().await;
        let mut relays = Vec::new();
        for _ in 0..3 {
            relays.push(Relay::to(server.address()).await);
        }
        Self { server, relays }
    }

    /// The lines of `[fleet.s3]` of a replica.
    fn lines(&self, replica: usize) -> String {
        s3::lines(self.relays[replica].address()).replace("10s", "500ms")
    }
}

impl Run {
    async fn start(seed: u64) -> Self {
        let redis = RedisServer::start();
        let store = match seed % 2 {
            0 => None,
            _ => Some(Store::start().await),
        };
        let (mut relays, mut replicas) = (Vec::new(), Vec::<Rig>::new());
        for replica in 0..3 {
            let relay = Relay::to(redis.address()).await;
            let mut settings = match &store {
                None => budget().fleet(&relay.url(), ""),
                Some(store) => budget()
                    .fleet(&relay.url(), "pictures = \"s3\"")
                    .section("fleet.s3", &store.lines(replica)),
            };
            if let Some(first) = replicas.first() {
                settings = settings.beside_with_own_clock(first);
            }
            replicas.push(settings.start().await);
            relays.push(relay);
        }
        let now = Instant::now();
        let mut run = Self {
            redis,
            relays,
            store,
            replicas,
            random: Random(seed),
            started: now,
            last: now,
            calls: vec![(0.0, 0.0)],
            pictures: HashMap::new(),
            next_picture: 10_000,
            faces: Vec::new(),
            next_face: 0,
            forgotten: BTreeMap::new(),
            well_since: vec![now; 3],
            faults: Vec::new(),
        };
        for _ in 0..FACES {
            run.add_face();
        }
        run
    }

    fn add_face(&mut self) {
        let face = format!("62810{:07}", self.next_face);
        self.next_face += 1;
        self.change_picture(&face);
        self.faces.push(face);
    }

    /// One action, after which the calls are counted.
    async fn step(&mut self) {
        let (replica, face) = (self.replica(), self.face());
        match self.random.below(100) {
            0..60 => self.look(replica, &face).await,
            60..75 => {
                let entry = format!("/v1/avatars/waha/{face}");
                let admin = self.replicas[replica].admin();
                Answer::to(&admin, "POST", &entry, &[]).await;
            }
            75..85 if !self.forgotten.contains_key(&face) => self.change_picture(&face),
            85..87 if !self.forgotten.contains_key(&face) => self.forget(replica, &face).await,
            75..87 => self.look(replica, &face).await,
            _ => self.fail(replica).await,
        }
        self.recover();
        self.count();
    }

    async fn look(&mut self, replica: usize, face: &str) {
        let begun = Instant::now();
        let answer = self.replicas[replica]
            .get(&format!("/avatar/waha/{face}"))
            .await;
        let kind = answer.header("content-type").to_owned();
        assert!(kind.starts_with("image/"), "{}: {kind}", answer.status);
        if answer.source() != "picture" {
            return;
        }
        let is_own = self.pictures[face].contains(&answer.body);
        assert!(is_own, "{face} shows another face's picture");
        // A fault of the store or of a clock is no excuse.
        let is_excuse = |fault: &Fault| matches!(fault, Fault::Relay(_) | Fault::Hang);
        let is_well = !self.faults.iter().any(|(_, fault)| is_excuse(fault));
        let is_heard = is_well && begun >= self.well_since[replica] + RETURN;
        let forgotten = self.forgotten.get(face);
        let is_forgotten = forgotten.is_some_and(|at| *at < begun);
        assert!(
            !(is_forgotten && is_heard),
            "replica {replica} shows {face}, which is forgotten"
        );
    }

    fn change_picture(&mut self, face: &str) {
        self.next_picture += 1;
        let vendors = self.replicas[0].vendors();
        vendors
            .set_picture(face, Picture::Face(self.next_picture))
            .unwrap();
        let bytes = self.replicas[0].bytes(face);
        self.pictures
            .entry(face.to_owned())
            .or_default()
            .insert(bytes);
    }

    async fn forget(&mut self, replica: usize, face: &str) {
        let entry = format!("/v1/avatars/waha/{face}");
        let admin = self.replicas[replica].admin();
        let answer = Answer::to(&admin, "DELETE", &entry, &[]).await;
        let spread: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        if spread["applied"] == spread["of"] {
            self.forgotten.insert(face.to_owned(), Instant::now());
        }
        self.faces.retain(|known| known != face);
        self.add_face();
    }

    async fn fail(&mut self, replica: usize) {
        let end = Instant::now() + Duration::from_millis(300 + self.random.below(4000));
        match self.random.below(56) {
            0..8 => self.fail_relay(replica, State::Cut, end),
            8..14 => self.fail_relay(replica, State::Hang, end),
            14..20 => self.fail_relay(replica, State::Deaf, end),
            20..26 => self.fail_relay(replica, State::Slow, end),
            26..29 => {
                for replica in 0..3 {
                    self.fail_relay(replica, State::Cut, end);
                }
            }
            29..32 if !self.is_hanging() => {
                self.redis.signal("-STOP");
                self.faults.push((end, Fault::Hang));
            }
            32 if !self.is_hanging() => {
                self.redis.restart_empty();
                self.well_since = vec![Instant::now(); 3];
            }
            33 if !self.is_hanging() => {
                let _: String = self.redis.ask(&["FLUSHALL"]);
                self.well_since = vec![Instant::now(); 3];
            }
            34 | 35 => {
                self.replicas[replica].stop().await;
                self.replicas[replica].restart().await;
                self.well_since[replica] = Instant::now();
            }
            36..38 => self.fail_store(replica, State::Cut, end),
            38..40 => self.fail_store(replica, State::Hang, end),
            40 => self.fail_store(replica, State::Deaf, end),
            41 => self.fail_store(replica, State::Slow, end),
            42 => {
                for replica in 0..3 {
                    self.fail_store(replica, State::Cut, end);
                }
            }
            43 => self.damage_objects(|file| drop(fs::remove_file(file))),
            44 => self.damage_objects(|file| drop(fs::write(file, "cut"))),
            45..48 => self.shift_clock(replica, end),
            48..50 => self.fail_store(replica, State::Refuse, end),
            50 => self.fail_store(replica, State::Half, end),
            51 => self.fail_store(replica, State::Error, end),
            _ => time::sleep(Duration::from_millis(100)).await,
        }
    }

    fn fail_store(&mut self, replica: usize, state: State, end: Instant) {
        if let Some(store) = &self.store {
            store.relays[replica].set(state);
            self.faults.push((end, Fault::Store(replica)));
        }
    }

    /// Deletes or damages a third of the objects, of which a replica may just delete one, too.
    fn damage_objects(&mut self, damage: fn(&Path)) {
        let Some(store) = &self.store else {
            return;
        };
        let mut objects = store.server.objects("");
        objects.sort();
        for object in objects {
            if self.random.below(3) == 0 {
                damage(&object);
            }
        }
    }

    /// Sets the clock of a replica by up to 20 hours. The first replica's is the vendors', too.
    fn shift_clock(&mut self, replica: usize, end: Instant) {
        let shift = Duration::from_secs(self.random.below(20 * 3600));
        let shift = match self.random.below(2) {
            0 => TimeShift::Ahead(shift),
            _ => TimeShift::Behind(shift),
        };
        if replica > 0 {
            self.set_clock(replica, shift);
            self.faults.push((end, Fault::Clock(replica, shift)));
        }
    }

    fn set_clock(&self, replica: usize, shift: TimeShift) {
        let clock = &self.replicas[replica].clock;
        match shift {
            TimeShift::Ahead(by) => clock.set(clock.now() + by),
            TimeShift::Behind(by) => clock.set(clock.now() - by),
        }
    }

    fn fail_relay(&mut self, replica: usize, state: State, end: Instant) {
        self.relays[replica].set(state);
        self.faults.push((end, Fault::Relay(replica)));
    }

    fn is_hanging(&self) -> bool {
        self.faults
            .iter()
            .any(|(_, fault)| matches!(fault, Fault::Hang))
    }

    fn recover(&mut self) {
        let now = Instant::now();
        let (over, left) = self.faults.drain(..).partition(|(end, _)| *end <= now);
        self.faults = left;
        let over: Vec<(Instant, Fault)> = over;
        for (_, fault) in over {
            self.end(fault);
        }
    }

    fn end_faults(&mut self) {
        for (_, fault) in std::mem::take(&mut self.faults) {
            self.end(fault);
        }
    }

    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Relay(replica) => {
                self.relays[replica].set(State::Pass);
                self.well_since[replica] = Instant::now();
            }
            Fault::Hang => {
                self.redis.signal("-CONT");
                self.well_since = vec![Instant::now(); 3];
            }
            Fault::Store(replica) => {
                if let Some(store) = &self.store {
                    store.relays[replica].set(State::Pass);
                }
            }
            Fault::Clock(replica, shift) => self.set_clock(replica, shift.reverse()),
        }
    }

    /// Lets the replicas' clocks follow, and counts the calls.
    fn count(&mut self) {
        for replica in &self.replicas {
            replica.clock.advance(self.last.elapsed());
        }
        self.last = Instant::now();
        let (calls, _) = self.replicas[0].traffic();
        let (_, before) = self.calls[self.calls.len() - 1];
        let at = self.started.elapsed().as_secs_f64();
        self.calls.push((at, before + calls as f64));
    }

    /// In no window are there more calls than a token bucket of the account's budget allows.
    fn check_calls(&self) {
        // The highest level that the bucket can have. In a window, calls may be made at any time.
        let full = BURST + RATE * SLACK;
        let mut level = full;
        for window in self.calls.windows(2) {
            let [(before, calls_before), (at, calls)] = window else {
                continue;
            };
            let (length, calls) = (at - before, calls - calls_before);
            let left = level + RATE * length - calls;
            assert!(
                left >= 0.0,
                "{calls} calls in {length:.1} s, {at:.1} s after the start, when the bucket had {level:.1}"
            );
            level = left.min(full);
        }
    }

    /// Without faults, all replicas show the same within a minute.
    async fn agree(&mut self) {
        let limit = Instant::now() + 2 * LIMIT;
        loop {
            let (began, mut differing) = (Instant::now(), Vec::new());
            // The latest ones: a long run has hundreds.
            let forgotten = self.forgotten.keys().rev().take(FACES).cloned();
            let faces: Vec<_> = self.faces.iter().cloned().chain(forgotten).collect();
            for face in faces {
                self.count();
                let (mut answers, mut shown) = (Vec::new(), Vec::new());
                for replica in 0..3 {
                    let path = format!("/avatar/waha/{face}");
                    let answer = self.replicas[replica].get(&path).await;
                    if self.forgotten.contains_key(&face) && answer.source() == "picture" {
                        differing.push(format!("{face} is forgotten"));
                    }
                    shown.push((
                        answer.header("etag").to_owned(),
                        answer.cache_status().to_owned(),
                    ));
                    answers.push(answer.body);
                }
                if answers.iter().any(|answer| *answer != answers[0]) {
                    differing.push(format!("{face}: {shown:?}"));
                }
            }
            self.count();
            if differing.is_empty() {
                return;
            }
            if began > limit {
                let mut states = Vec::new();
                for replica in &self.replicas {
                    let state = Answer::to(&replica.admin(), "GET", "/v1/fleet", &[]).await;
                    states.push(state.text().to_owned());
                }
                panic!("after a minute, the replicas differ: {differing:?} {states:?}");
            }
            time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn replica(&mut self) -> usize {
        self.random.below(3) as usize
    }

    /// Mostly a face that may be shown.
    fn face(&mut self) -> String {
        let number = self.random.below(11 * FACES as u64) as usize;
        let forgotten = self.forgotten.keys().rev().nth(number % 8);
        let face = self.faces.get(number % (FACES + 4));
        face.or(forgotten).unwrap_or(&self.faces[0]).clone()
    }
}
