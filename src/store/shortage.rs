//! Decides how much of the cache goes when the file system is short of bytes or inodes. Other programs use
//! them, too, so evicting faces may not help: the cache may be smaller than the shortage, others may
//! take at once the space that is freed, or a snapshot may hold it. Eviction is a means, not a duty:
//!
//! * It is tried only if it can end the shortage.
//! * Its effect is measured. If it frees less than half of the evicted size, it is not tried again until
//!   the shortage has ended.
//! * However often the disk becomes short within a day, half of the cache stays.
//!
//! While a shortage lasts that eviction cannot end, the cache may grow up to the size of the free space
//! that is left, because each face that is not kept costs calls to the vendor.
//!
//! The functions are pure: `maintenance.rs` measures and evicts.

use std::{fmt, time::Duration};

use crate::clock::Moment;

/// A resource that the cache shares with other programs: the bytes or the inodes of its file system.
#[derive(Debug, Default)]
pub(super) struct SharedResource {
    shortage: Option<Shortage>,
}

/// The use of a resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Used by the cache.
    pub(super) cached: u64,
    /// Free for this user.
    pub(super) free: u64,
    /// To be kept free.
    pub(super) reserve: u64,
}

/// A shortage, together with those that ended less than a day before it began.
#[derive(Debug)]
struct Shortage {
    /// The cache's size at the first of them.
    cached_before: u64,
    /// The cache's largest size since.
    peak: u64,
    last_seen: Moment,
    attempt: Option<Attempt>,
    /// Whether eviction had no effect in this shortage.
    is_futile: bool,
}

/// An eviction whose effect is not known yet.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    free_before: u64,
    evicted: u64,
}

/// A shortage that remains although everything was evicted that could help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastingShortage {
    Bytes { free: u64, reserve: u64 },
    Inodes,
}

/// After this time without a shortage, the next one is a new one.
const MEMORY: Duration = Duration::from_secs(24 * 3600);

impl SharedResource {
    /// The size to which the cache is to be reduced; `u64::MAX` if nothing is to be evicted.
    pub(super) fn target(&mut self, usage: Usage, now: Moment) -> u64 {
        let Usage { cached, free, .. } = usage;
        let missing = usage.missing();
        if missing == 0 {
            self.record_sufficiency(now);
            return u64::MAX;
        }
        let shortage = self.shortage.get_or_insert(Shortage {
            cached_before: cached,
            peak: cached,
            last_seen: now,
            attempt: None,
            is_futile: false,
        });
        shortage.last_seen = now;
        shortage.peak = shortage.peak.max(cached);
        let attempt = shortage.attempt.take();
        shortage.is_futile |= attempt.is_some_and(|attempt| !attempt.has_helped(free));
        let kept = shortage.peak / 2;
        let may_help = missing <= cached.saturating_sub(kept);
        if may_help && !shortage.is_futile {
            // A little more than necessary: otherwise the next picture would cause the next shortage.
            return cached.saturating_sub(missing + cached / 20).max(kept);
        }
        let grown = kept.max(shortage.cached_before);
        let cap = grown.max(cached.saturating_add(free) / 2);
        if cached > cap {
            (cap - cap / 20).max(grown)
        } else {
            u64::MAX
        }
    }

    /// Records that `evicted` was evicted when `free_before` was free.
    pub(super) fn record_eviction(&mut self, free_before: u64, evicted: u64) {
        if let Some(shortage) = &mut self.shortage
            && evicted > 0
        {
            shortage.attempt = Some(Attempt {
                free_before,
                evicted,
            });
        }
    }

    fn record_sufficiency(&mut self, now: Moment) {
        if let Some(shortage) = &mut self.shortage {
            shortage.attempt = None;
            shortage.is_futile = false;
            if now.since(shortage.last_seen) >= MEMORY {
                self.shortage = None;
            }
        }
    }
}

impl Usage {
    fn missing(self) -> u64 {
        self.reserve.saturating_sub(self.free)
    }

    /// Whether less than the reserve is free.
    pub(super) fn is_short(self) -> bool {
        self.missing() > 0
    }
}

impl Attempt {
    /// Whether at least half of the evicted size is free now.
    fn has_helped(self, free: u64) -> bool {
        helps(self.free_before, free, self.evicted)
    }
}

/// Whether evicting `evicted` has an effect: half of it counts, because others go on using the disk.
pub(super) fn helps(free_before: u64, free: u64, evicted: u64) -> bool {
    free >= free_before.saturating_add(evicted / 2)
}

