//! The rate limit of the clients of this server: one GCRA limiter of `governor` for each address.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use governor::{
    RateLimiter,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{
        InMemoryState, NotKeyed, StateStore,
        keyed::{DashMapStateStore, ShrinkableKeyedStateStore},
    },
};

use super::{
    Quota,
    governor_clock::{GovernorClock, GovernorInstant, wait_time},
};
use crate::clock::Clock;

/// The rate limiters of all clients.
pub struct ClientLimiter {
    limiters: RateLimiter<IpAddr, Arrivals, GovernorClock, NoOpMiddleware<GovernorInstant>>,
    arrivals: Arrivals,
    /// The zero of `arrivals`, on the monotonic clock.
    start: GovernorInstant,
    /// The number of requests so far. It wraps around.
    requests: AtomicUsize,
    /// The number of limiters at which idle ones are evicted.
    eviction_size: AtomicUsize,
    clock: Clock,
    quota: Quota,
}

/// The theoretical arrival time of each client, which is all that GCRA knows of it. `governor` measures them from the
/// time at which the limiters were made, and lets no other part read the store that it was given.
#[derive(Clone, Default)]
struct Arrivals(Arc<DashMapStateStore<IpAddr>>);

impl ClientLimiter {
    /// The smallest number of limiters at which idle ones are evicted.
    const MIN_EVICTION_SIZE: usize = 8192;
    /// The number of requests between two checks of the number of limiters.
    const EVICTION_INTERVAL: usize = 1024;

    /// A limiter with a quota for each client.
    pub fn new(quota: Quota, clock: Clock) -> Self {
        let arrivals = Arrivals::default();
        Self {
            limiters: RateLimiter::new(
                quota.to_governor(),
                arrivals.clone(),
                GovernorClock(clock.clone()),
            ),
            arrivals,
            start: GovernorInstant::at(clock.moment()),
            requests: AtomicUsize::new(0),
            eviction_size: AtomicUsize::new(Self::MIN_EVICTION_SIZE),
            clock,
            quota,
        }
    }

    /// The quota of each client.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// The same limiters with another quota. The requests that a client has used up stay used up, so that one at its
    /// limit stays there.
    pub fn resize(&self, quota: Quota) -> Self {
        let resized = Self::new(quota, self.clock.clone());
        for client in self.arrivals.0.iter() {
            let used = self.requests_used(client.value()).min(quota.burst.get());
            if let Some(used) = NonZeroU32::new(used) {
                // A new limiter has its whole burst, so it grants them.
                let _ = resized.limiters.check_key_n(client.key(), used);
            }
        }
        resized
    }

    /// Admits one request of `client`, and returns the address that its limits are kept under. The error is
    /// the time until the client may try again.
    pub fn take(&self, client: IpAddr) -> Result<IpAddr, Duration> {
        let key = subnet_key(client);
        if self
            .requests
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(Self::EVICTION_INTERVAL)
        {
            self.evict_idle();
        }
        self.limiters
            .check_key(&key)
            .map(|()| key)
            .map_err(|not_until| wait_time(&not_until, self.clock.moment()))
    }

