//! The pause of a whole instance: after a rate limit, a refused credential or a session that is
//! down, the next face's call would fare no better, and might make it worse.

use std::{sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    avatar::{Outcome, Trouble},
    clock::Timestamp,
};

/// One instance's pause.
#[derive(Debug)]
pub struct Cooldown {
    policy: CooldownPolicy,
    /// Held for a few instructions, never across an await.
    state: Mutex<State>,
}

/// How long a pause lasts where the vendor does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct CooldownPolicy {
    /// After the first rate limit; doubles with each further one.
    pub rate_limited_first: Duration,
    /// The longest pause after a rate limit.
    pub rate_limited_longest: Duration,
    /// After a session that is not working: some gateways break down when polled in that state.
    pub session_down: Duration,
    /// After a refused credential.
    pub auth: Duration,
}

/// A pause that has to outlive the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedCooldown {
    until: Option<(Timestamp, Outcome)>,
    limited: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    until: Option<(Timestamp, Trouble)>,
    /// Rate limits in a row.
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

    /// The pause in force: until when, and why.
    pub fn current(&self, now: Timestamp) -> Option<(Timestamp, Trouble)> {
        self.lock().until.filter(|(until, _)| now < *until)
    }

    /// The vendor answered like one that is well. A pause in force goes on: the answer may be to
    /// a call that was made before it.
    pub fn record_answer(&self, now: Timestamp) {
        let mut state = self.lock();
        if state.until.is_none_or(|(until, _)| now >= until) {
            *state = State::default();
        }
    }

    /// The vendor answered with trouble. Returns when the instance may be asked again, if the
    /// trouble concerns all of it.
    pub fn record_trouble(
        &self,
        why: Trouble,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut state = self.lock();
        let wait = match why {
            Trouble::RateLimited => {
                // Calls that were under way together hear of one limit together.
                let is_new = state.until.is_none_or(|(until, _)| now >= until);
                state.limited = state.limited.saturating_add(u32::from(is_new));
                retry_after.unwrap_or_else(|| self.backoff(state.limited))
            }
            Trouble::SessionDown => retry_after.unwrap_or(self.policy.session_down),
            Trouble::Auth => self.policy.auth,
            Trouble::VendorError | Trouble::OverBudget => return None,
        };
        let until = now + wait;
        state.until = Some((until, why));
        Some(until)
    }

    pub(super) fn save(&self) -> SavedCooldown {
        let State { until, limited } = *self.lock();
        SavedCooldown {
            until: until.map(|(until, why)| (until, Outcome::Trouble(why))),
            limited,
        }
    }

    /// No pause of another time lasts longer than a day: clocks have been wrong before.
    pub(super) fn restore(&self, saved: SavedCooldown, now: Timestamp) {
        const LONGEST: Duration = Duration::from_secs(24 * 3600);
        let until = saved.until.and_then(|(until, why)| match why {
            Outcome::Trouble(why) => Some((until.min(now + LONGEST), why)),
            _ => None,
        });
        *self.lock() = State {
            until,
            limited: saved.limited,
        };
    }

    fn backoff(&self, times: u32) -> Duration {
        let factor = 2u32.saturating_pow(times.saturating_sub(1));
        self.policy
            .rate_limited_first
            .saturating_mul(factor)
            .min(self.policy.rate_limited_longest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
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
    fn a_rate_limit_pauses_until_the_vendor_s_own_time() {
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
    fn without_one_the_pause_doubles_up_to_its_longest() {
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
    fn answers_to_calls_that_were_under_way_together_count_once() {
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
    fn one_face_s_vendor_error_pauses_nobody_else() {
        let cooldown = Cooldown::new(CooldownPolicy::default());
        assert_eq!(
            cooldown.record_trouble(Trouble::VendorError, None, NOW),
            None
        );
        assert_eq!(cooldown.current(NOW), None);
    }
}
