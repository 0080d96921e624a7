//! How an account's budget is divided: most of it lies in one bucket in Redis, and each replica has a share of the rest,
//! which it uses only while Redis does not answer. The sum of all buckets is never more than the budget, so nothing has
//! to be agreed on when a replica is cut off.

use std::num::NonZeroU32;

use serde::Serialize;

use crate::{
    clock::{Moment, Timestamp},
    limits::{BudgetLimits, Quota},
};

/// A rate and a burst, in calls and milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Share {
    per_ms: f64,
    burst: f64,
}

/// The part of a budget that lies in Redis, as the scripts read it: all calls, refreshes, background.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct SharedLimits {
    per_ms: [f64; 3],
    burst: [f64; 3],
    /// 0 for no limit.
    daily: u32,
}

/// The calls that one replica may make while Redis does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reserve {
    calls: Bucket,
    refreshes: Bucket,
    /// The most calls of a day, if the account has such a limit.
    daily: Option<u32>,
    /// A day of the server's clock and its calls from the reserve.
    today: (u64, u32),
}

/// A token bucket, which starts empty: a process that starts again and again gets no burst of it each time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bucket {
    share: Share,
    stock: f64,
    at: Moment,
}

const DAY: u64 = 24 * 3600 * 1000;

/// Divides a budget. Where the replicas' whole calls would leave Redis less than half of a burst, there is no reserve.
pub(super) fn divide(
    limits: &BudgetLimits,
    percent: u32,
    replicas: u32,
    now: Moment,
) -> (SharedLimits, Reserve) {
    let (calls, own_calls) = divide_quota(limits.lookups, percent, replicas);
    let (refreshes, own_refreshes) = divide_quota(limits.refreshes, percent, replicas);
    let daily = limits.daily.map_or(0, NonZeroU32::get);
    let own_daily = u64::from(daily) * u64::from(percent) / 100 / u64::from(replicas);
    let own_daily = u32::try_from(own_daily).unwrap_or(u32::MAX);
    let shared = SharedLimits {
        per_ms: [calls.per_ms, refreshes.per_ms, calls.per_ms / 2.0],
        burst: [
            calls.burst,
            refreshes.burst,
            (calls.burst / 2.0).floor().max(1.0),
        ],
        daily: daily - own_daily * replicas,
    };
    let reserve = Reserve {
        calls: Bucket::empty(own_calls, now),
        refreshes: Bucket::empty(own_refreshes, now),
        daily: (daily > 0).then_some(own_daily),
        today: (0, 0),
    };
    (shared, reserve)
}

fn divide_quota(quota: Quota, percent: u32, replicas: u32) -> (Share, Share) {
    let part = f64::from(percent) / 100.0;
    let (rate, burst) = (
        f64::from(quota.per_minute.get()) / 60_000.0,
        f64::from(quota.burst.get()),
    );
    let replicas = f64::from(replicas);
    let own = (part * burst / replicas).floor().max(1.0);
    let left = burst - replicas * own;
    if left * 2.0 < burst {
        let whole = Share {
            per_ms: rate,
            burst,
        };
        return (whole, Share::default());
    }
    let shared = Share {
        per_ms: rate * (1.0 - part),
        burst: left,
    };
    let own = Share {
        per_ms: rate * part / replicas,
        burst: own,
    };
    (shared, own)
}

impl SharedLimits {
    /// The most calls at once.
    pub(super) fn burst(&self) -> u64 {
        self.burst[0] as u64
    }
}

impl Reserve {
    /// Takes a call. `now` is the server's time as far as this replica knows it.
    pub(super) fn take(&mut self, with_refresh: bool, at: Moment, now: Timestamp) -> bool {
        let day = now.as_millis() / DAY;
        if self.today.0 < day {
            let is_first = self.today.0 == 0;
            self.today = (day, if is_first { self.lost(now) } else { 0 });
        }
        let is_over = self.daily.is_some_and(|most| self.today.1 >= most);
        let (calls, refreshes) = (self.calls.refill(at), self.refreshes.refill(at));
        if is_over || calls < 1.0 || (with_refresh && refreshes < 1.0) {
            return false;
        }
        self.calls.stock -= 1.0;
        if with_refresh {
            self.refreshes.stock -= 1.0;
        }
        self.today.1 += 1;
        true
    }

