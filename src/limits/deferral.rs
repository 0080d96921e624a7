//! Times before which an account's calls are not admitted, because the budget that it shares with other processes has
//! none. The own budget goes on beside it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Priority;
use crate::clock::Timestamp;

/// The times, one for each kind of limit: all calls, refreshes, background.
#[derive(Debug, Default)]
pub(super) struct Deferrals([AtomicU64; 3]);

impl Deferrals {
    /// Defers the calls that count against each limit. A time only moves forward.
    pub(super) fn defer(&self, until: [Timestamp; 3]) {
        for (time, until) in self.0.iter().zip(until) {
            time.fetch_max(until.as_millis(), Ordering::AcqRel);
        }
    }

    /// Ends all deferrals: the budget is another one.
    pub(super) fn end(&self) {
        for time in &self.0 {
            time.store(0, Ordering::Release);
        }
    }

    /// The time before which a call is not admitted, if it lies ahead.
    pub(super) fn until(
        &self,
        priority: Priority,
        with_refresh: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let counts = [true, with_refresh, priority == Priority::Background];
        let times = self.0.iter().zip(counts).filter(|(_, counts)| *counts);
        let latest = times.map(|(time, _)| time.load(Ordering::Acquire)).max()?;
        Some(Timestamp::from_millis(latest)).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deferral_holds_the_calls_that_count_against_its_limit_until_its_time() {
        let deferrals = Deferrals::default();
        let (now, later) = (Timestamp::from_secs(10), Timestamp::from_secs(20));
        deferrals.defer([now, later, now]);
        assert_eq!(deferrals.until(Priority::Refresh, true, now), Some(later));
        assert_eq!(deferrals.until(Priority::Interactive, false, now), None);
        assert_eq!(deferrals.until(Priority::Refresh, true, later), None);
        deferrals.defer([later, now, now]);
        assert_eq!(
            deferrals.until(Priority::Background, false, now),
            Some(later)
        );
    }
}
