//! The call budget of one instance: GCRA rate limiters and the calls of the day, which may have a cap.
//!
//! `governor` makes the GCRA decision: whether a call conforms, and when the next one will. Around it,
//! this file keeps GCRA's state in an `AtomicU64`, so that the state can be saved and a granted call
//! refunded, hands in the clock of the process, reserves calls by priority, counts the calls of the day and adds
//! their cap.
//!
//! Each call costs one lookup. A call that makes the vendor bypass its cache costs a refresh as well.
//! Background work may use half of the lookups; the rest is reserved for requests that wait for a face.

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

use governor::{
    RateLimiter,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};

use super::{
    daily_calls::{DailyCalls, DayCount},
    governor_clock::{GovernorClock, GovernorInstant, wait_time},
};
use crate::clock::{Clock, Timestamp};

/// An average rate and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Calls a minute, on average.
    pub per_minute: NonZeroU32,
    /// The largest number of calls at once, after an idle time.
    pub burst: NonZeroU32,
}

/// The urgency of a call, highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// A request waits for a face that is not in the cache.
    Interactive,
    /// A request asked the vendor to bypass its cache.
    Refresh,
    /// Revalidation and warm-up: no request waits.
    Background,
}

impl Priority {
    /// The name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Interactive => "interactive",
            Priority::Refresh => "refresh",
            Priority::Background => "background",
        }
    }
}

/// Calls that are to be made before another one, by the limits that they count against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallsAhead {
    /// Calls of any kind.
    pub calls: u64,
    /// Those that make the vendor bypass its cache.
    pub refreshes: u64,
    /// Those with the background priority.
    pub background: u64,
}

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget {
    /// The earliest time at which the same call can succeed.
    pub retry_at: Timestamp,
}

/// The call budget of one instance.
#[derive(Debug)]
pub struct Budget {
    lookups: Limiter,
    refreshes: Limiter,
    background: Limiter,
    daily: DailyCalls,
    clock: Clock,
}

/// The size of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Calls of any kind.
    pub lookups: Quota,
    /// Calls that make the vendor bypass its cache.
    pub refreshes: Quota,
    /// The most calls a day.
    pub daily: Option<NonZeroU32>,
}

impl fmt::Display for BudgetLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lookups,
            refreshes,
            daily,
        } = self;
        write!(f, "lookups {lookups}, refreshes {refreshes}")?;
        match daily {
            Some(daily) => write!(f, ", daily {daily}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a minute and {} at once", self.per_minute, self.burst)
    }
}

/// The used part of a budget: the theoretical arrival time of each limiter, in nanoseconds since the
/// Unix epoch, and the calls of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedBudget {
    lookups: u64,
    refreshes: u64,
    background: u64,
    daily: DayCount,
}

/// A GCRA limiter that can refund a granted call.
#[derive(Debug)]
struct Limiter {
    gcra: RateLimiter<NotKeyed, ArrivalTime, GovernorClock, NoOpMiddleware<GovernorInstant>>,
    arrival: ArrivalTime,
    /// The cost of a call, in nanoseconds: the time after which `governor` grants another one.
    cost: u64,
    /// The largest number of calls at once.
    burst: u64,
    /// The zero of `arrival`, on the monotonic clock: `governor` measures from the time at which the limiter
    /// was made.
    start: GovernorInstant,
    clock: Clock,
}

/// The state of GCRA, which is one number: the theoretical arrival time, in nanoseconds since the start
/// of the limiter. 0 means that no call was made. `governor`'s own state keeps the same number, but has
/// no way to read it or to lower it.
#[derive(Clone, Debug, Default)]
struct ArrivalTime(Arc<AtomicU64>);

// === impl CallsAhead ===

impl CallsAhead {
    /// Adds calls of one kind.
    pub fn add(&mut self, priority: Priority, with_refresh: bool, count: u64) {
        self.calls += count;
        if with_refresh {
            self.refreshes += count;
        }
        if priority == Priority::Background {
            self.background += count;
        }
    }
}

// === impl Budget ===

impl Budget {
    /// A full budget.
    pub fn new(limits: BudgetLimits, clock: Clock) -> Self {
        let limiter = |quota: Quota| Limiter::new(quota.to_governor(), clock.clone());
        Self {
            lookups: limiter(limits.lookups),
            refreshes: limiter(limits.refreshes),
            background: limiter(limits.lookups.half()),
            daily: DailyCalls::new(limits.daily, clock.clone()),
            clock,
        }
    }

    /// The same budget with other limits: what is used up stays used up.
    pub(super) fn resize(&self, limits: BudgetLimits) -> Self {
        let resized = Self::new(limits, self.clock.clone());
        resized.restore(self.save());
        resized
    }

