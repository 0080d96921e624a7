//! Our clock as `governor` wants it, so that a limiter's time is the injected one.

use std::{ops::Add, time::Duration};

use governor::{
    NotUntil,
    clock::{self, Reference},
    nanos::Nanos,
};

use crate::clock::{Clock, Timestamp};

/// A clock.
#[derive(Clone, Debug)]
pub(super) struct Ticks(pub(super) Clock);

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tick(pub(super) u64);

impl Tick {
    pub(super) fn at(time: Timestamp) -> Self {
        Tick(time.as_millis().saturating_mul(1_000_000))
    }
}

impl clock::Clock for Ticks {
    type Instant = Tick;

    fn now(&self) -> Tick {
        Tick::at(self.0.now())
    }
}

impl Add<Nanos> for Tick {
    type Output = Tick;

    fn add(self, later: Nanos) -> Tick {
        Tick(self.0.saturating_add(later.as_u64()))
    }
}

impl Reference for Tick {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, earlier: Nanos) -> Self {
        Tick(self.0.saturating_sub(earlier.as_u64()))
    }
}

/// How long after `now` a refused request can succeed, in whole milliseconds. Rounded up: the same
/// request a moment too early would be refused again.
pub(super) fn wait(not_until: &NotUntil<Tick>, now: Timestamp) -> Duration {
    let wait = not_until.wait_time_from(Tick::at(now)).as_nanos();
    Duration::from_millis(u64::try_from(wait.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}
