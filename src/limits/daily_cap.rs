//! The cap on the calls of a day.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::budget::OverBudget;
use crate::{
    clock::{Clock, Timestamp},
    sync::lock,
};

/// A cap on the calls of a day. A day begins at midnight UTC, as vendors' quotas do. GCRA would allow
/// nearly twice the cap within one day.
#[derive(Debug)]
pub(super) struct DailyCap {
    cap: u32,
    /// The day, counted from the Unix epoch, and its calls so far. Held for a few instructions.
    count: Arc<Mutex<(u64, u32)>>,
    clock: Clock,
}

/// Seconds.
const DAY: u64 = 24 * 3600;

impl DailyCap {
    /// A cap of `cap` calls, of which `count` are made.
    pub(super) fn new(cap: u32, count: Arc<Mutex<(u64, u32)>>, clock: Clock) -> Self {
        Self { cap, count, clock }
    }

    /// Whether no call was made today.
    pub(super) fn is_unused(&self) -> bool {
        let count = *self.count();
        count.0 < self.today() || count.1 == 0
    }

    /// The calls that are left today.
    pub(super) fn left(&self) -> u64 {
        let count = *self.count();
        let calls = if count.0 < self.today() { 0 } else { count.1 };
        u64::from(self.cap.saturating_sub(calls))
    }

    pub(super) fn take(&self) -> Result<(), OverBudget> {
        let today = self.today();
        let mut count = self.count();
        // A day that lies ahead was counted by a wrong clock. Its calls are kept for today: a clock that is
        // set back neither grants the cap twice nor refuses calls until that day.
        if count.0 != today {
            let calls = if count.0 > today { count.1 } else { 0 };
            *count = (today, calls);
        }
        if count.1 >= self.cap {
            return Err(OverBudget {
                retry_at: Timestamp::from_secs((today + 1) * DAY),
            });
        }
        count.1 += 1;
        Ok(())
    }

    pub(super) fn refund(&self) {
        let mut count = self.count();
        if count.0 == self.today() {
            count.1 = count.1.saturating_sub(1);
        }
    }

    /// The time until a call is granted after `ahead` others.
    pub(super) fn wait(&self, ahead: u64) -> Duration {
        let today = self.today();
        let count = *self.count();
        let calls = if count.0 < today { 0 } else { count.1 };
        let days = (u64::from(calls) + ahead) / u64::from(self.cap);
        match days {
            0 => Duration::ZERO,
            days => Timestamp::from_secs((today + days) * DAY).since(self.clock.now()),
        }
    }

    fn today(&self) -> u64 {
        self.clock.now().as_secs() / DAY
    }

    fn count(&self) -> MutexGuard<'_, (u64, u32)> {
        lock(&self.count)
    }
}
