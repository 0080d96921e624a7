//! Defers the calls of an account while the budget that it shares with other processes has no call left. This process's
//! own budget applies as well.

use std::{sync::Mutex, time::Duration};

use super::Priority;
use crate::{clock::Moment, sync::lock};

/// The times, one for each kind of limit: all calls, refreshes, background. They are of the monotonic clock, so that a
/// clock that is set does not stop an account for hours.
#[derive(Debug, Default)]
pub(super) struct Deferrals(Mutex<[Moment; 3]>);

impl Deferrals {
    /// Defers the calls that count against each limit. A time only moves forward.
    pub(super) fn defer(&self, now: Moment, waits: [Duration; 3]) {
        for (time, wait) in lock(&self.0).iter_mut().zip(waits) {
            *time = (*time).max(now + wait);
        }
    }

    /// Ends all deferrals: the budget is another one.
    pub(super) fn end(&self) {
        *lock(&self.0) = [Moment::default(); 3];
    }

    /// How long a call is not admitted; zero if it is.
    pub(super) fn left(&self, priority: Priority, with_refresh: bool, now: Moment) -> Duration {
        let counts = [true, with_refresh, priority == Priority::Background];
        let times = *lock(&self.0);
        let times = times.into_iter().zip(counts).filter(|(_, counts)| *counts);
        let left = times.map(|(time, _)| time.since(now)).max();
        left.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deferral_holds_the_calls_that_count_against_its_limit_until_its_time() {
        let deferrals = Deferrals::default();
        let (none, time) = (Duration::ZERO, Duration::from_secs(10));
        let now = Moment::default() + time;
        deferrals.defer(now, [none, time, none]);
        assert_eq!(deferrals.left(Priority::Refresh, true, now), time);
        assert_eq!(deferrals.left(Priority::Interactive, false, now), none);
        assert_eq!(deferrals.left(Priority::Refresh, true, now + time), none);
        deferrals.defer(now + time, [time, none, none]);
        assert_eq!(
            deferrals.left(Priority::Background, false, now + time),
            time
        );
        deferrals.end();
        assert_eq!(deferrals.left(Priority::Refresh, true, now), none);
    }
}