    /// Takes one call from the budget. An error takes nothing. `with_refresh` is for a call that makes
    /// the vendor bypass its cache.
    pub fn take(&self, priority: Priority, with_refresh: bool) -> Result<(), OverBudget> {
        let limiters = [
            with_refresh.then_some(&self.refreshes),
            (priority == Priority::Background).then_some(&self.background),
            Some(&self.lookups),
        ];
        let refund =
            |granted: &[Option<&Limiter>]| granted.iter().flatten().for_each(|l| l.refund());
        for (index, limiter) in limiters.into_iter().enumerate() {
            if let Some(Err(over_budget)) = limiter.map(Limiter::take) {
                refund(&limiters[..index]);
                return Err(over_budget);
            }
        }
        self.daily.take().inspect_err(|_| refund(&limiters))
    }

    /// Gives back a call that [`Budget::take`] granted, and that was not made.
    pub(super) fn refund(&self, priority: Priority, with_refresh: bool) {
        if with_refresh {
            self.refreshes.refund();
        }
        if priority == Priority::Background {
            self.background.refund();
        }
        self.lookups.refund();
        self.daily.refund();
    }

    /// The time until a call can be granted, if the calls in `ahead` are made as early as possible.
    pub(super) fn wait(
        &self,
        priority: Priority,
        with_refresh: bool,
        ahead: CallsAhead,
    ) -> Duration {
        let waits = [
            Some(self.lookups.wait(ahead.calls)),
            with_refresh.then(|| self.refreshes.wait(ahead.refreshes)),
            (priority == Priority::Background).then(|| self.background.wait(ahead.background)),
            Some(self.daily.wait(ahead.calls)),
        ];
        waits.into_iter().flatten().max().unwrap_or_default()
    }

    /// The number of calls that would be granted at once now.
    pub(super) fn available(&self) -> u64 {
        self.lookups.available()
    }

    /// The number of calls of today, which begins at midnight UTC.
    pub(super) fn calls_today(&self) -> u32 {
        self.daily.made()
    }

    /// The number of calls that the daily cap leaves, if there is one.
    pub(super) fn daily_left(&self) -> Option<u64> {
        self.daily.left()
    }

    /// Whether a call that makes the vendor bypass its cache is left.
    pub(super) fn has_refresh(&self) -> bool {
        self.refreshes.available() > 0
    }

    /// Whether no part of the budget is used.
    pub(super) fn is_full(&self) -> bool {
        let limiters = [&self.lookups, &self.refreshes, &self.background];
        limiters
            .iter()
            .all(|limiter| limiter.available() == limiter.burst)
            && self.daily.is_full()
    }

    /// The number of calls that are granted at once after an idle time.
    pub(super) fn burst(&self) -> u64 {
        self.lookups.burst
    }

    pub(super) fn save(&self) -> SavedBudget {
        SavedBudget {
            lookups: self.lookups.arrival_since_epoch(),
            refreshes: self.refreshes.arrival_since_epoch(),
            background: self.background.arrival_since_epoch(),
            daily: self.daily.save(),
        }
    }

    pub(super) fn restore(&self, saved: SavedBudget) {
        self.lookups.set_arrival(saved.lookups);
        self.refreshes.set_arrival(saved.refreshes);
        self.background.set_arrival(saved.background);
        self.daily.restore(saved.daily);
    }
}

// === impl Limiter ===

impl Limiter {
    fn new(quota: governor::Quota, clock: Clock) -> Self {
        let arrival = ArrivalTime::default();
        Self {
            gcra: RateLimiter::new(quota, arrival.clone(), GovernorClock(clock.clone())),
            arrival,
            cost: Nanos::from(quota.replenish_interval()).as_u64(),
            burst: u64::from(quota.burst_size().get()),
            start: GovernorInstant::at(clock.moment()),
            clock,
        }
    }

    fn take(&self) -> Result<(), OverBudget> {
        self.gcra.check().map_err(|not_until| OverBudget {
            retry_at: self.clock.now() + wait_time(&not_until, self.clock.moment()),
        })
    }

    /// The number of calls that would be granted now: the burst, less the calls whose cost has not
    /// passed yet.
    fn available(&self) -> u64 {
        self.burst.saturating_sub(self.ahead().div_ceil(self.cost))
    }

    /// How far the arrival time lies ahead of now, in nanoseconds: the cost that has not passed yet.
    fn ahead(&self) -> u64 {
        self.arrival
            .0
            .load(Ordering::Acquire)
            .saturating_sub(self.now())
    }

    /// Nanoseconds since the start of the limiter.
    fn now(&self) -> u64 {
        GovernorInstant::at(self.clock.moment())
            .0
            .saturating_sub(self.start.0)
    }

    /// The arrival time as another process understands it, in nanoseconds since the Unix epoch, or 0 if
    /// the whole burst is there.
    fn arrival_since_epoch(&self) -> u64 {
        match self.ahead() {
            0 => 0,
            ahead => wall_nanos(&self.clock).saturating_add(ahead),
        }
    }

