//! The cooldown of an instance: after a rate limit, a rejected credential or a session that is down,
//! calls for other faces would fail as well and might make the trouble worse, so the whole instance
//! pauses.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    avatar::{Outcome, Trouble},
    clock::Timestamp,
    sync::lock,
};

/// The cooldown of one instance.
#[derive(Debug)]
pub struct Cooldown {
    policy: CooldownPolicy,
    /// Held for a few instructions, never across an await.
    state: Mutex<State>,
}

/// The length of a pause where the vendor names none.
#[derive(Clone, Debug, PartialEq)]
pub struct CooldownPolicy {
    /// After the first rate limit. Each further one doubles it.
    pub rate_limited_first: Duration,
    /// The longest pause after a rate limit.
    pub rate_limited_longest: Duration,
    /// While the session is down. Some gateways break down when they are polled in that state.
    pub session_down: Duration,
    /// After a rejected credential.
    pub auth: Duration,
}

/// The state of a cooldown, for the next process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedCooldown {
    until: Option<(Timestamp, Outcome)>,
    limited: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    until: Option<(Timestamp, Trouble)>,
    /// The number of rate limits in a row.
    limited: u32,
}

impl Default for CooldownPolicy {
    fn default() -> Self {
        Self {
            rate_limited_first: Duration::from_secs(5 * 60),
            rate_limited_longest: Duration::from_secs(6 * 3600),
            session_down: Duration::from_secs(60),
            auth: Duration::from_secs(60),
        }
    }
}

impl Cooldown {
    /// No pause yet.
    pub fn new(policy: CooldownPolicy) -> Self {
        Self {
            policy,
            state: Mutex::default(),
        }
    }

    /// The end of the pause in force, and its reason.
    pub fn current(&self, now: Timestamp) -> Option<(Timestamp, Trouble)> {
        self.lock_state().until.filter(|(until, _)| now < *until)
    }

    /// Records an answer without trouble. It ends the doubling, but no pause in force: the answer may
    /// belong to a call that was made before the pause.
    pub fn record_answer(&self, now: Timestamp) {
        let mut state = self.lock_state();
        if state.until.is_none_or(|(until, _)| now >= until) {
            *state = State::default();
        }
    }

    /// Records an answer with trouble. Returns the end of the pause, or `None` for trouble that concerns
    /// a single face.
    pub fn record_trouble(
        &self,
        why: Trouble,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let wait = match why {
            Trouble::RateLimited => return Some(self.record_rate_limit(retry_after, now)),
            Trouble::SessionDown => retry_after.unwrap_or(self.policy.session_down),
            Trouble::Auth => self.policy.auth,
            Trouble::VendorError | Trouble::OverBudget => return None,
        };
        let until = now + wait;
        self.lock_state().until = Some((until, why));
        Some(until)
    }

    /// Records a rate limit. Returns the end of the pause.
    pub(super) fn record_rate_limit(
        &self,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> Timestamp {
        let mut state = self.lock_state();
        // Calls that are in flight together report the same limit, which counts once.
        let is_new = state.until.is_none_or(|(until, _)| now >= until);
        state.limited = state.limited.saturating_add(u32::from(is_new));
        let until = now + retry_after.unwrap_or_else(|| self.backoff(state.limited));
        state.until = Some((until, Trouble::RateLimited));
        until
    }

    pub(super) fn save(&self) -> SavedCooldown {
        let State { until, limited } = *self.lock_state();
        SavedCooldown {
            until: until.map(|(until, why)| (until, Outcome::Trouble(why))),
            limited,
        }
    }

    /// Continues a saved cooldown. A saved pause is capped at a day, because it may have been saved while
    /// the clock was wrong.
    pub(super) fn restore(&self, saved: SavedCooldown, now: Timestamp) {
        const LONGEST: Duration = Duration::from_secs(24 * 3600);
        let until = saved.until.and_then(|(until, why)| match why {
            Outcome::Trouble(why) => Some((until.min(now + LONGEST), why)),
            _ => None,
        });
        *self.lock_state() = State {
            until,
            limited: saved.limited,
        };
    }

    /// The pause after so many rate limits in a row.
    fn backoff(&self, times: u32) -> Duration {
        let factor = 2u32.saturating_pow(times.saturating_sub(1));
        self.policy
            .rate_limited_first
            .saturating_mul(factor)
            .min(self.policy.rate_limited_longest)
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_rate_limit_pauses_for_the_time_in_retry_after() {
        let cooldown = Cooldown::new(CooldownPolicy::default());
        let until = cooldown.record_trouble(Trouble::RateLimited, Some(secs(7)), NOW);
        assert_eq!(until, Some(NOW + secs(7)));
        assert_eq!(
            cooldown.current(NOW + secs(6)),
            Some((NOW + secs(7), Trouble::RateLimited))
        );
        assert_eq!(cooldown.current(NOW + secs(7)), None);
    }

    #[test]
    fn rate_limits_without_retry_after_double_the_pause_up_to_its_maximum() {
        let cooldown = Cooldown::new(CooldownPolicy::default());
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let until = cooldown
                .record_trouble(Trouble::RateLimited, None, now)
                .unwrap();
            waits.push(until.since(now).as_secs() / 60);
            now = until;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 360, 360]);
    }

    #[test]
    fn rate_limits_of_calls_that_were_in_flight_together_count_once() {
        let cooldown = Cooldown::new(CooldownPolicy::default());
        for _ in 0..10 {
            cooldown.record_trouble(Trouble::RateLimited, None, NOW);
        }
        assert_eq!(cooldown.current(NOW).unwrap().0, NOW + secs(300));
    }

    #[test]
    fn a_good_answer_ends_the_doubling() {
        let cooldown = Cooldown::new(CooldownPolicy::default());
        let until = cooldown
            .record_trouble(Trouble::RateLimited, None, NOW)
            .unwrap();
        cooldown.record_answer(until);
        let again = cooldown.record_trouble(Trouble::RateLimited, None, until);
        assert_eq!(again, Some(until + secs(300)));
    }

    #[test]
    fn a_late_good_answer_does_not_end_a_pause() {
        let cooldown = Cooldown::new(CooldownPolicy::default());
        let until = cooldown
            .record_trouble(Trouble::RateLimited, None, NOW)
            .unwrap();
        cooldown.record_answer(NOW + secs(1));
        assert_eq!(cooldown.current(NOW + secs(2)).unwrap().0, until);
    }

    #[test]
    fn a_vendor_error_for_one_face_pauses_no_other() {
        let cooldown = Cooldown::new(CooldownPolicy::default());
        assert_eq!(
            cooldown.record_trouble(Trouble::VendorError, None, NOW),
            None
        );
        assert_eq!(cooldown.current(NOW), None);
    }
}
