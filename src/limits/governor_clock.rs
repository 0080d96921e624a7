//! Adapts [`Clock`] to the clock trait of `governor`, so that its limiters run on the injected time.
//!
//! They run on the monotonic clock: a time of day that is set back must not refuse calls until it has
//! caught up.

use std::{ops::Add, time::Duration};

use governor::{
    NotUntil,
    clock::{self, Reference},
    nanos::Nanos,
};

use crate::clock::{Clock, Moment};

/// The clock that `governor` reads.
#[derive(Clone, Debug)]
pub(super) struct GovernorClock(pub(super) Clock);

/// A point on the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GovernorInstant(pub(super) u64);

impl GovernorInstant {
    pub(super) fn at(moment: Moment) -> Self {
        GovernorInstant(moment.as_millis().saturating_mul(1_000_000))
    }
}

impl clock::Clock for GovernorClock {
    type Instant = GovernorInstant;

    fn now(&self) -> GovernorInstant {
        GovernorInstant::at(self.0.moment())
    }
}

impl Add<Nanos> for GovernorInstant {
    type Output = GovernorInstant;

    fn add(self, later: Nanos) -> GovernorInstant {
        GovernorInstant(self.0.saturating_add(later.as_u64()))
    }
}

impl Reference for GovernorInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, earlier: Nanos) -> Self {
        GovernorInstant(self.0.saturating_sub(earlier.as_u64()))
    }
}

/// The time from `now` until `governor` grants a refused call, in whole milliseconds. It is rounded up,
/// because a call that comes a fraction of a millisecond too early is refused again.
pub(super) fn wait_time(not_until: &NotUntil<GovernorInstant>, now: Moment) -> Duration {
    let wait = not_until
        .wait_time_from(GovernorInstant::at(now))
        .as_nanos();
    Duration::from_millis(u64::try_from(wait.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}
