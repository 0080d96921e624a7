//! Admission control of one instance: whether its vendor may be called now. It combines the budget, the
//! cooldown and the soft-throttling detector, and saves their state for the next process, so that a
//! crash loop makes no more calls than one long run.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Budget, BudgetLimits, CallsAhead, Cooldown, CooldownPolicy, DefaultPicturePolicy, Observation,
    PictureVerdict, Priority, Sensitivity, SessionWatch, Sighting, SoftThrottleDetector,
    budget::SavedBudget,
    cooldown::{CooldownState, SavedCooldown},
    default_pictures::{DefaultPictures, SavedDefaultPictures},
    deferral::Deferrals,
};
use crate::{
    avatar::{Key, Subject, Trouble},
    clock::{Clock, Timestamp},
    sync::lock,
};

/// The admission control of one instance.
#[derive(Debug)]
pub struct Admission {
    /// This lock and the next ones are held for a few instructions, never across an await.
    budget: RwLock<Budget>,
    cooldown: Cooldown,
    deferrals: Deferrals,
    detector: Mutex<SoftThrottleDetector>,
    session: Mutex<Session>,
    session_watch: Mutex<SessionWatch>,
    default_pictures: Mutex<DefaultPictures>,
    limits: Mutex<AdmissionLimits>,
    clock: Clock,
}

/// The limits of an instance, which a reload may change.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmissionLimits {
    /// The size of the budget.
    pub budget: BudgetLimits,
    /// The length of pauses.
    pub cooldown: CooldownPolicy,
    /// The sensitivity of the soft-throttling detector.
    pub sensitivity: Sensitivity,
    /// How default pictures are recognized.
    pub default_pictures: DefaultPicturePolicy,
}

/// The vendor may not be called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAdmitted {
    /// The reason: [`Trouble::OverBudget`], or the trouble that the instance pauses for.
    pub why: Trouble,
    /// The earliest time at which the same call can be admitted.
    pub retry_at: Timestamp,
}

/// The meaning of an answer about a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerVerdict {
    /// The answer is to be taken literally.
    Genuine,
    /// The answer stands for a rate limit, and the instance pauses.
    SoftThrottled {
        /// The end of the pause.
        paused_until: Timestamp,
    },
}

/// The vendor's session with WhatsApp, as its answers show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// The state.
    pub state: SessionState,
    /// When this state was first reported.
    pub since: Timestamp,
}

/// The state of a vendor's session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// No answer has shown it yet.
    #[default]
    Unknown,
    /// The vendor answers questions about faces.
    Working,
    /// The session is stopped, or waits for a QR code to be scanned.
    Down,
    /// The vendor rejects our credential, so the state is not visible.
    Refused,
}

/// The state of an [`Admission`], for the next process. The renamed keys are the ones that earlier
/// versions wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedAdmission {
    budget: SavedBudget,
    #[serde(rename = "hold")]
    cooldown: SavedCooldown,
    #[serde(rename = "throttle")]
    detector: SoftThrottleDetector,
    session: Session,
    default_pictures: SavedDefaultPictures,
}

/// The state of an account with its vendor, without the used part of its budget.
#[derive(Debug, PartialEq)]
pub struct AdmissionStatus {
    cooldown: CooldownState,
    session: Session,
}

impl Admission {
    /// The admission control of a vendor that was never called.
    pub fn new(limits: AdmissionLimits, clock: Clock) -> Self {
        Self {
            budget: RwLock::new(Budget::new(limits.budget, clock.clone())),
            cooldown: Cooldown::new(limits.cooldown.clone(), clock.clone()),
            deferrals: Deferrals::default(),
            detector: Mutex::default(),
            session: Mutex::default(),
            session_watch: Mutex::default(),
            default_pictures: Mutex::default(),
            limits: Mutex::new(limits),
            clock,
        }
    }

    /// Goes by other limits from the next call on. The used part of the budget, the pause and the
    /// detector's counts stay, also for calls in flight.
    pub fn set_limits(&self, limits: AdmissionLimits) {
        let before = mem::replace(&mut *lock(&self.limits), limits.clone());
        if before.budget != limits.budget {
            // Under the lock for writing, so that no call is taken from the old budget meanwhile.
            let mut budget = self.budget.write().unwrap_or_else(PoisonError::into_inner);
            let resized = budget.resize(limits.budget);
            *budget = resized;
            self.deferrals.end();
        }
        self.cooldown.set_policy(limits.cooldown);
    }

    /// Admits one call and takes it from the budget. `with_refresh` is for a call that makes the vendor
    /// bypass its cache.
    pub fn admit(&self, priority: Priority, with_refresh: bool) -> Result<(), NotAdmitted> {
        if let Some((retry_at, why)) = self.cooldown.current() {
            return Err(NotAdmitted { why, retry_at });
        }
        let deferred = self.deferral(priority, with_refresh);
        if !deferred.is_zero() {
            return Err(NotAdmitted {
                why: Trouble::OverBudget,
                retry_at: self.clock.now() + deferred,
            });
        }
        self.budget()
            .take(priority, with_refresh)
            .map_err(|over_budget| NotAdmitted {
                why: Trouble::OverBudget,
                retry_at: over_budget.retry_at,
            })
    }

