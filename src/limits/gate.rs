//! Whether one instance's vendor may be called: the budget, the pause and the detector together,
//! and what of them has to outlive the process, so that a crash loop does not multiply calls.

use std::sync::{Mutex, MutexGuard, PoisonError};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Budget, Hold, Lane, Sensitivity, Sight, Throttle, budget, hold};
use crate::{
    avatar::{Key, Trouble},
    clock::{Clock, Timestamp},
};

/// One instance's gate.
#[derive(Debug)]
pub struct Gate {
    budget: Budget,
    hold: Hold,
    /// Held for a few instructions, never across an await.
    throttle: Mutex<Throttle>,
    session: Mutex<Session>,
    sensitivity: Sensitivity,
    clock: Clock,
}

/// No call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
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

/// What a gate remembers from one process to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    budget: budget::Memory,
    hold: hold::Memory,
    throttle: Throttle,
    session: Session,
}

/// How an account stands with its vendor, whatever is used up of its budget.
#[derive(Debug, PartialEq)]
pub struct Standing {
    hold: hold::Memory,
    session: Session,
}

impl Gate {
    /// A gate in front of a vendor that was never called.
    pub fn new(budget: Budget, hold: Hold, sensitivity: Sensitivity, clock: Clock) -> Self {
        Self {
            budget,
            hold,
            throttle: Mutex::default(),
            session: Mutex::default(),
            sensitivity,
            clock,
        }
    }

    /// Lets one call through and counts it, or says when to come back. `with_refresh` when the
    /// vendor is to bypass its cache.
    pub fn admit(&self, lane: Lane, with_refresh: bool) -> Result<(), Closed> {
        if let Some((retry_at, why)) = self.hold.current(self.clock.now()) {
            return Err(Closed { why, retry_at });
        }
        self.budget
            .take(lane, with_refresh)
            .map_err(|refused| Closed {
                why: Trouble::OverBudget,
                retry_at: refused.retry_at,
            })
    }

    /// Takes in an answer about a face. `Err` when it is to be read as a rate limit, with the time
    /// at which the pause that follows ends.
    pub fn answered(&self, key: Key, sight: Sight) -> Result<(), Option<Timestamp>> {
        if self.throttle().notes(key, sight, &self.sensitivity) {
            return Err(self.troubled(Trouble::RateLimited, None));
        }
        self.hold.relieved(self.clock.now());
        self.told(SessionState::Working);
        Ok(())
    }

    /// Takes in trouble. Returns when the instance may be asked again, if it concerns all of it.
    pub fn troubled(&self, why: Trouble, retry_after: Option<Duration>) -> Option<Timestamp> {
        match why {
            Trouble::SessionDown => self.told(SessionState::Down),
            Trouble::Auth => self.told(SessionState::Refused),
            _ => {}
        }
        self.hold.troubled(why, retry_after, self.clock.now())
    }

    /// How the vendor's session is, as far as its answers tell.
    pub fn session(&self) -> Session {
        *self.session_lock()
    }

    fn told(&self, state: SessionState) {
        let mut session = self.session_lock();
        if session.state != state {
            *session = Session {
                state,
                since: self.clock.now(),
            };
        }
    }

    /// How many calls could be made at once now.
    pub fn left(&self) -> u64 {
        match self.paused() {
            Some(_) => 0,
            None => self.budget.left(),
        }
    }

    /// How many calls could be made at once after a rest.
    pub fn full(&self) -> u64 {
        self.budget.full()
    }

    /// The pause in force: until when, and why.
    pub fn paused(&self) -> Option<(Timestamp, Trouble)> {
        self.hold.current(self.clock.now())
    }

    /// How the account stands.
    pub fn standing(&self) -> Standing {
        Standing {
            hold: self.hold.memory(),
            session: self.session(),
        }
    }

    /// What has to outlive the process.
    pub fn memory(&self) -> Memory {
        Memory {
            budget: self.budget.memory(),
            hold: self.hold.memory(),
            throttle: self.throttle().clone(),
            session: self.session(),
        }
    }

    /// Goes on where another process left off.
    pub fn recall(&self, memory: Memory) {
        self.budget.recall(memory.budget);
        self.hold.recall(memory.hold, self.clock.now());
        *self.throttle() = memory.throttle;
        *self.session_lock() = memory.session;
    }

    fn session_lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::limits::{Pause, Quota};

    fn gate(clock: &Clock) -> Gate {
        let quota = |per_minute, burst| Quota {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        };
        Gate::new(
            Budget::new(
                quota(30, 10),
                quota(4, 2),
                NonZeroU32::new(100),
                clock.clone(),
            ),
            Hold::new(Pause::default()),
            Sensitivity::default(),
            clock.clone(),
        )
    }

    /// What a restart does: the memory goes through a file.
    fn reborn(old: &Gate, clock: &Clock) -> Gate {
        let text = serde_json::to_string(&old.memory()).unwrap();
        let new = gate(clock);
        new.recall(serde_json::from_str(&text).unwrap());
        new
    }

    fn granted(gate: &Gate) -> usize {
        (0..100)
            .take_while(|_| gate.admit(Lane::Interactive, false).is_ok())
            .count()
    }

    #[test]
    fn a_crash_loop_gets_no_more_calls_than_one_long_run() {
        let clock = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let mut gate = gate(&clock);
        let mut calls = granted(&gate);
        for _ in 0..50 {
            clock.advance(Duration::from_millis(100));
            gate = reborn(&gate, &clock);
            calls += granted(&gate);
        }
        // Five seconds at one call in two seconds, on top of the burst.
        assert_eq!(calls, 10 + 2);
    }

    #[test]
    fn a_pause_outlives_the_process() {
        let clock = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let old = gate(&clock);
        let until = old.troubled(Trouble::RateLimited, None).unwrap();
        let new = reborn(&old, &clock);
        let closed = new.admit(Lane::Interactive, false).unwrap_err();
        assert_eq!((closed.why, closed.retry_at), (Trouble::RateLimited, until));
    }

    #[test]
    fn a_memory_from_the_far_future_does_not_lock_the_instance_for_ever() {
        let clock = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let old = gate(&clock);
        clock.advance(Duration::from_secs(10 * 365 * 86_400));
        granted(&old);
        old.troubled(Trouble::RateLimited, None);
        let today = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let new = reborn(&old, &today);
        today.advance(Duration::from_secs(2 * 86_400));
        assert_eq!(granted(&new), 10);
    }

    #[test]
    fn a_file_from_an_older_version_is_understood() {
        let memory: Memory = serde_json::from_str("{}").unwrap();
        assert_eq!(memory, Memory::default());
    }
}
