//! The answer cache of WAHA and its relatives: in memory, for 24 h, by account and by the id as the caller
//! wrote it. Answers without a picture are cached, too.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use super::{answer::Answer, vocabulary::Vendor};
use crate::{clock::Timestamp, sync::lock};

/// The caches of all accounts.
#[derive(Default)]
pub(super) struct VendorCache(Mutex<HashMap<CacheKey, (Timestamp, Answer)>>);

/// The id is the raw string: two spellings of a contact are two entries, as at WAHA.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    pub(super) vendor: Vendor,
    pub(super) account: String,
    pub(super) id: String,
}

/// The lifetime of an answer.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

// === impl VendorCache ===

impl VendorCache {
    /// The cached answer for `key`.
    pub(super) fn find(&self, key: &CacheKey, now: Timestamp) -> Option<Answer> {
        let entries = lock(&self.0);
        let (at, answer) = entries.get(key)?;
        (now.since(*at) < LIFETIME).then(|| answer.clone())
    }

    /// Caches an answer.
    pub(super) fn put(&self, key: CacheKey, answer: Answer, now: Timestamp) {
        lock(&self.0).insert(key, (now, answer));
    }

    /// Empties the cache, as a restart of the vendor does.
    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}
