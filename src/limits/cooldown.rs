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
    clock::{Clock, Moment, Timestamp},
    sync::lock,
};

/// The cooldown of one instance.
#[derive(Debug)]
pub struct Cooldown {
    /// Held for a few instructions, never across an await.
    inner: Mutex<Inner>,
    clock: Clock,
}

#[derive(Debug)]
struct Inner {
    policy: CooldownPolicy,
    state: CooldownState,
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
    reported: Option<Timestamp>,
}

/// The state of a cooldown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CooldownState {
    until: Option<(Moment, Trouble)>,
    /// The number of rate limits in a row.
    limited: u32,
    /// When an answer to this process last asked for a pause.
    reported: Option<Timestamp>,
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
    pub fn new(policy: CooldownPolicy, clock: Clock) -> Self {
        let state = CooldownState::default();
        Self {
            inner: Mutex::new(Inner { policy, state }),
            clock,
        }
    }

    /// Goes by another policy from the next trouble on. A pause in force stays.
    pub(super) fn set_policy(&self, policy: CooldownPolicy) {
        self.inner().policy = policy;
    }

    /// The end of the pause in force, and its reason.
    pub fn current(&self) -> Option<(Timestamp, Trouble)> {
        let (until, why) = self.state().until?;
        let left = until.since(self.clock.moment());
        (!left.is_zero()).then(|| (self.clock.now() + left, why))
    }

    /// Whether a pause is over, and no answer since has been without trouble.
    pub fn is_recovering(&self) -> bool {
        let state = self.state();
        state.until.is_some() && !state.is_paused(self.clock.moment())
    }

    /// Records an answer without trouble. It ends the doubling, but no pause in force: the answer may
    /// belong to a call that was made before the pause.
    pub fn record_answer(&self) {
        let now = self.clock.moment();
        let mut inner = self.inner();
        if !inner.state.is_paused(now) {
            inner.state = CooldownState::default();
        }
    }

    /// Records an answer with trouble. Returns the end of the pause in force, or `None` for trouble that
    /// concerns a single face.
    ///
    /// `retry_after` is the pause that the vendor asks for. It is capped at `rate_limited_longest`: some vendors
    /// write a date where seconds belong, which would pause the account for decades.
    pub fn record_trouble(&self, why: Trouble, retry_after: Option<Duration>) -> Option<Timestamp> {
        let policy = self.inner().policy.clone();
        let retry_after = retry_after.map(|wait| wait.min(policy.rate_limited_longest));
        match why {
            Trouble::RateLimited => Some(self.record_rate_limit(retry_after)),
            Trouble::SessionDown => {
                Some(self.report(retry_after.unwrap_or(policy.session_down), why))
            }
            Trouble::Auth => Some(self.report(policy.auth, why)),
            Trouble::VendorError | Trouble::OverBudget => None,
        }
    }

    /// The longest pause that a vendor can ask for.
    pub fn longest(&self) -> Duration {
        self.inner().policy.rate_limited_longest
    }

    /// Records a rate limit. Returns the end of the pause.
    pub(super) fn record_rate_limit(&self, retry_after: Option<Duration>) -> Timestamp {
        let wait = {
            let now = self.clock.moment();
            let mut inner = self.inner();
            // Calls that are in flight together report the same limit, which counts once.
            if !inner.state.is_paused(now) {
                inner.state.limited = inner.state.limited.saturating_add(1);
            }
            retry_after.unwrap_or_else(|| inner.policy.backoff(inner.state.limited))
        };
        self.report(wait, Trouble::RateLimited)
    }

    /// Pauses because of an answer to this process.
    fn report(&self, wait: Duration, why: Trouble) -> Timestamp {
        self.inner().state.reported = Some(self.clock.now());
        self.pause(wait, why)
    }

    /// Pauses for `wait`, unless a pause in force lasts longer: no report ever moves the end of a pause
    /// backward. Returns the end of the pause in force.
    pub(super) fn pause(&self, wait: Duration, why: Trouble) -> Timestamp {
        let now = self.clock.moment();
        let mut inner = self.inner();
        let until = match inner.state.until {
            Some((until, _)) if until >= now + wait => until,
            _ => {
                inner.state.until = Some((now + wait, why));
                now + wait
            }
        };
        self.clock.now() + until.since(now)
    }

    /// Ends the pause and the doubling, unless an answer to this process has asked for a pause since `lifted_at`. Returns
    /// whether a pause was ended.
    pub(super) fn lift(&self, lifted_at: Timestamp) -> bool {
        let (now, time) = (self.clock.moment(), self.clock.now());
        let mut inner = self.inner();
        // A time in the future was noted by a wrong clock.
        let reported = inner.state.reported.filter(|reported| *reported <= time);
        if reported.is_some_and(|reported| reported > lifted_at) {
            return false;
        }
        let was_paused = inner.state.is_paused(now);
        inner.state = CooldownState::default();
        was_paused
    }

    pub(super) fn state(&self) -> CooldownState {
        self.inner().state
    }

    pub(super) fn save(&self) -> SavedCooldown {
        let until = self.current();
        SavedCooldown {
            until: until.map(|(until, why)| (until, Outcome::Trouble(why))),
            limited: self.state().limited,
            reported: self.state().reported,
        }
    }

    /// Continues a saved cooldown. A saved pause is capped at a day, because it may have been saved while
    /// the clock was wrong.
    pub(super) fn restore(&self, saved: SavedCooldown) {
        const LONGEST: Duration = Duration::from_secs(24 * 3600);
        let until = saved.until.and_then(|(until, why)| match why {
            Outcome::Trouble(why) => {
                let left = until.since(self.clock.now()).min(LONGEST);
                Some((self.clock.moment() + left, why))
            }
            _ => None,
        });
        self.inner().state = CooldownState {
            until,
            limited: saved.limited,
            reported: saved.reported,
        };
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl CooldownState {
    fn is_paused(&self, now: Moment) -> bool {
        self.until.is_some_and(|(until, _)| now < until)
    }
}

impl CooldownPolicy {
    /// The pause after so many rate limits in a row.
    fn backoff(&self, times: u32) -> Duration {
        let factor = 2u32.saturating_pow(times.saturating_sub(1));
        self.rate_limited_first
            .saturating_mul(factor)
            .min(self.rate_limited_longest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn cooldown() -> (Cooldown, Clock) {
        let clock = Clock::manual(START);
        (
            Cooldown::new(CooldownPolicy::default(), clock.clone()),
            clock,
        )
    }

    #[test]
    fn a_rate_limit_pauses_for_the_time_in_retry_after() {
        let (cooldown, clock) = cooldown();
        let until = cooldown.record_trouble(Trouble::RateLimited, Some(secs(7)));
        assert_eq!(until, Some(START + secs(7)));
        clock.advance(secs(6));
        assert_eq!(
            cooldown.current(),
            Some((START + secs(7), Trouble::RateLimited))
        );
        clock.advance(secs(1));
        assert_eq!(cooldown.current(), None);
    }

    #[test]
    fn rate_limits_without_retry_after_double_the_pause_up_to_its_maximum() {
        let (cooldown, clock) = cooldown();
        let mut waits = Vec::new();
        for _ in 0..9 {
            let until = cooldown.record_trouble(Trouble::RateLimited, None).unwrap();
            let wait = until.since(clock.now());
            waits.push(wait.as_secs() / 60);
            clock.advance(wait);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 360, 360]);
    }

    #[test]
    fn a_retry_after_that_is_a_date_in_seconds_pauses_for_the_longest_pause() {
        let (cooldown, _) = cooldown();
        for why in [Trouble::RateLimited, Trouble::SessionDown] {
            let until = cooldown.record_trouble(why, Some(secs(1_700_000_000)));
            assert_eq!(until, Some(START + secs(6 * 3600)));
        }
    }

    #[test]
    fn rate_limits_of_calls_that_were_in_flight_together_count_once() {
        let (cooldown, _) = cooldown();
        for _ in 0..10 {
            cooldown.record_trouble(Trouble::RateLimited, None);
        }
        assert_eq!(cooldown.current().unwrap().0, START + secs(300));
    }

    #[test]
    fn a_good_answer_ends_the_doubling() {
        let (cooldown, clock) = cooldown();
        cooldown.record_trouble(Trouble::RateLimited, None);
        clock.advance(secs(300));
        cooldown.record_answer();
        let again = cooldown.record_trouble(Trouble::RateLimited, None);
        assert_eq!(again, Some(clock.now() + secs(300)));
    }

    #[test]
    fn a_late_good_answer_does_not_end_a_pause() {
        let (cooldown, clock) = cooldown();
        let until = cooldown.record_trouble(Trouble::RateLimited, None).unwrap();
        clock.advance(secs(1));
        cooldown.record_answer();
        assert_eq!(cooldown.current().unwrap().0, until);
    }

    #[test]
    fn a_vendor_error_for_one_face_pauses_no_other() {
        let (cooldown, _) = cooldown();
        assert_eq!(cooldown.record_trouble(Trouble::VendorError, None), None);
        assert_eq!(cooldown.current(), None);
    }

    #[test]
    fn a_pause_that_is_lifted_ends_at_once_with_its_doubling() {
        let (cooldown, _) = cooldown();
        assert!(!cooldown.lift(START));
        cooldown.record_trouble(Trouble::RateLimited, None);
        assert!(cooldown.lift(START));
        assert_eq!(cooldown.current(), None);
        let again = cooldown.record_trouble(Trouble::RateLimited, None);
        assert_eq!(again, Some(START + secs(300)));
    }

    #[test]
    fn a_late_lift_ends_no_pause_that_the_vendor_has_asked_for_since() {
        let (cooldown, clock) = cooldown();
        clock.advance(secs(100));
        cooldown.record_trouble(Trouble::RateLimited, None);
        // The next process knows it, too.
        cooldown.restore(cooldown.save());
        assert!(!cooldown.lift(START + secs(99)));
        assert!(cooldown.current().is_some());
        assert!(cooldown.lift(START + secs(100)));
        // A sibling's pause may be heard of after its lift.
        cooldown.pause(secs(60), Trouble::RateLimited);
        assert!(cooldown.lift(START));
        // A clock that was ahead keeps no pause.
        cooldown.record_trouble(Trouble::RateLimited, None);
        clock.set(START);
        assert!(cooldown.lift(START));
    }

    #[test]
    fn a_clock_that_is_set_leaves_the_length_of_a_pause() {
        let (cooldown, clock) = cooldown();
        cooldown.record_trouble(Trouble::RateLimited, Some(secs(60)));
        for time in [START + secs(86_400), START - secs(86_400)] {
            clock.set(time);
            assert_eq!(cooldown.current().unwrap().0, time + secs(60));
        }
    }

    proptest! {
        #[test]
        fn no_report_moves_the_end_of_a_pause_backward(
            reports in prop::collection::vec((0..5_usize, prop::option::of(0..100_000_u64), 0..400_u64), 1..40),
        ) {
            let troubles = [
                Trouble::RateLimited,
                Trouble::SessionDown,
                Trouble::Auth,
                Trouble::VendorError,
                Trouble::OverBudget,
            ];
            let (cooldown, clock) = cooldown();
            let mut end = START;
            for (why, retry_after, later) in reports {
                cooldown.record_trouble(troubles[why], retry_after.map(secs));
                cooldown.record_answer();
                if let Some((until, _)) = cooldown.current() {
                    prop_assert!(until >= end);
                    prop_assert!(until.since(clock.now()) <= secs(6 * 3600));
                    end = until;
                }
                prop_assert!(cooldown.current().is_some() || end <= clock.now());
                clock.advance(secs(later));
            }
        }
    }
}
