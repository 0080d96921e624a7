//! One instance's budget of upstream calls: GCRA by `governor`, on our own clock, and a count for
//! the day.
//!
//! Every call costs one lookup. A call that makes the vendor bypass its cache costs a refresh
//! besides. Background work must leave half of the lookups to people who are waiting.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use governor::{
    RateLimiter,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};

use super::governor_clock::{GovernorClock, GovernorInstant, wait};
use crate::clock::{Clock, Timestamp};

/// How many calls, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Calls a minute, on average.
    pub per_minute: NonZeroU32,
    /// Calls at once after a rest.
    pub burst: NonZeroU32,
}

/// What a call is for, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for a face that is not there.
    Interactive,
    /// Somebody asked for a fresh look.
    Refresh,
    /// Revalidation and warm-up: nobody waits.
    Background,
}

/// No call now; when there may be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget {
    /// The earliest time at which the same request can succeed.
    pub retry_at: Timestamp,
}

/// One instance's budget.
#[derive(Debug)]
pub struct Budget {
    lookups: Limiter,
    refreshes: Limiter,
    background: Limiter,
    daily: Option<DailyCap>,
}

/// So many calls in a day. A day begins at midnight UTC, as vendors' quotas do; GCRA would let a
/// day have nearly twice its calls.
#[derive(Debug)]
struct DailyCap {
    cap: u32,
    /// The day, counted from the Unix epoch, and its calls so far.
    count: Mutex<(u64, u32)>,
    clock: Clock,
}

/// How much of a budget is used up: the day's calls, and each limiter's theoretical arrival time in
/// nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedBudget {
    lookups: u64,
    refreshes: u64,
    background: u64,
    /// The day and its calls.
    daily: (u64, u32),
}

/// One GCRA limiter whose grants can be returned.
#[derive(Debug)]
struct Limiter {
    gcra: RateLimiter<NotKeyed, ArrivalTime, GovernorClock, NoOpMiddleware<GovernorInstant>>,
    state: ArrivalTime,
    /// Nanoseconds that one call costs.
    cost: u64,
    /// The largest number of calls at once.
    burst: u64,
    /// Arrival times count from here.
    start: u64,
    clock: Clock,
}

/// GCRA's one number, the theoretical arrival time. `governor`'s own in-memory state keeps the
/// same number but does not let it be read or lowered.
#[derive(Clone, Debug, Default)]
struct ArrivalTime(Arc<AtomicU64>);

// === impl Budget ===

impl Budget {
    /// A full budget.
    pub fn new(lookups: Quota, refreshes: Quota, daily: Option<NonZeroU32>, clock: Clock) -> Self {
        Self {
            lookups: Limiter::new(lookups.to_governor(), clock.clone()),
            refreshes: Limiter::new(refreshes.to_governor(), clock.clone()),
            background: Limiter::new(lookups.half().to_governor(), clock.clone()),
            daily: daily.map(|cap| DailyCap {
                cap: cap.get(),
                count: Mutex::default(),
                clock,
            }),
        }
    }

    /// Takes one call from the budget, or nothing at all. `with_refresh` when the vendor is to
    /// bypass its cache.
    pub fn take(&self, priority: Priority, with_refresh: bool) -> Result<(), OverBudget> {
        let asked = [
            with_refresh.then_some(&self.refreshes),
            (priority == Priority::Background).then_some(&self.background),
            Some(&self.lookups),
        ];
        let refund =
            |granted: &[Option<&Limiter>]| granted.iter().flatten().for_each(|l| l.refund());
        for (index, limiter) in asked.into_iter().enumerate() {
            if let Some(Err(over_budget)) = limiter.map(Limiter::take) {
                refund(&asked[..index]);
                return Err(over_budget);
            }
        }
        match self.daily.as_ref().map(DailyCap::take) {
            Some(Err(over_budget)) => {
                refund(&asked);
                Err(over_budget)
            }
            _ => Ok(()),
        }
    }

    /// How many calls could be made at once now.
    pub(super) fn available(&self) -> u64 {
        self.lookups.available()
    }

    /// How many calls could be made at once after a rest.
    pub(super) fn burst(&self) -> u64 {
        self.lookups.burst
    }

    pub(super) fn save(&self) -> SavedBudget {
        SavedBudget {
            lookups: self.lookups.arrival(),
            refreshes: self.refreshes.arrival(),
            background: self.background.arrival(),
            daily: self.daily.as_ref().map_or((0, 0), |daily| *daily.count()),
        }
    }

    pub(super) fn restore(&self, saved: SavedBudget) {
        self.lookups.resume(saved.lookups);
        self.refreshes.resume(saved.refreshes);
        self.background.resume(saved.background);
        if let Some(daily) = &self.daily {
            *daily.count() = saved.daily;
        }
    }
}

// === impl Limiter ===

impl Limiter {
    fn new(quota: governor::Quota, clock: Clock) -> Self {
        let state = ArrivalTime::default();
        Self {
            gcra: RateLimiter::new(quota, state.clone(), GovernorClock(clock.clone())),
            state,
            cost: Nanos::from(quota.replenish_interval()).as_u64(),
            burst: u64::from(quota.burst_size().get()),
            start: GovernorInstant::at(clock.now()).0,
            clock,
        }
    }

    fn take(&self) -> Result<(), OverBudget> {
        self.gcra.check().map_err(|not_until| {
            let now = self.clock.now();
            OverBudget {
                retry_at: now + wait(&not_until, now),
            }
        })
    }

