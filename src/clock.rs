//! The time of day, as an argument wherever it matters, so that a test can let 24 hours pass at once.

use std::{
    fmt,
    ops::{Add, Sub},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time};

/// A point in time: milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// A clock: the system's, or a manual one for tests.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(watch::Sender<Timestamp>),
}

/// How long a sleep lasts before it reads the system's clock again.
const SLEEP_STEP: Duration = Duration::from_secs(30);

// === impl Timestamp ===

impl Timestamp {
    /// The point `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The point `secs` seconds after the Unix epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The time since `earlier`; zero if that is in the future, because clocks step back.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The same point as a `SystemTime`.
    pub fn as_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, later: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(millis(later)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, earlier: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(millis(earlier)))
    }
}

// === impl Clock ===

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it; clones move together.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(watch::Sender::new(start)))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            // The time of the kernel's last tick, at most 4 ms ago, which also dates files. FIGURE
            Source::System => {
                let now = clock_gettime(ClockId::RealtimeCoarse);
                let secs = u64::try_from(now.tv_sec).unwrap_or_default();
                Timestamp::from_secs(secs) + Duration::from_nanos(now.tv_nsec.unsigned_abs())
            }
            Source::Manual(at) => *at.borrow(),
        }
    }

    /// Moves a manual clock forward. Does nothing to the system's clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(at) = &self.0 {
            at.send_modify(|at| *at = *at + by);
        }
    }

    /// Waits until `at`; not at all if that has passed.
    pub async fn sleep_until(&self, at: Timestamp) {
        match &self.0 {
            Source::System => loop {
                let left = at.since(self.now());
                if left.is_zero() {
                    return;
                }
                // In steps, because the machine may be suspended, or its clock may be set.
                time::sleep(left.min(SLEEP_STEP)).await;
            },
            Source::Manual(time) => {
                // This cannot fail, because `self` holds the sender.
                let _ = time.subscribe().wait_for(|now| *now >= at).await;
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Source::System => "system",
            Source::Manual(_) => "manual",
        };
        write!(f, "Clock({kind} at {} ms)", self.now().0)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_advance_and_with_its_clones() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        let other = clock.clone();
        clock.advance(Duration::from_secs(86_400));
        assert_eq!(other.now(), Timestamp::from_secs(87_400));
    }

    #[tokio::test]
    async fn a_sleep_on_a_manual_clock_ends_at_its_time() {
        let clock = Clock::manual(Timestamp::from_secs(1_000));
        clock.sleep_until(Timestamp::from_secs(1_000)).await;
        let sleeper = clock.clone();
        let sleeping = tokio::spawn(async move {
            sleeper.sleep_until(Timestamp::from_secs(1_060)).await;
            sleeper.now()
        });
        for _ in 0..6 {
            clock.advance(Duration::from_secs(10));
        }
        assert_eq!(sleeping.await.unwrap(), Timestamp::from_secs(1_060));
    }

    #[test]
    fn the_time_since_a_future_point_is_zero() {
        let earlier = Timestamp::from_secs(1);
        assert_eq!(earlier.since(Timestamp::from_secs(2)), Duration::ZERO);
    }
}