impl fmt::Display for LastingShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LastingShortage::Bytes { free, reserve } => write!(
                f,
                "{} MiB are free, and cache.min_free is {} MiB",
                free >> 20,
                reserve >> 20
            ),
            LastingShortage::Inodes => write!(f, "less than 1 % of its inodes are free"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn at(seconds: u64) -> Moment {
        Moment::default() + Duration::from_secs(seconds)
    }

    fn usage(cached: u64, free: u64, reserve: u64) -> Usage {
        Usage {
            cached,
            free,
            reserve,
        }
    }

    #[test]
    fn a_shortage_that_eviction_can_end_is_ended_with_a_margin() {
        let mut resource = SharedResource::default();
        let target = resource.target(usage(1000 * MIB, 400 * MIB, 500 * MIB), at(0));
        assert_eq!(target, 850 * MIB);
    }

    #[test]
    fn a_shortage_larger_than_half_of_the_cache_evicts_nothing() {
        let mut resource = SharedResource::default();
        for cached in [0, 2 * MIB, 300 * MIB] {
            let target = resource.target(usage(cached, 318 * MIB, 512 * MIB), at(0));
            assert_eq!(target, u64::MAX, "{cached}");
        }
    }

    #[test]
    fn an_eviction_without_effect_is_not_repeated_in_the_same_shortage() {
        let mut resource = SharedResource::default();
        let short = usage(1000, 400, 500);
        assert_eq!(resource.target(short, at(0)), 850);
        resource.record_eviction(400, 150);
        for second in 1..100 {
            assert_eq!(resource.target(usage(850, 400, 500), at(second)), u64::MAX);
        }
        // The snapshot is gone, and later the disk is short again.
        assert_eq!(resource.target(usage(850, 700, 500), at(100)), u64::MAX);
        assert!(resource.target(usage(850, 400, 500), at(101)) < 850);
    }

    #[test]
    fn an_eviction_whose_effect_is_seen_late_is_continued() {
        let mut resource = SharedResource::default();
        assert_eq!(resource.target(usage(1000, 400, 500), at(0)), 850);
        resource.record_eviction(400, 64);
        assert!(resource.target(usage(936, 460, 500), at(5)) < 936);
    }

    #[test]
    fn on_a_disk_smaller_than_the_reserve_the_cache_grows_up_to_the_free_space() {
        let mut resource = SharedResource::default();
        assert_eq!(resource.target(usage(0, 450, 512), at(0)), u64::MAX);
        assert_eq!(resource.target(usage(200, 250, 512), at(5)), u64::MAX);
        let target = resource.target(usage(300, 150, 512), at(10));
        assert!((200..=225).contains(&target), "{target}");
    }

    #[test]
    fn after_a_day_with_enough_space_the_next_shortage_is_a_new_one() {
        let mut resource = SharedResource::default();
        assert!(resource.target(usage(1000, 100, 500), at(0)) <= 600);
        assert_eq!(resource.target(usage(550, 600, 500), at(5)), u64::MAX);
        // Half of the cache is gone for the first shortage, so the second one takes no more.
        assert_eq!(resource.target(usage(550, 400, 500), at(10)), u64::MAX);
        let day = MEMORY.as_secs();
        assert_eq!(
            resource.target(usage(550, 600, 500), at(20 + day)),
            u64::MAX
        );
        assert!(resource.target(usage(550, 400, 500), at(30 + day)) < 550);
    }

    proptest! {
        #[test]
        fn however_others_fill_the_disk_half_of_the_cache_stays(
            fills in prop::collection::vec((0u64..400, any::<bool>()), 1..60),
        ) {
            const SIZE: u64 = 4000;
            let (mut resource, mut cached, mut others) = (SharedResource::default(), 1000, 1000);
            for (second, (fill, is_held)) in fills.into_iter().enumerate() {
                others = (others + fill).min(SIZE - cached);
                let free = SIZE - cached - others;
                let target = resource.target(usage(cached, free, 1500), at(second as u64));
                if cached > target {
                    let evicted = cached - target;
                    resource.record_eviction(free, evicted);
                    cached = target;
                    // A snapshot may hold the space.
                    others += if is_held { evicted } else { 0 };
                }
                prop_assert!(cached >= 500);
            }
        }

        #[test]
        fn a_cache_that_alone_fills_its_disk_keeps_the_reserve_free(
            writes in prop::collection::vec(0u64..40, 1..200),
        ) {
            const SIZE: u64 = 4000;
            let (mut resource, mut cached) = (SharedResource::default(), 2400);
            for (second, written) in writes.into_iter().enumerate() {
                cached += written;
                let free = SIZE - cached;
                let target = resource.target(usage(cached, free, 1500), at(second as u64));
                if cached > target {
                    resource.record_eviction(free, cached - target);
                    cached = target;
                }
                prop_assert!(SIZE - cached >= 1500, "{cached}");
            }
        }
    }
}