    /// Gives back a call that was admitted, and that was not made.
    pub(super) fn refund(&self, priority: Priority, with_refresh: bool) {
        self.budget().refund(priority, with_refresh);
    }

    /// The time at which a call can be admitted, if the calls in `ahead` are made as early as possible.
    pub fn due(&self, priority: Priority, with_refresh: bool, ahead: CallsAhead) -> Timestamp {
        let now = self.clock.now();
        let wait = self.budget().wait(priority, with_refresh, ahead);
        let due = now + wait.max(self.deferral(priority, with_refresh));
        match self.cooldown.current() {
            Some((until, _)) => due.max(until),
            None => due,
        }
    }

    /// Admits nothing for these times, for each kind of limit: all calls, refreshes, background. The budget that is
    /// shared with other processes has no call before.
    pub fn defer(&self, waits: [Duration; 3]) {
        self.deferrals.defer(self.clock.moment(), waits);
    }

    /// Pauses for `wait`, because another process that shares the account was told to. A pause in force that lasts
    /// longer stays.
    pub fn pause(&self, wait: Duration, why: Trouble) -> Timestamp {
        self.record_session_trouble(why);
        self.cooldown.pause(wait, why)
    }

    /// Whether the budget has a call left that makes the vendor bypass its cache.
    pub fn has_refresh(&self) -> bool {
        self.budget().has_refresh()
    }

    /// Records an answer about a face.
    pub fn record_answer(&self, key: Key, observation: Observation) -> AnswerVerdict {
        let sensitivity = lock(&self.limits).sensitivity.clone();
        if self.lock_detector().observe(key, observation, &sensitivity) {
            let paused_until = self.cooldown.record_rate_limit(None);
            return AnswerVerdict::SoftThrottled { paused_until };
        }
        self.cooldown.record_answer();
        self.set_session(SessionState::Working);
        AnswerVerdict::Genuine
    }

    /// Whether this link or these bytes are known to be the gateway's default picture. `fingerprint` is the
    /// identity of the link or the entity tag of the bytes; `file_name` is empty for bytes.
    pub fn is_default_picture(&self, fingerprint: &str, file_name: &str) -> bool {
        let policy = lock(&self.limits).default_pictures.clone();
        lock(&self.default_pictures).is_known(fingerprint, file_name, &policy)
    }

    /// Records a picture with these fingerprints.
    pub fn record_picture(&self, fingerprints: &[&str], sighting: &Sighting) -> PictureVerdict {
        let policy = lock(&self.limits).default_pictures.clone();
        lock(&self.default_pictures).observe(fingerprints, sighting, &policy)
    }

    /// Forgets the latest answers about a face, which could be taken back, and with them its former pictures.
    pub fn forget_face(&self, subject: Subject) {
        lock(&self.default_pictures).forget(subject);
        self.session_watch(|watch| watch.forget(subject));
    }

    /// The same for all faces.
    pub fn forget_faces(&self) {
        lock(&self.default_pictures).forget_all();
        self.session_watch(SessionWatch::forget_all);
    }

    /// Records trouble. Returns the end of the pause, or `None` for trouble that concerns a single face.
    pub fn record_trouble(&self, why: Trouble, retry_after: Option<Duration>) -> Option<Timestamp> {
        self.record_session_trouble(why);
        self.cooldown.record_trouble(why, retry_after)
    }

    fn record_session_trouble(&self, why: Trouble) {
        match why {
            Trouble::SessionDown => self.set_session(SessionState::Down),
            Trouble::Auth => self.set_session(SessionState::Refused),
            _ => {}
        }
    }

    /// The longest pause that a vendor can ask for with `Retry-After`.
    pub fn longest_pause(&self) -> Duration {
        self.cooldown.longest()
    }

    /// Ends the pause in force, unless the vendor has asked this process for one since `lifted_at`. Returns whether a pause
    /// was ended.
    pub fn lift_pause(&self, lifted_at: Timestamp) -> bool {
        self.cooldown.lift(lifted_at)
    }

    /// The vendor's session with WhatsApp, as its answers show it.
    pub fn session(&self) -> Session {
        *self.lock_session()
    }

    /// Uses the watch over the session.
    pub fn session_watch<T>(&self, work: impl FnOnce(&mut SessionWatch) -> T) -> T {
        work(&mut lock(&self.session_watch))
    }

    /// Records what the gateway says about its session.
    pub fn record_session(&self, is_up: bool) {
        let now = self.clock.now();
        self.session_watch(|watch| watch.record_check(is_up, now));
        self.set_session(match is_up {
            true => SessionState::Working,
            false => SessionState::Down,
        });
    }

    fn set_session(&self, state: SessionState) {
        let mut session = self.lock_session();
        if session.state != state {
            *session = Session {
                state,
                since: self.clock.now(),
            };
        }
    }

    /// The number of calls that would be admitted at once now.
    pub fn available(&self) -> u64 {
        match self.cooldown() {
            Some(_) => 0,
            None => self.budget().available(),
        }
    }

