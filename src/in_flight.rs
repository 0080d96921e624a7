//! One budget for all bytes of pictures that are in memory and in no cache: pictures that were read from disk, or
//! were evicted while a client still receives them. Without it, slow clients would decide how much memory the process
//! uses.
//!
//! A buffer is charged from the moment it is read until its last owner drops it, except while a cache holds it: the cache
//! has a bound of its own. Space is reserved before a picture is read, and waited for. A buffer that is in memory
//! already (it was downloaded, or is evicted) is charged in any case; then further reads wait longer.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Semaphore, time};

use crate::sync::lock;

/// The budget. Cheap to clone.
#[derive(Clone)]
pub struct InFlight {
    shared: Arc<Shared>,
}

struct Shared {
    /// The budget in KiB.
    total: u32,
    /// KiB that are free; reads wait here in order.
    free: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// KiB charged beyond the budget. Released bytes pay this off before any are free again.
    debt: u32,
    /// The charged buffers, by their addresses: no other buffer has the same address meanwhile.
    buffers: HashMap<usize, Buffer>,
    last_id: u64,
}

struct Buffer {
    id: u64,
    kib: u32,
    /// How many caches hold it.
    holders: u32,
}

/// Space for bytes that are about to be read.
pub struct Reservation {
    in_flight: InFlight,
    kib: u32,
}

/// The hold of a cache on a buffer, which is not charged meanwhile.
#[derive(Debug)]
pub struct CacheHold {
    _held: Option<HeldBytes>,
}

struct HeldBytes {
    in_flight: InFlight,
    address: usize,
    id: u64,
}

/// The owner of a buffer's bytes.
struct ChargedBytes {
    bytes: Bytes,
    in_flight: InFlight,
}

// === impl InFlight ===

impl InFlight {
    /// How long a read waits for space.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(2);

    /// A budget of this many bytes.
    pub fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let total = total.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize) as u32);
        Self {
            shared: Arc::new(Shared {
                total,
                free: Semaphore::new(total as usize),
                state: Mutex::default(),
            }),
        }
    }

    /// The whole budget in bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.shared.total) * 1024
    }

    /// Space for `bytes`, if it is free now. More bytes than the whole budget need the whole budget.
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let kib = kib(bytes).min(self.shared.total);
        let permits = self.shared.free.try_acquire_many(kib).ok()?;
        permits.forget();
        Some(self.reservation(kib))
    }

    /// Space for `bytes`, waited for in order. `None` if it is not free in time.
    pub async fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let kib = kib(bytes).min(self.shared.total);
        let acquired = time::timeout(Self::LONGEST_WAIT, self.shared.free.acquire_many(kib)).await;
        acquired.ok()?.ok()?.forget();
        Some(self.reservation(kib))
    }

    /// Whether nothing of it is free.
    pub fn is_exhausted(&self) -> bool {
        self.shared.free.available_permits() == 0
    }

    /// Charges bytes that are in memory already. Their charge ends with the last clone of the result.
    pub fn charge(&self, bytes: impl Into<Bytes>) -> Bytes {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return bytes;
        }
        {
            let mut state = lock(&self.shared.state);
            state.last_id += 1;
            let id = state.last_id;
            let Entry::Vacant(slot) = state.buffers.entry(bytes.as_ptr().addr()) else {
                // The buffer is charged already.
                return bytes;
            };
            let kib = kib(bytes.len() as u64);
            slot.insert(Buffer {
                id,
                kib,
                holders: 0,
            });
            self.shared.take(&mut state, kib);
        }
        let in_flight = self.clone();
        Bytes::from_owner(ChargedBytes { bytes, in_flight })
    }

    /// Ends the charge of a buffer as long as a cache has the result.
    pub fn mark_cached(&self, bytes: &Bytes) -> CacheHold {
        let address = bytes.as_ptr().addr();
        let mut state = lock(&self.shared.state);
        let Some(buffer) = state.buffers.get_mut(&address) else {
            return CacheHold { _held: None };
        };
        let id = buffer.id;
        buffer.holders += 1;
        if buffer.holders == 1 {
            let kib = buffer.kib;
            self.shared.give_back(&mut state, kib);
        }
        let in_flight = self.clone();
        let held = HeldBytes {
            in_flight,
            address,
            id,
        };
        CacheHold { _held: Some(held) }
    }

    fn reservation(&self, kib: u32) -> Reservation {
        let in_flight = self.clone();
        Reservation { in_flight, kib }
    }

    #[cfg(test)]
    fn free_kib(&self) -> i64 {
        self.shared.free.available_permits() as i64 - i64::from(lock(&self.shared.state).debt)
    }
}

