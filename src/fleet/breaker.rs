//! The circuit breaker of the S3 store: after three failures in a row, nothing is sent for a second, so that a store that
//! hangs does not delay every request. `link.rs` has its own for Redis.

use std::time::Duration;

use tokio::time::Instant;

/// The circuit breaker of a store.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Failures in a row.
    failures: u32,
    /// Nothing is sent before this time.
    open_until: Option<Instant>,
    /// Whether the last command failed.
    is_down: bool,
}

/// Whether the store's state has changed, so that it is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    Changed,
}

/// Failures in a row after which nothing is sent for [`PAUSE`].
const FAILURES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

impl Breaker {
    /// Whether nothing is to be sent now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.open_until.is_some_and(|until| now < until)
    }

    /// Whether the last command failed.
    pub(super) fn is_down(&self) -> bool {
        self.is_down
    }

    /// Records an answer.
    pub(super) fn record_success(&mut self) -> News {
        let before = std::mem::take(self);
        news(before.is_down)
    }

    /// Records that there was none, or a refusal.
    pub(super) fn record_failure(&mut self, now: Instant) -> News {
        self.failures += 1;
        if self.failures >= FAILURES {
            self.open_until = Some(now + PAUSE);
        }
        news(!std::mem::replace(&mut self.is_down, true))
    }
}

fn news(has_changed: bool) -> News {
    match has_changed {
        true => News::Changed,
        false => News::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_open_it_for_a_second_and_an_answer_closes_it() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert_eq!(breaker.record_failure(now), News::Changed);
        assert_eq!(breaker.record_failure(now), News::None);
        assert!(!breaker.is_open(now) && breaker.is_down());
        breaker.record_failure(now);
        assert!(breaker.is_open(now) && !breaker.is_open(now + PAUSE));
        // One more failure opens it again at once.
        breaker.record_failure(now + PAUSE);
        assert!(breaker.is_open(now + PAUSE));
        assert_eq!(breaker.record_success(), News::Changed);
        assert_eq!(breaker.record_success(), News::None);
        assert!(!breaker.is_open(now) && !breaker.is_down());
        breaker.record_failure(now);
        assert!(!breaker.is_open(now));
    }
}