    /// How many calls would be granted now: the burst, less those whose cost has not passed yet.
    fn available(&self) -> u64 {
        let now = GovernorInstant::at(self.clock.now())
            .0
            .saturating_sub(self.start);
        let ahead = self.state.0.load(Ordering::Acquire).saturating_sub(now);
        self.burst.saturating_sub(ahead.div_ceil(self.cost))
    }

    /// The arrival time since the Unix epoch; 0 for a limiter that was never asked.
    fn arrival(&self) -> u64 {
        match self.state.0.load(Ordering::Acquire) {
            0 => 0,
            arrival => self.start.saturating_add(arrival),
        }
    }

    /// Goes on from an arrival time, but never further ahead than a used-up burst: clocks have
    /// been wrong before.
    fn resume(&self, arrival: u64) {
        let most = self.cost.saturating_mul(self.burst);
        let ahead = arrival.saturating_sub(self.start).min(most);
        self.state.0.store(ahead, Ordering::Release);
    }

    /// Returns what [`Limiter::take`] granted a moment ago: the arrival time can only be later
    /// than the cost of one call, for that call just moved it.
    fn refund(&self) {
        self.state.0.fetch_sub(self.cost, Ordering::AcqRel);
    }
}

// === impl DailyCap ===

impl DailyCap {
    fn take(&self) -> Result<(), OverBudget> {
        const DAY: u64 = 24 * 3600;
        let today = self.clock.now().as_secs() / DAY;
        let mut count = self.count();
        if count.0 != today {
            *count = (today, 0);
        }
        if count.1 >= self.cap {
            return Err(OverBudget {
                retry_at: Timestamp::from_secs((today + 1) * DAY),
            });
        }
        count.1 += 1;
        Ok(())
    }

    fn count(&self) -> MutexGuard<'_, (u64, u32)> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Quota ===

impl Quota {
    pub(super) fn to_governor(self) -> governor::Quota {
        governor::Quota::per_minute(self.per_minute).allow_burst(self.burst)
    }

    fn half(self) -> Self {
        let half =
            |number: NonZeroU32| NonZeroU32::new(number.get() / 2).unwrap_or(NonZeroU32::MIN);
        Self {
            per_minute: half(self.per_minute),
            burst: half(self.burst),
        }
    }
}

impl StateStore for ArrivalTime {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut before = self.0.load(Ordering::Acquire);
        loop {
            let (answer, after) = measure((before != 0).then(|| before.into()))?;
            match self.0.compare_exchange_weak(
                before,
                after.into(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(answer),
                Err(newer) => before = newer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn quota(per_minute: u32, burst: u32) -> Quota {
        Quota {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    fn budget(daily: Option<u32>) -> (Budget, Clock) {
        let clock = Clock::manual(Timestamp::from_secs(1_700_000_000));
        let daily = daily.and_then(NonZeroU32::new);
        let budget = Budget::new(quota(30, 10), quota(4, 2), daily, clock.clone());
        (budget, clock)
    }

    fn granted(budget: &Budget, priority: Priority, with_refresh: bool) -> usize {
        (0..100)
            .take_while(|_| budget.take(priority, with_refresh).is_ok())
            .count()
    }

    #[test]
    fn the_burst_is_granted_and_then_one_call_every_two_seconds() {
        let (budget, clock) = budget(None);
        assert_eq!(budget.available(), 10);
        assert_eq!(granted(&budget, Priority::Interactive, false), 10);
        assert_eq!(budget.available(), 0);
        clock.advance(Duration::from_secs(2));
        assert_eq!(budget.available(), 1);
        assert_eq!(granted(&budget, Priority::Interactive, false), 1);
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_keeps_its_word() {
        let (budget, clock) = budget(None);
        granted(&budget, Priority::Interactive, false);
        let over_budget = budget.take(Priority::Interactive, false).unwrap_err();
        let wait = over_budget.retry_at.since(clock.now());
        assert!(wait <= Duration::from_millis(2001), "{wait:?}");
        clock.advance(wait);
        assert_eq!(budget.take(Priority::Interactive, false), Ok(()));
    }

    #[test]
    fn refreshes_have_a_smaller_budget_inside_the_lookups() {
        let (budget, _) = budget(None);
        assert_eq!(granted(&budget, Priority::Refresh, true), 2);
        assert_eq!(granted(&budget, Priority::Interactive, false), 8);
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let (budget, clock) = budget(None);
        granted(&budget, Priority::Interactive, false);
        for _ in 0..50 {
            budget.take(Priority::Refresh, true).unwrap_err();
        }
        clock.advance(Duration::from_secs(4));
        assert_eq!(granted(&budget, Priority::Refresh, true), 2);
    }

    #[test]
    fn background_work_leaves_half_to_people_who_wait() {
        let (budget, _) = budget(None);
        assert_eq!(granted(&budget, Priority::Background, false), 5);
        assert_eq!(granted(&budget, Priority::Interactive, false), 5);
    }

    #[test]
    fn the_daily_cap_ends_the_day() {
        let (budget, clock) = budget(Some(12));
        assert_eq!(granted(&budget, Priority::Interactive, false), 10);
        clock.advance(Duration::from_secs(60));
        assert_eq!(granted(&budget, Priority::Interactive, false), 2);
        let over_budget = budget.take(Priority::Interactive, false).unwrap_err();
        assert_eq!(over_budget.retry_at.as_secs() % 86_400, 0);
        clock.advance(over_budget.retry_at.since(clock.now()));
        assert_eq!(granted(&budget, Priority::Interactive, false), 10);
    }
}
