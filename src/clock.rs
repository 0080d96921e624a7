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

/// A point on the monotonic clock of this process, in milliseconds. Setting the time of day does not move
/// it, so distances in time are measured with it. It means nothing to another process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// A clock: the system's, or a manual one for tests.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(watch::Sender<Reading>),
}

/// Both times of a manual clock.
#[derive(Clone, Copy)]
struct Reading {
    wall: Timestamp,
    moment: Moment,
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

    /// Whether `interval` has passed since `earlier`. A time in the future was noted by a wrong clock, and counts as long ago.
    pub fn is_after(self, earlier: Timestamp, interval: Duration) -> bool {
        earlier > self || self.since(earlier) >= interval
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

// === impl Moment ===

impl Moment {
    /// Milliseconds since an arbitrary point that is the same for the whole process.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since `earlier`, or zero if that is later.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, later: Duration) -> Moment {
        Moment(self.0.saturating_add(millis(later)))
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
        Self(Source::Manual(watch::Sender::new(Reading {
            wall: start,
            moment: Moment::default(),
        })))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            // The time of the kernel's last tick, at most 4 ms ago, which also dates files.
            Source::System => Timestamp(millis(coarse_time(ClockId::RealtimeCoarse))),
            Source::Manual(reading) => reading.borrow().wall,
        }
    }

    /// The current point on the monotonic clock.
    pub fn moment(&self) -> Moment {
        match &self.0 {
            Source::System => Moment(millis(coarse_time(ClockId::MonotonicCoarse))),
            Source::Manual(reading) => reading.borrow().moment,
        }
    }

    /// Moves a manual clock forward. Does nothing to the system's clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(reading) = &self.0 {
            reading.send_modify(|reading| {
                reading.wall = reading.wall + by;
                reading.moment = reading.moment + by;
            });
        }
    }

    /// Sets the time of day of a manual clock, as an operator or NTP does. The monotonic clock does not
    /// move. The system's clock cannot be set.
    pub fn set(&self, wall: Timestamp) {
        if let Source::Manual(reading) = &self.0 {
            reading.send_modify(|reading| reading.wall = wall);
        }
    }

    /// Waits by the monotonic clock, so that a time of day that is set neither shortens nor prolongs the wait.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System => time::sleep(duration).await,
            Source::Manual(time) => {
                let end = self.moment() + duration;
                // This cannot fail, because `self` holds the sender.
                let _ = time.subscribe().wait_for(|now| now.moment >= end).await;
            }
        }
    }

    /// Waits until `at`, a time of day; not at all if that has passed.
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
                let _ = time.subscribe().wait_for(|now| now.wall >= at).await;
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

/// The time of a clock as of the kernel's last tick.
fn coarse_time(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    let secs = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(secs, nanos)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_a_wrong_clock_noted_in_the_future_counts_as_long_ago() {
        let [early, late] = [1_000, 2_000].map(Timestamp::from_secs);
        let hour = Duration::from_secs(3600);
        assert!(!late.is_after(early, hour));
        assert!(late.is_after(early, Duration::from_secs(1_000)));
        assert!(early.is_after(late, hour));
    }

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

    #[tokio::test]
    async fn a_sleep_lasts_as_long_whatever_the_time_of_day_is_set_to() {
        let clock = Clock::manual(Timestamp::from_secs(100_000));
        let mut sleep = std::pin::pin!(clock.sleep(Duration::from_secs(60)));
        clock.set(Timestamp::from_secs(200_000));
        let ended = time::timeout(Duration::ZERO, &mut sleep).await;
        assert!(ended.is_err());
        clock.set(Timestamp::from_secs(1_000));
        clock.advance(Duration::from_secs(60));
        sleep.await;
    }

    #[test]
    fn setting_the_time_of_day_leaves_the_monotonic_clock_alone() {
        let clock = Clock::manual(Timestamp::from_secs(7_200));
        let before = clock.moment();
        clock.set(Timestamp::from_secs(3_600));
        assert_eq!(clock.moment(), before);
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.moment().since(before), Duration::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_secs(3_605));
    }

    #[test]
    fn the_time_since_a_future_point_is_zero() {
        let earlier = Timestamp::from_secs(1);
        assert_eq!(earlier.since(Timestamp::from_secs(2)), Duration::ZERO);
    }
}
