//! This replica as a member of the fleet: its link to Redis, its number, and the server's clock.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{FromRedisValue, ScriptInvocation};
use tokio::sync::Notify;

use super::{
    answer::Answer,
    face::SecretKeys,
    link::{EngineFailure, Link},
    pictures::{PictureStore, RedisPictures},
    s3::S3Pictures,
    scripts,
    settings::{Settings, fingerprint},
    shared_entry::Offset,
};
use crate::{
    clock::{Clock, Moment, Timestamp},
    sync::lock,
    telemetry::Metrics,
    upstream::Resolver,
};

/// This replica as a member of the fleet.
pub struct Member {
    pub(super) link: Arc<Link>,
    pub(super) pictures: Arc<dyn PictureStore>,
    pub(super) fleet: String,
    /// Different for each replica, and the same after a restart on the same cache directory.
    pub(super) id: String,
    pub(super) secrets: SecretKeys,
    /// The fingerprint of the fleet's secret.
    pub(super) secret: String,
    pub(super) replicas: u32,
    pub(super) reserve: u32,
    /// How long Redis keeps an entry without a change.
    pub(super) keep_entries: Duration,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    /// The server's time when the monotonic clock was at zero. A time of day that is set does not change it.
    server_origin: AtomicI64,
    /// Different after a restart, so that no lease of an earlier process counts as this one's.
    process: Arc<str>,
    tokens: AtomicU64,
    state: Mutex<State>,
    /// Notified when an account may have changes that Redis did not take.
    pub(super) unsent: Notify,
}

/// The parts that a replica brings along.
#[derive(Debug)]
pub struct Replica {
    /// Its name, which [`Fleet::new_replica`] made once.
    pub id: String,
    /// How long an entry without a change stays in Redis.
    pub keep_entries: Duration,
    /// The resolver for the host of Redis.
    pub resolver: Resolver,
    /// The clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    /// Until when the replica's number is its own.
    number_until: Option<Moment>,
    living: u64,
    /// Since when Redis knows the fleet.
    since: Option<u64>,
    /// How many replicas were live before Redis was flushed, and until when heartbeats of some may still be missing.
    lived: (u64, Moment),
    /// The answer to the last renewal.
    renewal: Renewal,
}

/// The answer to a renewal of the membership.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Renewal {
    /// This replica is a member.
    #[default]
    Member,
    /// It is one without a number, and so without a reserve.
    WithoutNumber,
    /// The fleet has another secret.
    OtherSecret,
    /// The live replicas divide the budgets otherwise.
    OtherDivision(String),
    /// As many replicas are live as there are shares.
    Full,
}

/// What a replica asks of the fleet. One that serves faces already is counted with the live ones in any case.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Join,
    Stay,
    Leave,
}

impl Purpose {
    fn text(self) -> &'static str {
        match self {
            Purpose::Join => "join",
            Purpose::Stay => "stay",
            Purpose::Leave => "leave",
        }
    }
}

/// The lease of a number, and when another replica may have it: the clocks of two machines do not run alike.
const LEASE: Duration = Duration::from_secs(6 * 3600);
const HOLD: Duration = Duration::from_secs(12 * 3600);
/// A replica without a heartbeat for this long is not live. `replica.lua` has the same time.
const SILENCE: Duration = Duration::from_secs(30);
/// The smallest change of the distance of the clocks that counts. Less is the time that a message takes.
const CLOCK_STEP: u64 = 250;

/// The server's time when the monotonic clock was at zero, in milliseconds.
fn server_origin(server: Timestamp, now: Moment) -> i64 {
    let millis = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
    millis(server.as_millis()).saturating_sub(millis(now.as_millis()))
}

impl Member {
    pub(super) fn new(
        settings: &Settings,
        replica: Replica,
        s3: Option<Arc<S3Pictures>>,
    ) -> Result<Self, String> {
        let Replica {
            id,
            keep_entries,
            resolver,
            clock,
            metrics,
        } = replica;
        // Until the server has answered, its clock is taken for this one.
        let origin = server_origin(clock.now(), clock.moment());
        let link = Link::new(settings, resolver, metrics.clone())?;
        let link = Arc::new(link);
        let pictures: Arc<dyn PictureStore> = match s3 {
            Some(s3) => s3,
            None => Arc::new(RedisPictures {
                link: link.clone(),
                fleet: settings.name.clone(),
            }),
        };
        Ok(Self {
            link,
            pictures,
            fleet: settings.name.clone(),
            id,
            secrets: SecretKeys::new(&settings.secret),
            secret: fingerprint(&settings.secret),
            replicas: settings.replicas,
            reserve: settings.reserve,
            keep_entries,
            clock,
            metrics,
            server_origin: AtomicI64::new(origin),
            process: new_id(),
            tokens: AtomicU64::default(),
            state: Mutex::default(),
            unsent: Notify::new(),
        })
    }