impl Shared {
    fn take(&self, state: &mut State, kib: u32) {
        let taken = self.free.forget_permits(kib as usize) as u32;
        state.debt += kib - taken;
    }

    fn give_back(&self, state: &mut State, kib: u32) {
        let paid = kib.min(state.debt);
        state.debt -= paid;
        self.free.add_permits((kib - paid) as usize);
    }
}

/// A buffer takes more than its bytes, and small ones would cost nothing otherwise.
fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX - 1) + 1
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InFlight({} KiB)", self.shared.total)
    }
}

impl fmt::Debug for HeldBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldBytes")
    }
}

// === impl Drop ===

impl Drop for Reservation {
    fn drop(&mut self) {
        let shared = &self.in_flight.shared;
        shared.give_back(&mut lock(&shared.state), self.kib);
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        let shared = &self.in_flight.shared;
        let mut state = lock(&shared.state);
        let buffer = state.buffers.get_mut(&self.address);
        let Some(buffer) = buffer.filter(|buffer| buffer.id == self.id) else {
            return;
        };
        buffer.holders -= 1;
        if buffer.holders == 0 {
            let kib = buffer.kib;
            shared.take(&mut state, kib);
        }
    }
}

impl Drop for ChargedBytes {
    fn drop(&mut self) {
        let shared = &self.in_flight.shared;
        let mut state = lock(&shared.state);
        let buffer = state.buffers.remove(&self.bytes.as_ptr().addr());
        if let Some(Buffer {
            kib, holders: 0, ..
        }) = buffer
        {
            shared.give_back(&mut state, kib);
        }
    }
}

impl AsRef<[u8]> for ChargedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUNDRED_KIB: usize = 100 * 1024 - 1;

    #[test]
    fn a_buffer_is_charged_until_its_last_owner_drops_it() {
        let budget = InFlight::new(1 << 20);
        let buffer = budget.charge(vec![7; HUNDRED_KIB]);
        let part = buffer.slice(5..6);
        drop(buffer);
        assert_eq!(budget.free_kib(), 924);
        drop(part);
        assert_eq!(budget.free_kib(), 1024);
    }

    #[test]
    fn a_buffer_costs_nothing_while_a_cache_holds_it() {
        let budget = InFlight::new(1 << 20);
        let buffer = budget.charge(vec![7; HUNDRED_KIB]);
        let (first, second) = (
            budget.mark_cached(&buffer),
            budget.mark_cached(&buffer.clone()),
        );
        assert_eq!(budget.free_kib(), 1024);
        drop(first);
        assert_eq!(budget.free_kib(), 1024);
        drop(second);
        assert_eq!(budget.free_kib(), 924, "evicted while it is sent");
        let hold = budget.mark_cached(&buffer);
        drop(buffer);
        drop(hold);
        assert_eq!(budget.free_kib(), 1024);
    }

    #[test]
    fn what_is_in_memory_already_is_charged_beyond_the_budget_and_paid_first() {
        let budget = InFlight::new(150 * 1024);
        let first = budget.charge(vec![7; HUNDRED_KIB]);
        let second = budget.charge(vec![7; HUNDRED_KIB]);
        assert_eq!(budget.free_kib(), -50);
        assert!(budget.is_exhausted() && budget.try_reserve(1).is_none());
        drop(first);
        assert_eq!(budget.free_kib(), 50);
        drop(second);
        assert_eq!(budget.free_kib(), 150);
    }

    #[test]
    fn more_than_the_budget_has_is_admitted_alone() {
        let budget = InFlight::new(10 * 1024);
        let all = budget.try_reserve(1 << 30).unwrap();
        assert!(budget.try_reserve(1).is_none());
        drop(all);
        assert!(budget.try_reserve(1).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_waits_for_space_but_not_for_ever() {
        let budget = InFlight::new(1 << 20);
        let all = budget.try_reserve(1 << 20).unwrap();
        assert!(budget.reserve(1).await.is_none());
        let (space, ()) = tokio::join!(budget.reserve(1), async {
            time::sleep(Duration::from_secs(1)).await;
            drop(all);
        });
        assert!(space.is_some());
    }
}
