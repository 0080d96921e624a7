//! The catalogue behind a lock that is never held while the disk is waited for: whoever asks how the
//! cache is gets an answer, however the disk is.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::catalogue::{Catalogue, ContentId, Totals};
use crate::avatar::Key;

/// What is on disk, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<IndexState>);

#[derive(Debug, Default)]
struct IndexState {
    catalogue: Catalogue,
    /// Whether the catalogue knows all that is on disk. Until then, "nobody refers to it" is
    /// nothing to act on.
    is_complete: bool,
    /// Whether something lies on disk of which nobody can tell whose it is.
    has_unidentified: bool,
    /// Which of the directories that were there, one after the other, the index are about.
    epoch: u64,
}

impl Index {
    pub(super) fn totals(&self) -> Totals {
        self.state().catalogue.totals()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state().is_complete
    }

    /// Which directory the index are about; a look around begins with this.
    pub(super) fn epoch(&self) -> u64 {
        self.state().epoch
    }

    /// A look around that began in `epoch` saw all that is on disk.
    pub(super) fn mark_complete(&self, epoch: u64) {
        let mut state = self.state();
        state.is_complete |= state.epoch == epoch;
    }

    /// The directory is that of `epoch`. If these are another's index, nothing is known any more.
    /// Returns whether that is so.
    pub(super) fn switch_to(&self, epoch: u64) -> bool {
        let mut state = self.state();
        let is_another = state.epoch != epoch;
        if is_another {
            *state = IndexState {
                epoch,
                ..IndexState::default()
            };
        }
        is_another
    }

    /// Something on disk cannot be told from an entry of any key.
    pub(super) fn mark_unidentified(&self) {
        self.state().has_unidentified = true;
    }

    /// Whether there is surely no entry of `key` on disk.
    pub(super) fn is_absent(&self, key: &Key) -> bool {
        let state = self.state();
        state.is_complete && !state.has_unidentified && state.catalogue.used(key).is_none()
    }

    /// StateFiles a use.
    pub(super) fn touch(&self, key: &Key, used: u32) {
        self.state().catalogue.touch(key, used);
    }

    /// StateFiles what was found on disk, unless it is known better already.
    pub(super) fn found(&self, key: Key, content: Option<(ContentId, u32)>, used: u32) {
        self.state().catalogue.found(key, content, used);
    }

    /// StateFiles what was written. Returns a content that surely nobody refers to any more.
    pub(super) fn put(
        &self,
        key: Key,
        content: Option<(ContentId, u32)>,
        used: u32,
    ) -> Option<ContentId> {
        let mut state = self.state();
        let freed = state.catalogue.put(key, content, used);
        freed.filter(|_| state.is_complete)
    }

    /// StateFiles what was removed. Returns a content that surely nobody refers to any more.
    pub(super) fn remove(&self, key: &Key) -> Option<ContentId> {
        let mut state = self.state();
        let freed = state.catalogue.remove(key);
        freed.filter(|_| state.is_complete)
    }

    /// Whether surely nobody refers to this content.
    pub(super) fn is_orphan(&self, content: &ContentId) -> bool {
        let state = self.state();
        state.is_complete && !state.catalogue.refers_to(content)
    }

    /// When `key` was last used.
    pub(super) fn used(&self, key: &Key) -> Option<u32> {
        self.state().catalogue.used(key)
    }

    /// The `count` keys that were not used for longest, that one first, and when they were.
    pub(super) fn oldest(&self, count: usize) -> Vec<(u32, Key)> {
        // Sorted after the lock is let go: the guard does not outlive its statement.
        let mut all: Vec<_> = self.state().catalogue.uses().collect();
        if count < all.len() {
            all.select_nth_unstable(count);
            all.truncate(count);
        }
        all.sort_unstable();
        all
    }

    fn state(&self) -> MutexGuard<'_, IndexState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> Key {
        Key::new("sales", &format!("1{number}").parse().unwrap())
    }

    #[test]
    fn what_was_not_found_is_known_to_be_absent_once_all_was_seen_and_understood() {
        let index = Index::default();
        index.found(key(1), None, 1);
        assert!(!index.is_absent(&key(1)) && !index.is_absent(&key(2)));
        index.mark_complete(index.epoch());
        assert!(!index.is_absent(&key(1)) && index.is_absent(&key(2)));
        index.put(key(2), None, 2);
        assert!(!index.is_absent(&key(2)));
        index.remove(&key(1));
        assert!(index.is_absent(&key(1)));
        index.mark_unidentified();
        assert!(!index.is_absent(&key(1)));
        // Of another directory, nothing is known.
        index.switch_to(1);
        index.mark_complete(0);
        assert!(!index.is_absent(&key(1)));
    }
}