    /// The number of calls of today, which begins at midnight UTC.
    pub fn calls_today(&self) -> u32 {
        self.budget().calls_today()
    }

    /// The number of calls that the daily cap leaves, if there is one.
    pub fn daily_left(&self) -> Option<u64> {
        self.budget().daily_left()
    }

    /// The number of calls that are admitted at once after an idle time.
    pub fn burst(&self) -> u64 {
        self.budget().burst()
    }

    /// Whether the budget is full and there is no pause, so that nothing is lost if the state is.
    pub fn is_at_rest(&self) -> bool {
        self.cooldown().is_none() && self.budget().is_full()
    }

    /// The end of the pause in force, and its reason.
    pub fn cooldown(&self) -> Option<(Timestamp, Trouble)> {
        self.cooldown.current()
    }

    /// Whether a pause is over, and no answer since has been without trouble.
    pub fn is_recovering(&self) -> bool {
        self.cooldown.is_recovering()
    }

    /// The state of the account.
    pub fn status(&self) -> AdmissionStatus {
        AdmissionStatus {
            cooldown: self.cooldown.state(),
            session: self.session(),
        }
    }

    /// The state to keep for the next process.
    pub fn save(&self) -> SavedAdmission {
        SavedAdmission {
            budget: self.budget().save(),
            cooldown: self.cooldown.save(),
            detector: self.lock_detector().clone(),
            session: self.session(),
            default_pictures: lock(&self.default_pictures).save(),
        }
    }

    /// Continues from the state that another process saved.
    pub fn restore(&self, saved: SavedAdmission) {
        self.budget().restore(saved.budget);
        self.cooldown.restore(saved.cooldown);
        *self.lock_detector() = saved.detector;
        *self.lock_session() = saved.session;
        lock(&self.default_pictures).restore(saved.default_pictures);
    }

    fn budget(&self) -> RwLockReadGuard<'_, Budget> {
        self.budget.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the shared budget has no such call.
    fn deferral(&self, priority: Priority, with_refresh: bool) -> Duration {
        let now = self.clock.moment();
        self.deferrals.left(priority, with_refresh, now)
    }

    fn lock_session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }

    fn lock_detector(&self) -> MutexGuard<'_, SoftThrottleDetector> {
        lock(&self.detector)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::limits::Quota;

    fn admission(clock: &Clock) -> Admission {
        let quota = |per_minute, burst| Quota {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        };
        let limits = AdmissionLimits {
            budget: BudgetLimits {
                lookups: quota(30, 10),
                refreshes: quota(4, 2),
                daily: NonZeroU32::new(100),
            },
            cooldown: CooldownPolicy::default(),
            sensitivity: Sensitivity::default(),
            default_pictures: DefaultPicturePolicy::default(),
        };
        Admission::new(limits, clock.clone())
    }

    /// The state after a restart, which passes through a file.
    fn restart(old: &Admission, clock: &Clock) -> Admission {
        let text = serde_json::to_string(&old.save()).unwrap();
        let new = admission(clock);
        new.restore(serde_json::from_str(&text).unwrap());
        new
    }

    fn granted(admission: &Admission) -> usize {
        (0..100)
            .take_while(|_| admission.admit(Priority::Interactive, false).is_ok())
            .count()
    }

    #[test]
    fn a_crash_loop_gets_no_more_calls_than_one_long_run() {
        let clock = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let mut admission = admission(&clock);
        let mut calls = granted(&admission);
        for _ in 0..50 {
            clock.advance(Duration::from_millis(100));
            admission = restart(&admission, &clock);
            calls += granted(&admission);
        }
        // Five seconds at one call in two seconds, on top of the burst.
        assert_eq!(calls, 10 + 2);
    }

    #[test]
    fn a_pause_outlives_the_process() {
        let clock = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let old = admission(&clock);
        let until = old.record_trouble(Trouble::RateLimited, None).unwrap();
        let new = restart(&old, &clock);
        let refusal = new.admit(Priority::Interactive, false).unwrap_err();
        assert_eq!(
            (refusal.why, refusal.retry_at),
            (Trouble::RateLimited, until)
        );
    }

    #[test]
    fn a_state_saved_in_the_far_future_pauses_the_instance_for_a_day_at_most() {
        let clock = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let old = admission(&clock);
        clock.advance(Duration::from_secs(10 * 365 * 86_400));
        granted(&old);
        old.record_trouble(Trouble::RateLimited, None);
        let today = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let new = restart(&old, &today);
        today.advance(Duration::from_secs(2 * 86_400));
        assert_eq!(granted(&new), 10);
    }

    #[test]
    fn a_file_from_an_older_version_is_understood() {
        let saved: SavedAdmission = serde_json::from_str("{}").unwrap();
        assert_eq!(saved, SavedAdmission::default());
    }

    #[test]
    fn the_saved_file_keeps_the_keys_of_earlier_versions() {
        let saved = serde_json::to_value(SavedAdmission::default()).unwrap();
        let keys: Vec<_> = saved.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["budget", "default_pictures", "hold", "session", "throttle"]
        );
    }
}
