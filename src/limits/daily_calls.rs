//! The calls of a day, and the cap on them where there is one.

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use super::budget::OverBudget;
use crate::{
    clock::{Clock, Timestamp},
    sync::lock,
};

/// The calls of a day, which are counted without a cap, too. A day begins at midnight UTC, as vendors' quotas do. GCRA
/// would allow nearly twice the cap within one day.
#[derive(Debug)]
pub(super) struct DailyCalls {
    cap: Option<NonZeroU32>,
    count: Mutex<DayCount>,
    clock: Clock,
}

/// A day, counted from the Unix epoch, and its calls so far.
pub(super) type DayCount = (u64, u32);

/// Seconds.
const DAY: u64 = 24 * 3600;

impl DailyCalls {
    /// No calls yet.
    pub(super) fn new(cap: Option<NonZeroU32>, clock: Clock) -> Self {
        Self {
            cap,
            count: Mutex::default(),
            clock,
        }
    }

    /// The calls of today.
    pub(super) fn made(&self) -> u32 {
        let (day, calls) = *self.lock_count();
        if day < self.today() { 0 } else { calls }
    }

    /// The calls that the cap leaves today, if there is one.
    pub(super) fn left(&self) -> Option<u64> {
        let cap = self.cap?.get();
        Some(u64::from(cap.saturating_sub(self.made())))
    }

    /// Whether the cap, if there is one, leaves all of its calls.
    pub(super) fn is_full(&self) -> bool {
        self.cap.is_none() || self.made() == 0
    }

    pub(super) fn take(&self) -> Result<(), OverBudget> {
        let today = self.today();
        let mut count = self.lock_count();
        // A day that lies ahead was counted by a wrong clock. Its calls are kept for today: a clock that is
        // set back neither grants the cap twice nor refuses calls until that day.
        if count.0 != today {
            let calls = if count.0 > today { count.1 } else { 0 };
            *count = (today, calls);
        }
        if self.cap.is_some_and(|cap| count.1 >= cap.get()) {
            return Err(OverBudget {
                retry_at: Timestamp::from_secs((today + 1) * DAY),
            });
        }
        count.1 = count.1.saturating_add(1);
        Ok(())
    }

    pub(super) fn refund(&self) {
        let mut count = self.lock_count();
        if count.0 == self.today() {
            count.1 = count.1.saturating_sub(1);
        }
    }

    /// The time until the cap grants a call after `ahead` others.
    pub(super) fn wait(&self, ahead: u64) -> Duration {
        let Some(cap) = self.cap else {
            return Duration::ZERO;
        };
        let days = (u64::from(self.made()) + ahead) / u64::from(cap.get());
        match days {
            0 => Duration::ZERO,
            days => Timestamp::from_secs((self.today() + days) * DAY).since(self.clock.now()),
        }
    }

    pub(super) fn save(&self) -> DayCount {
        *self.lock_count()
    }

    pub(super) fn restore(&self, saved: DayCount) {
        *self.lock_count() = saved;
    }

    fn today(&self) -> u64 {
        self.clock.now().as_secs() / DAY
    }

    /// Held for a few instructions.
    fn lock_count(&self) -> MutexGuard<'_, DayCount> {
        lock(&self.count)
    }
}
