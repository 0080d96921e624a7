//! The catalogue behind a lock that is never held while the disk is waited for: whoever asks how the
//! cache is gets an answer, however the disk is.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::catalogue::{Catalogue, ContentId, Totals};
use crate::avatar::Key;

/// What is on disk, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Books(Mutex<Ledger>);

#[derive(Debug, Default)]
struct Ledger {
    catalogue: Catalogue,
    /// Whether the catalogue knows all that is on disk. Until then, "nobody refers to it" is
    /// nothing to act on.
    is_complete: bool,
    /// Whether something lies on disk of which nobody can tell whose it is.
    has_strangers: bool,
    /// Which of the directories that were there, one after the other, the books are about.
    epoch: u64,
}

impl Books {
    pub(super) fn totals(&self) -> Totals {
        self.ledger().catalogue.totals()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.ledger().is_complete
    }

    /// Which directory the books are about; a look around begins with this.
    pub(super) fn epoch(&self) -> u64 {
        self.ledger().epoch
    }

    /// A look around that began in `epoch` saw all that is on disk.
    pub(super) fn completed(&self, epoch: u64) {
        let mut ledger = self.ledger();
        ledger.is_complete |= ledger.epoch == epoch;
    }

    /// The directory is that of `epoch`. If these are another's books, nothing is known any more.
    /// Returns whether that is so.
    pub(super) fn follow(&self, epoch: u64) -> bool {
        let mut ledger = self.ledger();
        let is_another = ledger.epoch != epoch;
        if is_another {
            *ledger = Ledger {
                epoch,
                ..Ledger::default()
            };
        }
        is_another
    }

    /// Something on disk cannot be told from an entry of any key.
    pub(super) fn found_a_stranger(&self) {
        self.ledger().has_strangers = true;
    }

    /// Whether there is surely no entry of `key` on disk.
    pub(super) fn lack(&self, key: &Key) -> bool {
        let ledger = self.ledger();
        ledger.is_complete && !ledger.has_strangers && ledger.catalogue.used(key).is_none()
    }

    /// Notes a use.
    pub(super) fn touch(&self, key: &Key, used: u32) {
        self.ledger().catalogue.touch(key, used);
    }

    /// Notes what was found on disk, unless it is known better already.
    pub(super) fn found(&self, key: Key, content: Option<(ContentId, u32)>, used: u32) {
        self.ledger().catalogue.found(key, content, used);
    }

    /// Notes what was written. Returns a content that surely nobody refers to any more.
    pub(super) fn put(
        &self,
        key: Key,
        content: Option<(ContentId, u32)>,
        used: u32,
    ) -> Option<ContentId> {
        let mut ledger = self.ledger();
        let freed = ledger.catalogue.put(key, content, used);
        freed.filter(|_| ledger.is_complete)
    }

    /// Notes what was removed. Returns a content that surely nobody refers to any more.
    pub(super) fn remove(&self, key: &Key) -> Option<ContentId> {
        let mut ledger = self.ledger();
        let freed = ledger.catalogue.remove(key);
        freed.filter(|_| ledger.is_complete)
    }

    /// Whether surely nobody refers to this content.
    pub(super) fn is_orphan(&self, content: &ContentId) -> bool {
        let ledger = self.ledger();
        ledger.is_complete && !ledger.catalogue.refers_to(content)
    }

    /// When `key` was last used.
    pub(super) fn used(&self, key: &Key) -> Option<u32> {
        self.ledger().catalogue.used(key)
    }

    /// The `count` keys that were not used for longest, that one first, and when they were.
    pub(super) fn oldest(&self, count: usize) -> Vec<(u32, Key)> {
        // Sorted after the lock is let go: the guard does not outlive its statement.
        let mut all: Vec<_> = self.ledger().catalogue.uses().collect();
        if count < all.len() {
            all.select_nth_unstable(count);
            all.truncate(count);
        }
        all.sort_unstable();
        all
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
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
        let books = Books::default();
        books.found(key(1), None, 1);
        assert!(!books.lack(&key(1)) && !books.lack(&key(2)));
        books.completed(books.epoch());
        assert!(!books.lack(&key(1)) && books.lack(&key(2)));
        books.put(key(2), None, 2);
        assert!(!books.lack(&key(2)));
        books.remove(&key(1));
        assert!(books.lack(&key(1)));
        books.found_a_stranger();
        assert!(!books.lack(&key(1)));
        // Of another directory, nothing is known.
        books.follow(1);
        books.completed(0);
        assert!(!books.lack(&key(1)));
    }
}
