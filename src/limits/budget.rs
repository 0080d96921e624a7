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

use super::ticks::{Tick, Ticks, wait};
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
pub enum Lane {
    /// Somebody waits for a face that is not there.
    Interactive,
    /// Somebody asked for a fresh look.
    Refresh,
    /// Revalidation and warm-up: nobody waits.
    Background,
}

/// No call now; when there may be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The earliest time at which the same request can succeed.
    pub retry_at: Timestamp,
}

/// One instance's budget.
#[derive(Debug)]
pub struct Budget {
    lookups: Limiter,
    refreshes: Limiter,
    background: Limiter,
    daily: Option<Daily>,
}

/// So many calls in a day. A day begins at midnight UTC, as vendors' quotas do; GCRA would let a
/// day have nearly twice its calls.
#[derive(Debug)]
struct Daily {
    cap: u32,
    /// The day, counted from the Unix epoch, and its calls so far.
    count: Mutex<(u64, u32)>,
    clock: Clock,
}

/// How much of a budget is used up: the day's calls, and each limiter's theoretical arrival time in
/// nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    lookups: u64,
    refreshes: u64,
    background: u64,
    /// The day and its calls.
    daily: (u64, u32),
}

/// One GCRA limiter whose grants can be returned.
#[derive(Debug)]
struct Limiter {
    gcra: RateLimiter<NotKeyed, State, Ticks, NoOpMiddleware<Tick>>,
    state: State,
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
struct State(Arc<AtomicU64>);

// === impl Budget ===

impl Budget {
    /// A full budget.
    pub fn new(lookups: Quota, refreshes: Quota, daily: Option<NonZeroU32>, clock: Clock) -> Self {
        Self {
            lookups: Limiter::new(lookups.gcra(), clock.clone()),
            refreshes: Limiter::new(refreshes.gcra(), clock.clone()),
            background: Limiter::new(lookups.halved().gcra(), clock.clone()),
            daily: daily.map(|cap| Daily {
                cap: cap.get(),
                count: Mutex::default(),
                clock,
            }),
        }
    }

    /// Takes one call from the budget, or nothing at all. `with_refresh` when the vendor is to
    /// bypass its cache.
    pub fn take(&self, lane: Lane, with_refresh: bool) -> Result<(), Refused> {
        let asked = [
            with_refresh.then_some(&self.refreshes),
            (lane == Lane::Background).then_some(&self.background),
            Some(&self.lookups),
        ];
        let give_back =
            |granted: &[Option<&Limiter>]| granted.iter().flatten().for_each(|l| l.give_back());
        for (index, limiter) in asked.into_iter().enumerate() {
            if let Some(Err(refused)) = limiter.map(Limiter::take) {
                give_back(&asked[..index]);
                return Err(refused);
            }
        }
        match self.daily.as_ref().map(Daily::take) {
            Some(Err(refused)) => {
                give_back(&asked);
                Err(refused)
            }
            _ => Ok(()),
        }
    }

    /// How many calls could be made at once now.
    pub(super) fn left(&self) -> u64 {
        self.lookups.left()
    }

    /// How many calls could be made at once after a rest.
    pub(super) fn full(&self) -> u64 {
        self.lookups.burst
    }

    pub(super) fn memory(&self) -> Memory {
        Memory {
            lookups: self.lookups.arrival(),
            refreshes: self.refreshes.arrival(),
            background: self.background.arrival(),
            daily: self.daily.as_ref().map_or((0, 0), |daily| *daily.count()),
        }
    }

    pub(super) fn recall(&self, memory: Memory) {
        self.lookups.resume(memory.lookups);
        self.refreshes.resume(memory.refreshes);
        self.background.resume(memory.background);
        if let Some(daily) = &self.daily {
            *daily.count() = memory.daily;
        }
    }
}

// === impl Limiter ===

impl Limiter {
    fn new(quota: governor::Quota, clock: Clock) -> Self {
        let state = State::default();
        Self {
            gcra: RateLimiter::new(quota, state.clone(), Ticks(clock.clone())),
            state,
            cost: Nanos::from(quota.replenish_interval()).as_u64(),
            burst: u64::from(quota.burst_size().get()),
            start: Tick::at(clock.now()).0,
            clock,
        }
    }