    /// Continues from a saved arrival time. It is capped at the cost of a whole burst, because the time of
    /// day may have been wrong when it was saved, or may be wrong now.
    fn set_arrival(&self, arrival: u64) {
        let most = self.cost.saturating_mul(self.burst);
        let ahead = arrival.saturating_sub(wall_nanos(&self.clock)).min(most);
        let arrival = match ahead {
            0 => 0,
            ahead => self.now().saturating_add(ahead),
        };
        self.arrival.0.store(arrival, Ordering::Release);
    }

    /// The time until a call is granted after `ahead` others, in whole milliseconds, rounded up.
    fn wait(&self, ahead: u64) -> Duration {
        let arrival = self.ahead().saturating_add(ahead.saturating_mul(self.cost));
        let tolerance = (self.burst - 1).saturating_mul(self.cost);
        let wait = arrival.saturating_sub(tolerance);
        Duration::from_millis(wait.div_ceil(1_000_000))
    }

    /// Refunds a call that [`Limiter::take`] granted, which moved the arrival time forward by at least its
    /// cost. A reload may have set it back since.
    fn refund(&self) {
        let arrival = &self.arrival.0;
        let refunded = |arrival: u64| Some(arrival.saturating_sub(self.cost));
        let _ = arrival.fetch_update(Ordering::AcqRel, Ordering::Acquire, refunded);
    }
}

/// The time of day in nanoseconds since the Unix epoch.
fn wall_nanos(clock: &Clock) -> u64 {
    clock.now().as_millis().saturating_mul(1_000_000)
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
        let limits = BudgetLimits {
            lookups: quota(30, 10),
            refreshes: quota(4, 2),
            daily,
        };
        let budget = Budget::new(limits, clock.clone());
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
    fn a_clock_that_was_ahead_or_is_set_back_refuses_no_call() {
        let start = Timestamp::from_secs(1_700_000_000);
        for hours in [1, 7, 48] {
            let (budget, clock) = budget(None);
            clock.set(start + Duration::from_secs(hours * 3600));
            assert_eq!(granted(&budget, Priority::Interactive, false), 10);
            clock.set(start);
            clock.advance(Duration::from_secs(2));
            assert_eq!(granted(&budget, Priority::Interactive, false), 1);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_by_a_day_neither_doubles_nor_blocks_the_daily_cap() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let (budget, clock) = budget(Some(12));
        let start = clock.now();
        clock.set(start + DAY);
        assert_eq!(granted(&budget, Priority::Interactive, false), 10);
        clock.set(start);
        clock.advance(Duration::from_secs(20));
        assert_eq!(granted(&budget, Priority::Interactive, false), 2);
        clock.advance(DAY);
        assert_eq!(granted(&budget, Priority::Interactive, false), 10);
    }

    #[test]
    fn the_calls_of_a_day_are_counted_without_a_cap_and_a_cap_that_is_set_later_knows_them() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let (budget, clock) = budget(None);
        assert_eq!(granted(&budget, Priority::Interactive, false), 10);
        // A call that is refused, and one that is not made, are none.
        budget.take(Priority::Interactive, false).unwrap_err();
        budget.refund(Priority::Interactive, false);
        assert_eq!((budget.calls_today(), budget.daily_left()), (9, None));
        let capped = budget.resize(BudgetLimits {
            lookups: quota(30, 10),
            refreshes: quota(4, 2),
            daily: NonZeroU32::new(12),
        });
        assert_eq!((capped.calls_today(), capped.daily_left()), (9, Some(3)));
        clock.advance(DAY);
        assert_eq!((capped.calls_today(), capped.daily_left()), (0, Some(12)));
        assert_eq!(budget.calls_today(), 0);
        assert!(budget.is_full() && capped.is_full());
    }

    #[test]
    fn a_budget_that_is_resized_keeps_what_is_used_up() {
        let (budget, clock) = budget(None);
        assert_eq!(granted(&budget, Priority::Interactive, false), 10);
        let larger = budget.resize(BudgetLimits {
            lookups: quota(30, 20),
            refreshes: quota(4, 2),
            daily: None,
        });
        assert_eq!(larger.available(), 10);
        clock.advance(Duration::from_secs(20));
        assert_eq!(larger.available(), 20);
    }

    #[test]
    fn a_call_succeeds_at_the_time_that_its_refusal_named() {
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
    fn a_refused_call_costs_nothing() {
        let (budget, clock) = budget(None);
        granted(&budget, Priority::Interactive, false);
        for _ in 0..50 {
            budget.take(Priority::Refresh, true).unwrap_err();
        }
        clock.advance(Duration::from_secs(4));
        assert_eq!(granted(&budget, Priority::Refresh, true), 2);
    }

    #[test]
    fn background_work_leaves_half_of_the_lookups_to_requests() {
        let (budget, _) = budget(None);
        assert_eq!(granted(&budget, Priority::Background, false), 5);
        assert_eq!(granted(&budget, Priority::Interactive, false), 5);
    }

    #[test]
    fn calls_over_the_daily_cap_wait_until_midnight_utc() {
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
