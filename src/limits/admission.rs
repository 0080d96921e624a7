//! Whether one instance's vendor may be called: the budget, the pause and the detector together,
//! and what of them has to outlive the process, so that a crash loop does not multiply calls.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Budget, Cooldown, Observation, Priority, Sensitivity, SoftThrottleDetector,
    budget::SavedBudget, cooldown::SavedCooldown,
};
use crate::{
    avatar::{Key, Trouble},
    clock::{Clock, Timestamp},
};

/// One instance's admission.
#[derive(Debug)]
pub struct Admission {
    budget: Budget,
    cooldown: Cooldown,
    /// Held for a few instructions, never across an await.
    detector: Mutex<SoftThrottleDetector>,
    session: Mutex<Session>,
    sensitivity: Sensitivity,
    clock: Clock,
}

/// No call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAdmitted {
    /// The budget, or the trouble that the instance pauses for.
    pub why: Trouble,
    /// The earliest time at which the same request can succeed.
    pub retry_at: Timestamp,
}

/// What the vendor's last telling answer said of its own session with WhatsApp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// How it was.
    pub state: SessionState,
    /// Since when it has been told to be so.
    pub since: Timestamp,
}

/// How a vendor's session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Nothing was told yet.
    #[default]
    Unknown,
    /// It answers about faces.
    Working,
    /// It is stopped, or waits for a QR code to be scanned.
    Down,
    /// The vendor refuses our credential, and so says nothing.
    Refused,
}

/// What an admission remembers from one process to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedAdmission {
    budget: SavedBudget,
    #[serde(rename = "hold")]
    cooldown: SavedCooldown,
    #[serde(rename = "throttle")]
    detector: SoftThrottleDetector,
    session: Session,
}

/// How an account stands with its vendor, whatever is used up of its budget.
#[derive(Debug, PartialEq)]
pub struct AdmissionStatus {
    cooldown: SavedCooldown,
    session: Session,
}

impl Admission {
    /// An admission in front of a vendor that was never called.
    pub fn new(budget: Budget, cooldown: Cooldown, sensitivity: Sensitivity, clock: Clock) -> Self {
        Self {
            budget,
            cooldown,
            detector: Mutex::default(),
            session: Mutex::default(),
            sensitivity,
            clock,
        }
    }

    /// Lets one call through and counts it, or says when to come back. `with_refresh` when the
    /// vendor is to bypass its cache.
    pub fn admit(&self, priority: Priority, with_refresh: bool) -> Result<(), NotAdmitted> {
        if let Some((retry_at, why)) = self.cooldown.current(self.clock.now()) {
            return Err(NotAdmitted { why, retry_at });
        }
        self.budget
            .take(priority, with_refresh)
            .map_err(|refused| NotAdmitted {
                why: Trouble::OverBudget,
                retry_at: refused.retry_at,
            })
    }

    /// Takes in an answer about a face. `Err` when it is to be read as a rate limit, with the time
    /// at which the pause that follows ends.
    pub fn record_answer(
        &self,
        key: Key,
        observation: Observation,
    ) -> Result<(), Option<Timestamp>> {
        if self.detector().observe(key, observation, &self.sensitivity) {
            return Err(self.record_trouble(Trouble::RateLimited, None));
        }
        self.cooldown.record_answer(self.clock.now());
        self.set_session(SessionState::Working);
        Ok(())
    }

    /// Takes in trouble. Returns when the instance may be asked again, if it concerns all of it.
    pub fn record_trouble(&self, why: Trouble, retry_after: Option<Duration>) -> Option<Timestamp> {
        match why {
            Trouble::SessionDown => self.set_session(SessionState::Down),
            Trouble::Auth => self.set_session(SessionState::Refused),
            _ => {}
        }
        self.cooldown
            .record_trouble(why, retry_after, self.clock.now())
    }

    /// How the vendor's session is, as far as its answers tell.
    pub fn session(&self) -> Session {
        *self.session_lock()
    }

    fn set_session(&self, state: SessionState) {
        let mut session = self.session_lock();
        if session.state != state {
            *session = Session {
                state,
                since: self.clock.now(),
            };
        }
    }

    /// How many calls could be made at once now.
    pub fn available(&self) -> u64 {
        match self.cooldown() {
            Some(_) => 0,
            None => self.budget.available(),
        }
    }

    /// How many calls could be made at once after a rest.
    pub fn burst(&self) -> u64 {
        self.budget.burst()
    }

    /// The pause in force: until when, and why.
    pub fn cooldown(&self) -> Option<(Timestamp, Trouble)> {
        self.cooldown.current(self.clock.now())
    }

    /// How the account stands.
    pub fn status(&self) -> AdmissionStatus {
        AdmissionStatus {
            cooldown: self.cooldown.save(),
            session: self.session(),
        }
    }

    /// What has to outlive the process.
    pub fn save(&self) -> SavedAdmission {
        SavedAdmission {
            budget: self.budget.save(),
            cooldown: self.cooldown.save(),
            detector: self.detector().clone(),
            session: self.session(),
        }
    }

    /// Goes on where another process left off.
    pub fn restore(&self, saved: SavedAdmission) {
        self.budget.restore(saved.budget);
        self.cooldown.restore(saved.cooldown, self.clock.now());
        *self.detector() = saved.detector;
        *self.session_lock() = saved.session;
    }

    fn session_lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn detector(&self) -> MutexGuard<'_, SoftThrottleDetector> {
        self.detector.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::limits::{CooldownPolicy, Quota};

    fn admission(clock: &Clock) -> Admission {
        let quota = |per_minute, burst| Quota {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        };
        Admission::new(
            Budget::new(
                quota(30, 10),
                quota(4, 2),
                NonZeroU32::new(100),
                clock.clone(),
            ),
            Cooldown::new(CooldownPolicy::default()),
            Sensitivity::default(),
            clock.clone(),
        )
    }

    /// What a restart does: the saved state goes through a file.
    fn reborn(old: &Admission, clock: &Clock) -> Admission {
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
            admission = reborn(&admission, &clock);
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
        let new = reborn(&old, &clock);
        let refusal = new.admit(Priority::Interactive, false).unwrap_err();
        assert_eq!(
            (refusal.why, refusal.retry_at),
            (Trouble::RateLimited, until)
        );
    }

    #[test]
    fn a_memory_from_the_far_future_does_not_lock_the_instance_for_ever() {
        let clock = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let old = admission(&clock);
        clock.advance(Duration::from_secs(10 * 365 * 86_400));
        granted(&old);
        old.record_trouble(Trouble::RateLimited, None);
        let today = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let new = reborn(&old, &today);
        today.advance(Duration::from_secs(2 * 86_400));
        assert_eq!(granted(&new), 10);
    }

    #[test]
    fn a_file_from_an_older_version_is_understood() {
        let saved: SavedAdmission = serde_json::from_str("{}").unwrap();
        assert_eq!(saved, SavedAdmission::default());
    }
}