    /// The calls that count as made on the day of the start: a process before may have made them. They are in proportion to
    /// the time of day, as in `budget.lua`.
    fn lost(&self, now: Timestamp) -> u32 {
        let daily = u64::from(self.daily.unwrap_or_default());
        let lost = daily * (now.as_millis() % DAY) / DAY;
        u32::try_from(lost).unwrap_or(u32::MAX)
    }

    /// Gives a call back that was not made.
    pub(super) fn refund(&mut self, with_refresh: bool) {
        self.calls.refund();
        if with_refresh {
            self.refreshes.refund();
        }
        self.today.1 = self.today.1.saturating_sub(1);
    }

    /// The same reserve with the shares of other limits; the used part stays used up.
    pub(super) fn resized(self, other: Self) -> Self {
        let resize = |before: Bucket, after: Bucket| Bucket {
            stock: before.stock.min(after.share.burst),
            ..after
        };
        Self {
            calls: resize(self.calls, other.calls),
            refreshes: resize(self.refreshes, other.refreshes),
            daily: other.daily,
            today: self.today,
        }
    }
}

impl Bucket {
    fn empty(share: Share, at: Moment) -> Self {
        Self {
            share,
            stock: 0.0,
            at,
        }
    }

    fn refund(&mut self) {
        self.stock = (self.stock + 1.0).min(self.share.burst);
    }

    fn refill(&mut self, at: Moment) -> f64 {
        let elapsed = at.since(self.at).as_secs_f64() * 1000.0;
        self.stock = (self.stock + elapsed * self.share.per_ms).min(self.share.burst);
        self.at = at;
        self.stock
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn quota(per_minute: u32, burst: u32) -> Quota {
        Quota {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn all_shares_together_are_never_more_than_the_budget(
            per_minute in 1..10_000_u32,
            burst in 1..10_000_u32,
            daily in 0..100_000_u32,
            percent in 1..=50_u32,
            replicas in 1..=100_u32,
        ) {
            let limits = BudgetLimits {
                lookups: quota(per_minute, burst),
                refreshes: quota(per_minute, burst),
                daily: NonZeroU32::new(daily),
            };
            let (shared, own) = divide(&limits, percent, replicas, Moment::default());
            let replicas = f64::from(replicas);
            let share = own.calls.share;
            prop_assert!(shared.burst[0] + replicas * share.burst <= f64::from(burst));
            let rate = f64::from(per_minute) / 60_000.0;
            prop_assert!(shared.per_ms[0] + replicas * share.per_ms <= rate * (1.0 + 1e-9));
            let own_daily = f64::from(own.daily.unwrap_or_default());
            prop_assert_eq!(f64::from(shared.daily) + replicas * own_daily, f64::from(daily));
        }
    }

    #[test]
    fn a_reserve_starts_empty_and_never_has_more_than_its_burst() {
        let limits = BudgetLimits {
            lookups: quota(60, 30),
            refreshes: quota(6, 3),
            daily: None,
        };
        let (_, mut reserve) = divide(&limits, 20, 3, Moment::default());
        let now = Timestamp::from_secs(1_000_000);
        assert!(!reserve.take(false, Moment::default(), now));
        let later = Moment::default() + Duration::from_secs(3600);
        let taken = (0..10).filter(|_| reserve.take(false, later, now)).count();
        assert_eq!(taken, 2);
        assert!(!reserve.take(true, later + Duration::from_secs(3600), now));
    }

    #[test]
    fn a_process_that_starts_in_the_day_has_the_rest_of_the_day_s_share() {
        let limits = BudgetLimits {
            lookups: quota(6000, 3000),
            refreshes: quota(600, 300),
            daily: NonZeroU32::new(1200),
        };
        let start = Moment::default();
        let (_, mut reserve) = divide(&limits, 20, 2, start);
        let later = start + Duration::from_secs(3600);
        let midnight = Timestamp::from_millis(20_000 * DAY);
        let take = |reserve: &mut Reserve, hours: u64| {
            let now = midnight + Duration::from_secs(hours * 3600);
            (0..500).filter(|_| reserve.take(false, later, now)).count()
        };
        // Of 120 calls a day, those of 18 hours count as made.
        assert_eq!(take(&mut reserve, 18), 30);
        assert_eq!(take(&mut reserve, 23), 0);
        assert_eq!(take(&mut reserve, 24), 120);
    }
}
