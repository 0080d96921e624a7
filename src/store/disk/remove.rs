//! Removing entries and contents from disk.

use std::{fs, io, path::Path};

use super::{Change, ChangeError, Disk};
use crate::{
    avatar::Key,
    store::{
        entry_table::ContentId,
        health::{EvictionCause, Operation},
        layout,
    },
};

/// The result of evicting an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Eviction {
    /// It was removed.
    Evicted,
    /// It was used, written or removed meanwhile, and stays as it is.
    Skipped,
}

impl Disk {
    /// Removes an entry to make room for `cause`, unless its last use is no longer `used_at`.
    pub(in crate::store) fn evict(
        &self,
        key: &Key,
        used_at: u32,
        cause: EvictionCause,
    ) -> Result<Eviction, ChangeError> {
        let eviction = self.begin_change().and_then(|change| {
            if self.index.used_at(key) != Some(used_at) {
                return Ok(Eviction::Skipped);
            }
            self.discard(&change, key)?;
            self.health.count_evicted(cause);
            Ok(Eviction::Evicted)
        });
        self.record(Operation::Evict, &eviction);
        eviction
    }

    /// Removes an entry for good. Returns whether it is gone.
    pub(in crate::store) fn remove(&self, key: &Key) -> bool {
        let removed = self
            .begin_change()
            .and_then(|change| self.discard(&change, key));
        self.record(Operation::Write, &removed);
        removed.is_ok()
    }

    /// Removes an entry, and its content unless another entry has the same.
    pub(super) fn discard(&self, change: &Change<'_>, key: &Key) -> Result<(), ChangeError> {
        let removed = fs::remove_file(self.index_path(key));
        self.nonblocking.invalidate(key);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let unreferenced = self.index.remove(key);
        self.remove_unreferenced(change, unreferenced);
        Ok(())
    }

    /// Removes the content file at `path` if no entry refers to it. Returns whether it did.
    pub(in crate::store) fn collect_content(&self, path: &Path) -> bool {
        let Ok(_change) = self.begin_change() else {
            return false;
        };
        layout::content_id_at(self.root(), path).is_some_and(|id| self.index.is_unreferenced(&id))
            && fs::remove_file(path).is_ok()
    }

    /// Removes a content that lost its last reference.
    pub(super) fn remove_unreferenced(&self, _: &Change<'_>, content: Option<ContentId>) {
        if let Some(path) = content.and_then(|id| layout::find_content(self.root(), &id)) {
            // If this fails, the garbage collection finds it later.
            let _ = fs::remove_file(path);
        }
    }
}
