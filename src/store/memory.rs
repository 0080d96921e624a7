//! The memory tier: whole entries, pictures included, in a cache bounded by bytes (`quick_cache`, S3-FIFO
//! eviction).

use std::sync::Arc;

use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

use super::Owner;
use crate::{
    avatar::{Entry, Key},
    in_flight::{CacheHold, InFlight},
};

/// Bytes of an entry beside its picture: the entry, its key, its owner, its slot in the cache.
const OVERHEAD: u64 = 896;

/// The memory tier.
#[derive(Debug)]
pub(super) struct Memory {
    entries: Cache<Key, ResidentEntry, WeighByBytes>,
    in_flight: InFlight,
}

/// An entry in memory.
#[derive(Clone, Debug)]
struct ResidentEntry {
    /// Dropped when the entry leaves memory. From then on, the picture counts against the budget of bytes in flight
    /// while clients receive it.
    _hold: Option<Arc<CacheHold>>,
    entry: Arc<Entry>,
    /// The owner; `None` if the record on disk names none. Kept here, because an entry may be in memory alone.
    owner: Option<Arc<Owner>>,
}

#[derive(Clone, Debug)]
struct WeighByBytes;

impl Memory {
    /// A tier of at most `capacity` bytes that can hold a picture of `max_picture` bytes.
    pub(super) fn new(capacity: u64, max_picture: usize, in_flight: InFlight) -> Self {
        // The cache divides its capacity among its shards and silently refuses an entry that is heavier
        // than one shard.
        let shards = (capacity / (4 * max_picture as u64).max(1)).clamp(1, 64);
        let options = OptionsBuilder::new()
            .shards(shards as usize)
            .weight_capacity(capacity)
            .estimated_items_capacity((capacity / (16 * 1024)).clamp(64, 1 << 20) as usize)
            .build()
            .expect("all required options are set");
        Self {
            entries: Cache::with_options(
                options,
                WeighByBytes,
                Default::default(),
                Default::default(),
            ),
            in_flight,
        }
    }

    /// Changes the capacity. Entries beyond a smaller one leave memory. Its division stays, so a picture that is larger
    /// than a part of a much smaller capacity is not kept.
    pub(super) fn set_capacity(&self, capacity: u64) {
        self.entries.set_capacity(capacity);
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.entries.get(key).map(|resident| resident.entry)
    }

    /// The owners of all entries.
    pub(super) fn owners(&self) -> impl Iterator<Item = Arc<Owner>> {
        self.entries
            .iter()
            .filter_map(|(_, resident)| resident.owner)
    }

    /// The owners of the entries with a picture.
    pub(super) fn owners_of_pictures(&self) -> impl Iterator<Item = Arc<Owner>> {
        self.entries.iter().filter_map(|(_, resident)| {
            let has_picture = resident.entry.picture.is_some();
            resident.owner.filter(|_| has_picture)
        })
    }

    pub(super) fn remove(&self, key: &Key) {
        self.entries.remove(key);
    }

    pub(super) fn put(&self, key: Key, entry: Arc<Entry>, owner: Option<Arc<Owner>>) {
        let picture = entry.picture.as_ref();
        let hold = picture.map(|stored| self.in_flight.mark_cached(stored.picture.bytes()));
        let resident = ResidentEntry {
            _hold: hold.map(Arc::new),
            entry,
            owner,
        };
        self.entries.insert(key, resident);
    }
}

impl Weighter<Key, ResidentEntry> for WeighByBytes {
    fn weight(&self, _: &Key, resident: &ResidentEntry) -> u64 {
        let picture = resident.entry.picture.as_ref();
        OVERHEAD + picture.map_or(0, |stored| stored.picture.bytes().len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use image::{DynamicImage, ImageFormat};

    use super::*;
    use crate::{
        avatar::{LastAttempt, Outcome, Picture, StoredPicture, Subject},
        clock::Timestamp,
    };

    fn key(number: u32) -> Key {
        let subject: Subject = format!("1{number}").parse().unwrap();
        Key::new("sales", &subject)
    }

    fn entry(padding: usize) -> Arc<Entry> {
        let mut png = std::io::Cursor::new(Vec::new());
        DynamicImage::new_rgb8(8, 8)
            .write_to(&mut png, ImageFormat::Png)
            .unwrap();
        let mut bytes = png.into_inner();
        // Zeros behind the end are kept as padding.
        bytes.resize(bytes.len() + padding, 0);
        let now = Timestamp::from_secs(1);
        Arc::new(Entry {
            picture: Some(StoredPicture {
                picture: Picture::validate(Bytes::from(bytes)).unwrap(),
                link_id: None,
                changed_at: now,
                confirmed_at: now,
                from: None,
            }),
            last: LastAttempt {
                outcome: Outcome::Picture,
                asked_at: now,
                answer_asked_at: now,
                retry_at: now,
                errors: 0,
                strikes: 0,
                last_strike_at: now,
                is_forgotten: false,
                is_outdated: false,
                spellings: Default::default(),
            },
        })
    }

    #[test]
    fn the_memory_tier_stays_below_its_capacity() {
        let memory = Memory::new(1024 * 1024, 64 * 1024, InFlight::new(1 << 20));
        for number in 0..500 {
            memory.put(key(number), entry(10_000), None);
        }
        assert!(memory.entries.weight() <= 1024 * 1024);
        assert!(memory.entries.len() > 50);
    }

    #[test]
    fn the_memory_tier_takes_the_largest_allowed_picture() {
        let memory = Memory::new(64 * 1024 * 1024, 5 * 1024 * 1024, InFlight::new(1 << 20));
        memory.put(key(1), entry(5 * 1024 * 1024 - 1024), None);
        assert!(memory.get(&key(1)).is_some());
    }
}
