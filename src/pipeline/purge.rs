//! Purges and forgets faces. A purge makes the cache ask again or removes the entry; forgetting a face
//! also keeps it from being fetched for a while.

use std::sync::Arc;

use super::{Faces, Instance};
use crate::{
    avatar::{Entry, Key, Subject},
    store::Owner,
    upstream::UnsupportedSubject,
};

/// The faces to purge.
#[derive(Clone, Copy, Debug)]
pub enum PurgeScope<'a> {
    /// One face.
    Face(&'a Instance, Subject),
    /// All faces of an instance.
    Instance(&'a Instance),
    /// All faces.
    All,
}

/// How far a purge goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeMode {
    /// The entry expires: the next request shows it and refreshes it.
    Soft,
    /// The entry expires, and the refresh makes the vendor bypass its own cache, because the picture is
    /// known to have changed.
    Changed,
    /// The entry is removed.
    Hard,
}

/// The number of faces that a purge reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgeCounts {
    /// Faces purged in memory and on disk.
    pub done: usize,
    /// Faces purged in memory, but not on disk: a restart would bring them back.
    pub failed: usize,
}

/// The result of purging one face.
enum FacePurge {
    NotCached,
    Done,
    /// Only in memory: the disk failed.
    NotOnDisk,
}

impl Faces {
    /// Purges the faces in `scope`.
    pub async fn purge(
        &self,
        scope: PurgeScope<'_>,
        mode: PurgeMode,
    ) -> Result<PurgeCounts, UnsupportedSubject> {
        let owners = match scope {
            PurgeScope::Face(instance, subject) => vec![Owner {
                instance: instance.name().clone(),
                subject: instance.resolve_own(subject)?,
            }],
            PurgeScope::Instance(instance) => {
                let name = instance.name().clone();
                self.shared.store.owners(Some(name)).await
            }
            PurgeScope::All => self.shared.store.owners(None).await,
        };
        let mut counts = PurgeCounts::default();
        for owner in owners {
            match self.purge_face(&owner, mode).await {
                FacePurge::NotCached => {}
                FacePurge::Done => counts.done += 1,
                FacePurge::NotOnDisk => counts.failed += 1,
            }
        }
        Ok(counts)
    }

    async fn purge_face(&self, owner: &Owner, mode: PurgeMode) -> FacePurge {
        let store = &self.shared.store;
        let key = Key::new(&owner.instance, &owner.subject);
        let _lock = self.shared.key_locks.lock(&key).await;
        let Some(entry) = store.find(&key).await else {
            return FacePurge::NotCached;
        };
        let (now, ttl) = (self.now(), self.policy().ttl);
        let is_on_disk = match mode {
            // No purge removes the tombstone of a forgotten face.
            PurgeMode::Hard if !entry.is_forgotten(now) => {
                self.shared.recent.remove(owner);
                store.remove(&key).await
            }
            PurgeMode::Changed => {
                let outdated = Entry::clone(&entry).mark_outdated(now, ttl);
                store.put(&key, owner, Arc::new(outdated)).await
            }
            PurgeMode::Soft | PurgeMode::Hard => {
                let expired = Entry::clone(&entry).expire(now, ttl);
                store.put(&key, owner, Arc::new(expired)).await
            }
        };
        if is_on_disk {
            FacePurge::Done
        } else {
            FacePurge::NotOnDisk
        }
    }

    /// Forgets a face: removes its bytes, unless another face has the same, and leaves a tombstone that
    /// keeps it from being fetched for [`Policy::forget_for`](crate::avatar::Policy). A fetch in flight
    /// does not bring it back. Returns whether the disk has the tombstone.
    pub async fn forget(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<bool, UnsupportedSubject> {
        let owner = Owner {
            instance: instance.name().clone(),
            subject: instance.resolve_own(subject)?,
        };
        let now = self.now();
        let tombstone = Entry::tombstone(now, now + self.policy().forget_for);
        let key = Key::new(&owner.instance, &owner.subject);
        let _lock = self.shared.key_locks.lock(&key).await;
        self.shared.recent.remove(&owner);
        let forget = self.shared.store.forget(&key, &owner, Arc::new(tombstone));
        Ok(forget.await)
    }
}