    /// Runs a script, and learns the server's time from its answer.
    pub(super) async fn run(
        &self,
        name: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<Answer, EngineFailure> {
        let values = self.link.run(name, script).await?;
        let answer = Answer::read(values).ok_or(EngineFailure)?;
        let new = server_origin(answer.now, self.clock.moment());
        if new.abs_diff(self.server_origin.load(Ordering::Acquire)) > CLOCK_STEP {
            self.server_origin.store(new, Ordering::Release);
        }
        Ok(answer)
    }

    /// Renews the membership, and with it the number. A replica that is refused has no number any more.
    pub(super) async fn renew(&self, purpose: Purpose) -> Result<Renewal, EngineFailure> {
        let sent_at = self.clock.moment();
        let answer = self.run("replica", &self.membership(purpose)).await?;
        let renewal = match answer.name.as_str() {
            "other_secret" => Renewal::OtherSecret,
            "other_division" => Renewal::OtherDivision(answer.text(2)),
            "full" => Renewal::Full,
            _ if answer.number(0) == 0 => Renewal::WithoutNumber,
            _ => Renewal::Member,
        };
        let mut state = lock(&self.state);
        let has_number = renewal == Renewal::Member;
        state.number_until = has_number.then(|| sent_at + LEASE);
        state.renewal = renewal.clone();
        if !matches!(renewal, Renewal::Member | Renewal::WithoutNumber) {
            return Ok(renewal);
        }
        let since = Some(answer.number(2));
        if state.since.is_some() && state.since != since {
            state.lived = (state.living.max(state.lived.0), sent_at + SILENCE);
        }
        state.since = since;
        state.living = answer.number(1);
        self.metrics.fleet().set_replicas(state.living);
        Ok(renewal)
    }

    /// The answer to the last renewal.
    pub(super) fn last_renewal(&self) -> Renewal {
        lock(&self.state).renewal.clone()
    }

    /// How the budgets are divided, as replicas compare it.
    pub(super) fn division(&self) -> String {
        format!("{} replicas, reserve {}", self.replicas, self.reserve)
    }

    /// The fingerprint of the secret and the division that Redis has.
    pub(super) async fn stored_settings(&self) -> Result<[Option<String>; 2], EngineFailure> {
        let command = redis::cmd("HMGET")
            .arg(self.fleet_key("settings"))
            .arg("secret")
            .arg("division")
            .take();
        let value = self.link.send("probe", &command).await?;
        FromRedisValue::from_redis_value(value).map_err(|_| EngineFailure)
    }

    /// The live replicas.
    pub(super) async fn living(&self) -> Result<HashSet<String>, EngineFailure> {
        let command = redis::cmd("HGETALL")
            .arg(self.fleet_key("heartbeats"))
            .take();
        let value = self.link.send("living", &command).await?;
        let beats: Vec<(String, u64)> = FromRedisValue::from_redis_value(value).unwrap_or_default();
        let now = self.server_time();
        let lives = |at: u64| now.since(Timestamp::from_millis(at)) < SILENCE;
        let living = beats.into_iter().filter(|(_, at)| lives(*at));
        Ok(living.map(|(id, _)| id).collect())
    }

    /// The replicas that were live when the membership was last renewed, this one among them.
    pub(super) fn last_living(&self) -> u64 {
        lock(&self.state).living.max(1)
    }

    /// A lower bound of the number of live replicas, given those with a heartbeat.
    pub(super) fn least_living(&self, known: &HashSet<String>) -> u64 {
        let state = lock(&self.state);
        if !known.contains(&self.id) {
            // Redis was flushed a moment ago.
            return state.living;
        }
        let (lived, until) = state.lived;
        match self.clock.moment() < until {
            true => lived,
            false => 0,
        }
    }

    /// The stream that ends this replica's wait for changes.
    pub(super) fn wake_key(&self) -> String {
        self.fleet_key(&format!("wake:{}", self.id))
    }

    /// Ends this replica's wait for changes, because there is another account to read.
    pub(super) async fn wake(&self) {
        let command = redis::cmd("XADD")
            .arg(self.wake_key())
            .arg("MAXLEN")
            .arg(1)
            .arg("*")
            .arg("kind")
            .arg("wake")
            .take();
        // Else the wait ends by itself, two seconds later.
        let _ = self.link.send("wake", &command).await;
    }

    /// Gives the number back.
    pub(super) async fn leave(&self) {
        lock(&self.state).number_until = None;
        // Else another replica gets it after half a day.
        let _ = self.run("replica", &self.membership(Purpose::Leave)).await;
    }

    pub(super) fn has_number(&self, now: Moment) -> bool {
        let until = lock(&self.state).number_until;
        until.is_some_and(|until| now < until)
    }

    /// How far the server's clock is ahead of this replica's, also right after that was set.
    pub(super) fn offset(&self) -> Offset {
        Offset::between(self.server_time(), self.clock.now())
    }

    /// The server's time, as far as it is known. It goes on by the monotonic clock.
    pub(super) fn server_time(&self) -> Timestamp {
        let origin = self.server_origin.load(Ordering::Acquire);
        let now = self.clock.moment().as_millis();
        Timestamp::from_millis(now.saturating_add_signed(origin))
    }

    /// A text that no other lease has.
    pub(super) fn token(&self) -> String {
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        format!("{}:{number}", self.process)
    }

    fn membership(&self, purpose: Purpose) -> ScriptInvocation<'static> {
        let mut script = scripts::REPLICA.prepare_invoke();
        script
            .key(self.fleet_key("settings"))
            .key(self.fleet_key("numbers"))
            .key(self.fleet_key("heartbeats"))
            .arg(&self.id)
            .arg(self.replicas)
            .arg(u64::try_from(HOLD.as_millis()).unwrap_or(u64::MAX))
            .arg(&self.secret)
            .arg(purpose.text())
            .arg(self.reserve);
        script
    }

    fn fleet_key(&self, part: &str) -> String {
        format!("fp:{}:{{fleet}}:{part}", self.fleet)
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Member({} of {})", self.id, self.fleet)
    }
}

/// A new name for a replica. Two that start at the same time have different ones.
pub(super) fn new_id() -> Arc<str> {
    let mut bytes = [0; 8];
    // Without random numbers, the process's start has to do.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = std::process::id()
            .to_be_bytes()
            .repeat(2)
            .try_into()
            .unwrap_or_default();
    }
    crate::hex::encode::<16>(&bytes).as_str().into()
}
