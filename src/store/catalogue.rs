//! What is on disk, in memory: which entry has which content, how large it is, and when it was last
//! used. Says what to evict and what nobody refers to; does neither.
//!
//! A face in use is looked at from memory, which nobody notes here; but it is confirmed once per
//! TTL, and that is a use. So the last use of a face is known to a TTL, which is exact enough to
//! tell faces in use from faces that nobody looks at any more.

use std::collections::HashMap;

use crate::avatar::Key;

/// The first eight bytes of a content's SHA-256. Two contents that share them count as one, which
/// keeps the one for as long as the other: the mistake that does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ContentId(pub(super) [u8; 8]);

/// What the catalogue adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries, those without a picture included.
    pub entries: u64,
    /// Bytes on disk, in blocks of 4 KiB: every content once, and one block of index an entry.
    pub bytes: u64,
}

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// The catalogue.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    slots: HashMap<Key, Slot>,
    contents: HashMap<ContentId, Content>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    content: Option<ContentId>,
    /// Seconds since the Unix epoch; good until 2106.
    used: u32,
}

#[derive(Clone, Copy, Debug)]
struct Content {
    references: u32,
    size: u32,
}

const BLOCK: u64 = 4096;

impl Totals {
    /// Whether that is more than `limits`.
    pub(super) fn exceed(&self, limits: Limits) -> bool {
        self.entries > limits.entries || self.bytes > limits.bytes
    }
}

impl Limits {
    /// A little below: a limit that is just kept would be reached again with the next picture.
    pub(super) fn lowered(self) -> Self {
        Self {
            bytes: below(self.bytes),
            entries: below(self.entries),
        }
    }
}

impl Catalogue {
    /// StateFiles that `key` now has this content. Returns a content that nobody refers to any more.
    pub(super) fn put(
        &mut self,
        key: Key,
        content: Option<(ContentId, u32)>,
        used: u32,
    ) -> Option<ContentId> {
        if let Some((id, size)) = content {
            let entry = self.contents.entry(id).or_insert_with(|| {
                self.bytes += blocks(size);
                Content {
                    references: 0,
                    size,
                }
            });
            entry.references += 1;
        }
        let slot = Slot {
            content: content.map(|(id, _)| id),
            used,
        };
        match self.slots.insert(key, slot) {
            Some(before) => self.release(before.content),
            None => {
                self.bytes += BLOCK;
                None
            }
        }
    }

    /// StateFiles what was found on disk, unless it is known better already.
    pub(super) fn found(&mut self, key: Key, content: Option<(ContentId, u32)>, used: u32) {
        if !self.slots.contains_key(&key) {
            self.put(key, content, used);
        }
    }

    /// StateFiles that `key` is gone. Returns a content that nobody refers to any more.
    pub(super) fn remove(&mut self, key: &Key) -> Option<ContentId> {
        let slot = self.slots.remove(key)?;
        self.bytes -= BLOCK;
        self.release(slot.content)
    }

    /// StateFiles a use.
    pub(super) fn touch(&mut self, key: &Key, used: u32) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.used = slot.used.max(used);
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

    /// When `key` was last used.
    pub(super) fn used(&self, key: &Key) -> Option<u32> {
        self.slots.get(key).map(|slot| slot.used)
    }

    /// When each key was last used.
    pub(super) fn uses(&self) -> impl Iterator<Item = (u32, Key)> {
        self.slots.iter().map(|(key, slot)| (slot.used, *key))
    }

    fn release(&mut self, content: Option<ContentId>) -> Option<ContentId> {
        let id = content?;
        let entry = self.contents.get_mut(&id)?;
        entry.references -= 1;
        if entry.references > 0 {
            return None;
        }
        self.bytes -= blocks(entry.size);
        self.contents.remove(&id);
        Some(id)
    }
}

fn blocks(size: u32) -> u64 {
    u64::from(size).div_ceil(BLOCK) * BLOCK
}

fn below(limit: u64) -> u64 {
    limit - limit / 20
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

    fn replay(steps: Vec<Step>) -> (Catalogue, HashMap<u16, (Option<u8>, u32)>) {
        let (mut catalogue, mut model) = (Catalogue::default(), HashMap::new());
        for step in steps {
            let freed = match step {
                Step::Put(k, c, t) => {
                    model.insert(k, (c, t));
                    catalogue.put(key(k), c.map(content), t)
                }
                Step::Remove(k) => {
                    model.remove(&k);
                    catalogue.remove(&key(k))
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
        (catalogue, model)
    }

    proptest! {
        #[test]
        fn totals_and_references_are_those_of_a_plain_count(steps in steps()) {
            let (catalogue, model) = replay(steps);
            let contents: std::collections::BTreeSet<u8> = model.values().filter_map(|(c, _)| *c).collect();
            let bytes: u64 = contents.iter().map(|c| blocks(content(*c).1)).sum();
            prop_assert_eq!(catalogue.totals(), Totals {
                entries: model.len() as u64,
                bytes: bytes + model.len() as u64 * BLOCK,
            });
            for number in 0..6 {
                prop_assert_eq!(catalogue.refers_to(&content(number).0), contents.contains(&number));
            }
        }
    }

    #[test]
    fn an_entry_and_its_content_cost_about_128_bytes() {
        // hashbrown keeps a byte beside each slot, and between an eighth of the slots free when it
        // is full and nine sixteenths when it has just grown.
        let slot = size_of::<(Key, Slot)>() + 1;
        let content = size_of::<(ContentId, Content)>() + 1;
        let each = slot + content;
        assert!(each * 8 / 7 <= 76, "{slot} + {content}");
        assert!(each * 16 / 7 <= 151, "{slot} + {content}");
    }
}