    /// The requests that a client has used up. One that has refilled in part counts as a whole one.
    fn requests_used(&self, client: &InMemoryState) -> u32 {
        // The error leaves the state as it is.
        let arrival = client.measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>);
        let arrival = arrival.err().flatten().map_or(0, Nanos::as_u64);
        let ahead = arrival.saturating_sub(self.now());
        u32::try_from(ahead.div_ceil(self.cost())).unwrap_or(u32::MAX)
    }

    /// The cost of a request, in nanoseconds: the time after which `governor` grants another one.
    fn cost(&self) -> u64 {
        let interval = self.quota.to_governor().replenish_interval();
        Nanos::from(interval).as_u64().max(1)
    }

    /// Nanoseconds since the limiters were made.
    fn now(&self) -> u64 {
        GovernorInstant::at(self.clock.moment())
            .0
            .saturating_sub(self.start.0)
    }

    /// Evicts the limiters that have their whole burst again. The next eviction is due when the number of
    /// limiters has doubled, so that the amortized cost per request is constant.
    fn evict_idle(&self) {
        if self.limiters.len() >= self.eviction_size.load(Ordering::Relaxed) {
            self.limiters.retain_recent();
            let eviction_size = (2 * self.limiters.len()).max(Self::MIN_EVICTION_SIZE);
            self.eviction_size.store(eviction_size, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for ClientLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientLimiter").finish_non_exhaustive()
    }
}

impl StateStore for Arrivals {
    type Key = IpAddr;

    fn measure_and_replace<T, F, E>(&self, client: &IpAddr, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(client, measure)
    }
}

impl ShrinkableKeyedStateStore<IpAddr> for Arrivals {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The address under which a client is limited: its IPv4 address, or its IPv6 /64, because a network
/// gives its hosts every address of their /64.
fn subnet_key(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn limiter(clock: &Clock) -> ClientLimiter {
        let each = Quota {
            per_minute: NonZeroU32::new(60).unwrap(),
            burst: NonZeroU32::new(3).unwrap(),
        };
        ClientLimiter::new(each, clock.clone())
    }

    fn granted(limiter: &ClientLimiter, clients: &[&str]) -> usize {
        let taken = clients.iter().map(|c| limiter.take(c.parse().unwrap()));
        taken.filter(Result::is_ok).count()
    }

    #[test]
    fn each_client_has_a_burst_of_its_own_that_refills() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let limiter = limiter(&clock);
        assert_eq!(granted(&limiter, &["192.0.2.1"; 5]), 3);
        assert_eq!(granted(&limiter, &["192.0.2.2"; 5]), 3);
        let wait = limiter.take("192.0.2.1".parse().unwrap()).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        clock.advance(wait);
        assert_eq!(granted(&limiter, &["192.0.2.1"; 5]), 1);
    }

    #[test]
    fn an_ipv6_client_shares_one_limit_for_its_whole_64_prefix() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let limiter = limiter(&clock);
        let one = [
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8::3",
            "2001:db8::ffff:4",
        ];
        assert_eq!(granted(&limiter, &one), 3);
        assert_eq!(granted(&limiter, &["2001:db8:0:1::1"]), 1);
        assert_eq!(
            granted(&limiter, &["192.0.2.9", "::ffff:192.0.2.9", "192.0.2.9"]),
            3
        );
        assert_eq!(granted(&limiter, &["::ffff:192.0.2.9"]), 0);
    }

    #[test]
    fn a_client_has_used_up_as_much_of_another_quota() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        for (per_minute, burst, left) in [
            (60, 3, 1),
            (1, 3, 1),
            (6_000, 3, 1),
            (60, 10, 8),
            (60, 2, 0),
        ] {
            let limiter = limiter(&clock);
            clock.advance(Duration::from_secs(100));
            assert_eq!(granted(&limiter, &["192.0.2.1"; 2]), 2);
            assert_eq!(granted(&limiter, &["192.0.2.2"; 3]), 3);
            clock.advance(Duration::from_millis(1));
            let resized = limiter.resize(Quota {
                per_minute: NonZeroU32::new(per_minute).unwrap(),
                burst: NonZeroU32::new(burst).unwrap(),
            });
            let case = format!("{per_minute} a minute, {burst} at once");
            assert_eq!(granted(&resized, &["192.0.2.1"; 20]), left, "{case}");
            let at_limit = (burst as usize).saturating_sub(3);
            assert_eq!(granted(&resized, &["192.0.2.2"; 20]), at_limit, "{case}");
            assert_eq!(granted(&resized, &["192.0.2.3"; 20]), burst as usize);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_refuses_no_client() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let limiter = limiter(&clock);
        clock.advance(Duration::from_secs(7_200));
        assert_eq!(granted(&limiter, &["192.0.2.1"]), 1);
        clock.set(Timestamp::from_secs(1_000_000));
        assert_eq!(granted(&limiter, &["192.0.2.1"; 2]), 2);
    }

    #[test]
    fn limiters_of_idle_clients_are_evicted() {
        let clock = Clock::manual(Timestamp::from_secs(1_000_000));
        let limiter = limiter(&clock);
        for number in 0..200_000_u32 {
            clock.advance(Duration::from_millis(1));
            limiter.take(IpAddr::V4(number.into())).unwrap();
        }
        assert!(
            limiter.limiters.len() < 20_000,
            "{} limiters",
            limiter.limiters.len()
        );
    }
}