    fn take(&self) -> Result<(), Refused> {
        self.gcra.check().map_err(|not_until| {
            let now = self.clock.now();
            Refused {
                retry_at: now + wait(&not_until, now),
            }
        })
    }

    /// How many calls would be granted now: the burst, less those whose cost has not passed yet.
    fn left(&self) -> u64 {
        let now = Tick::at(self.clock.now()).0.saturating_sub(self.start);
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
    fn give_back(&self) {
        self.state.0.fetch_sub(self.cost, Ordering::AcqRel);
    }
}

// === impl Daily ===

impl Daily {
    fn take(&self) -> Result<(), Refused> {
        const DAY: u64 = 24 * 3600;
        let today = self.clock.now().as_secs() / DAY;
        let mut count = self.count();
        if count.0 != today {
            *count = (today, 0);
        }
        if count.1 >= self.cap {
            return Err(Refused {
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
    pub(super) fn gcra(self) -> governor::Quota {
        governor::Quota::per_minute(self.per_minute).allow_burst(self.burst)
    }

    fn halved(self) -> Self {
        let half =
            |number: NonZeroU32| NonZeroU32::new(number.get() / 2).unwrap_or(NonZeroU32::MIN);
        Self {
            per_minute: half(self.per_minute),
            burst: half(self.burst),
        }
    }
}

impl StateStore for State {
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

    fn granted(budget: &Budget, lane: Lane, with_refresh: bool) -> usize {
        (0..100)
            .take_while(|_| budget.take(lane, with_refresh).is_ok())
            .count()
    }

    #[test]
    fn the_burst_is_granted_and_then_one_call_every_two_seconds() {
        let (budget, clock) = budget(None);
        assert_eq!(budget.left(), 10);
        assert_eq!(granted(&budget, Lane::Interactive, false), 10);
        assert_eq!(budget.left(), 0);
        clock.advance(Duration::from_secs(2));
        assert_eq!(budget.left(), 1);
        assert_eq!(granted(&budget, Lane::Interactive, false), 1);
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_keeps_its_word() {
        let (budget, clock) = budget(None);
        granted(&budget, Lane::Interactive, false);
        let refused = budget.take(Lane::Interactive, false).unwrap_err();
        let wait = refused.retry_at.since(clock.now());
        assert!(wait <= Duration::from_millis(2001), "{wait:?}");
        clock.advance(wait);
        assert_eq!(budget.take(Lane::Interactive, false), Ok(()));
    }

    #[test]
    fn refreshes_have_a_smaller_budget_inside_the_lookups() {
        let (budget, _) = budget(None);
        assert_eq!(granted(&budget, Lane::Refresh, true), 2);
        assert_eq!(granted(&budget, Lane::Interactive, false), 8);
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let (budget, clock) = budget(None);
        granted(&budget, Lane::Interactive, false);
        for _ in 0..50 {
            budget.take(Lane::Refresh, true).unwrap_err();
        }
        clock.advance(Duration::from_secs(4));
        assert_eq!(granted(&budget, Lane::Refresh, true), 2);
    }

    #[test]
    fn background_work_leaves_half_to_people_who_wait() {
        let (budget, _) = budget(None);
        assert_eq!(granted(&budget, Lane::Background, false), 5);
        assert_eq!(granted(&budget, Lane::Interactive, false), 5);
    }

    #[test]
    fn the_daily_cap_ends_the_day() {
        let (budget, clock) = budget(Some(12));
        assert_eq!(granted(&budget, Lane::Interactive, false), 10);
        clock.advance(Duration::from_secs(60));
        assert_eq!(granted(&budget, Lane::Interactive, false), 2);
        let refused = budget.take(Lane::Interactive, false).unwrap_err();
        assert_eq!(refused.retry_at.as_secs() % 86_400, 0);
        clock.advance(refused.retry_at.since(clock.now()));
        assert_eq!(granted(&budget, Lane::Interactive, false), 10);
    }
}
