//! The table behind the [`Index`](super::index::Index): the content, the size and the last use of each entry. Pure
//! bookkeeping; it reads and removes no file.
//!
//! A look-up that the memory tier answers does not count as a use here. But a face that is requested is confirmed
//! once per TTL, which counts. So the last use is exact to one TTL, which is enough to tell faces in use from unused
//! ones.

use std::collections::HashMap;

use crate::avatar::Key;

/// The first eight bytes of a content's SHA-256. Two contents that share them would count as one and be
/// kept until neither is referenced, which harms nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ContentId(pub(super) [u8; 8]);

/// The sums over all entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries, including those without a picture.
    pub entries: u64,
    /// Bytes on disk, in blocks of 4 KiB: every content once, and one block of index per entry.
    pub bytes: u64,
}

/// Upper limits of [`Totals`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// All entries on disk, and the contents that they refer to.
#[derive(Debug, Default)]
pub(super) struct EntryTable {
    slots: HashMap<Key, Slot>,
    contents: HashMap<ContentId, Content>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    content: Option<ContentId>,
    /// The last use in seconds since the Unix epoch; overflows in 2106.
    used_at: u32,
}

#[derive(Clone, Copy, Debug)]
struct Content {
    references: u32,
    size: u32,
}

const BLOCK: u64 = 4096;

impl Totals {
    /// Whether the totals are above any of the limits.
    pub(super) fn exceed(&self, limits: Limits) -> bool {
        self.entries > limits.entries || self.bytes > limits.bytes
    }

    /// The difference to smaller totals.
    pub(super) fn saturating_sub(self, smaller: Totals) -> Totals {
        Totals {
            entries: self.entries.saturating_sub(smaller.entries),
            bytes: self.bytes.saturating_sub(smaller.bytes),
        }
    }
}

impl Limits {
    /// The low-water mark: evicting down to the limit itself would start again with the next picture.
    pub(super) fn low_water(self) -> Self {
        let lower = |limit: u64| limit - limit / 20;
        Self {
            bytes: lower(self.bytes),
            entries: lower(self.entries),
        }
    }
}

impl EntryTable {
    /// Sets the content of `key`. Returns a content that no entry refers to any more.
    pub(super) fn put(
        &mut self,
        key: Key,
        content: Option<(ContentId, u32)>,
        used_at: u32,
    ) -> Option<ContentId> {
        if let Some((id, size)) = content {
            let content = self.contents.entry(id).or_insert_with(|| {
                self.bytes += in_blocks(size);
                Content {
                    references: 0,
                    size,
                }
            });
            content.references += 1;
        }
        let slot = Slot {
            content: content.map(|(id, _)| id),
            used_at,
        };
        match self.slots.insert(key, slot) {
            Some(before) => self.release(before.content),
            None => {
                self.bytes += BLOCK;
                None
            }
        }
    }

    /// Adds an entry found on disk, unless the key is known: a known key is newer.
    pub(super) fn put_if_unknown(
        &mut self,
        key: Key,
        content: Option<(ContentId, u32)>,
        used_at: u32,
    ) {
        if !self.slots.contains_key(&key) {
            self.put(key, content, used_at);
        }
    }

    /// Removes `key`. Returns a content that no entry refers to any more.
    pub(super) fn remove(&mut self, key: &Key) -> Option<ContentId> {
        let slot = self.slots.remove(key)?;
        self.bytes -= BLOCK;
        self.release(slot.content)
    }

    /// Records a use.
    pub(super) fn touch(&mut self, key: &Key, used_at: u32) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.used_at = slot.used_at.max(used_at);
        }
    }

    /// Whether any entry has this content.
    pub(super) fn refers_to(&self, content: &ContentId) -> bool {
        self.contents.contains_key(content)
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            entries: self.slots.len() as u64,
            bytes: self.bytes,
        }
    }

    /// The length of the content of `key`; `None` for an unknown key.
    pub(super) fn length(&self, key: &Key) -> Option<u32> {
        let slot = self.slots.get(key)?;
        let content = slot.content.and_then(|id| self.contents.get(&id));
        Some(content.map_or(0, |content| content.size))
    }

    /// When `key` was last used; `None` for an unknown key.
    pub(super) fn used_at(&self, key: &Key) -> Option<u32> {
        self.slots.get(key).map(|slot| slot.used_at)
    }

    /// The last use of every key.
    pub(super) fn uses(&self) -> impl Iterator<Item = (u32, Key)> {
        self.slots.iter().map(|(key, slot)| (slot.used_at, *key))
    }

    fn release(&mut self, content: Option<ContentId>) -> Option<ContentId> {
        let id = content?;
        let content = self.contents.get_mut(&id)?;
        content.references -= 1;
        if content.references > 0 {
            return None;
        }
        self.bytes -= in_blocks(content.size);
        self.contents.remove(&id);
        Some(id)
    }
}

fn in_blocks(size: u32) -> u64 {
    u64::from(size).div_ceil(BLOCK) * BLOCK
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u16) -> Key {
        Key::new("sales", &format!("1{number}").parse().unwrap())
    }

    fn content(number: u8) -> (ContentId, u32) {
        (ContentId([number; 8]), u32::from(number) * 1500 + 1)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u16, Option<u8>, u32),
        Remove(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0u16..12, prop::option::of(0u8..6), 0u32..100).prop_map(|(k, c, t)| Step::Put(k, c, t)),
            1 => (0u16..12).prop_map(Step::Remove),
        ];
        prop::collection::vec(step, 0..80)
    }

    fn replay(steps: Vec<Step>) -> (EntryTable, HashMap<u16, (Option<u8>, u32)>) {
        let (mut table, mut model) = (EntryTable::default(), HashMap::new());
        for step in steps {
            let freed = match step {
                Step::Put(k, c, t) => {
                    model.insert(k, (c, t));
                    table.put(key(k), c.map(content), t)
                }
                Step::Remove(k) => {
                    model.remove(&k);
                    table.remove(&key(k))
                }
            };
            if let Some(freed) = freed {
                assert!(
                    model
                        .values()
                        .all(|(c, _)| c.map(|c| content(c).0) != Some(freed))
                );
            }
        }
        (table, model)
    }

    proptest! {
        #[test]
        fn totals_and_references_agree_with_a_simple_model(steps in steps()) {
            let (table, model) = replay(steps);
            let contents: std::collections::BTreeSet<u8> = model.values().filter_map(|(c, _)| *c).collect();
            let bytes: u64 = contents.iter().map(|c| in_blocks(content(*c).1)).sum();
            prop_assert_eq!(table.totals(), Totals {
                entries: model.len() as u64,
                bytes: bytes + model.len() as u64 * BLOCK,
            });
            for number in 0..6 {
                prop_assert_eq!(table.refers_to(&content(number).0), contents.contains(&number));
            }
        }
    }

    #[test]
    fn an_entry_and_its_content_cost_about_128_bytes() {
        // hashbrown has one byte per slot beside it. An eighth of the slots is free when the table is
        // full, and nine sixteenths are free just after it grew.
        let slot = size_of::<(Key, Slot)>() + 1;
        let content = size_of::<(ContentId, Content)>() + 1;
        let each = slot + content;
        assert!(each * 8 / 7 <= 76, "{slot} + {content}");
        assert!(each * 16 / 7 <= 151, "{slot} + {content}");
    }
}
