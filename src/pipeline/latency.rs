//! Estimates how long a fetch from an account's vendor takes at the moment.

use std::{collections::VecDeque, time::Duration};

use crate::clock::Moment;

/// The durations of the latest fetches.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// With the moments of their ends, oldest first.
    samples: VecDeque<(Moment, Duration)>,
}

/// One fetch that hangs says little about the next one, so the estimate is a median.
const WINDOW: usize = 5;
const LEAST: usize = 3;
/// How long a duration says something about now.
const MEMORY: Duration = Duration::from_secs(300);

impl Latency {
    /// Records the duration of a fetch, or the part of it that has passed.
    pub(super) fn record(&mut self, now: Moment, duration: Duration) {
        if self.samples.len() == WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back((now, duration));
    }

    /// The duration to expect; zero if too little is known.
    pub(super) fn estimate(&self, now: Moment) -> Duration {
        let recent = self
            .samples
            .iter()
            .filter(|(at, _)| now.since(*at) < MEMORY);
        let mut recent: Vec<_> = recent.map(|(_, duration)| *duration).collect();
        if recent.len() < LEAST {
            return Duration::ZERO;
        }
        recent.sort_unstable();
        recent[recent.len() / 2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Moment {
        Moment::default() + Duration::from_secs(1_000)
    }

    fn latency(seconds: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        for seconds in seconds {
            latency.record(now(), Duration::from_secs(seconds));
        }
        latency
    }

    #[test]
    fn one_fetch_that_hangs_does_not_make_a_vendor_slow() {
        assert_eq!(latency([10, 10]).estimate(now()), Duration::ZERO);
        let estimate = latency([1, 1, 1, 10]).estimate(now());
        assert_eq!(estimate, Duration::from_secs(1));
    }

    #[test]
    fn the_estimate_follows_the_vendor_and_forgets_after_minutes() {
        let slow = latency([1, 1, 1, 1, 1, 10, 10, 10]);
        assert_eq!(slow.estimate(now()), Duration::from_secs(10));
        let fast = latency([10, 10, 10, 10, 10, 1, 1, 1]);
        assert_eq!(fast.estimate(now()), Duration::from_secs(1));
        assert_eq!(slow.estimate(now() + MEMORY), Duration::ZERO);
    }
}
