//! What WAHA and its family remember: for 24 h, in memory, per account and per id exactly as it was
//! written, a link or that there was none.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{population::Picture, vendors::Vendor};
use crate::clock::Timestamp;

/// What WhatsApp answered a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A link to the picture.
    Link(String),
    /// Nothing to see, and why.
    Nothing(Picture),
}

/// The caches of all accounts.
#[derive(Default)]
pub(super) struct VendorCache(Mutex<HashMap<Slot, (Timestamp, Seen)>>);

/// The id is as the caller wrote it: two spellings of a contact are two entries, as at WAHA.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) vendor: Vendor,
    pub(super) account: String,
    pub(super) id: String,
}

const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

// === impl VendorCache ===

impl VendorCache {
    /// What is remembered for `slot`.
    pub(super) fn find(&self, slot: &Slot, now: Timestamp) -> Option<Seen> {
        let slots = self.slots();
        let (at, seen) = slots.get(slot)?;
        (now.since(*at) < KEPT).then(|| seen.clone())
    }

    /// Remembers an answer, also that there was nothing.
    pub(super) fn put(&self, slot: Slot, seen: Seen, now: Timestamp) {
        self.slots().insert(slot, (now, seen));
    }

    /// Forgets everything, as a restart of the vendor does.
    pub(super) fn clear(&self) {
        self.slots().clear();
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Slot, (Timestamp, Seen)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
