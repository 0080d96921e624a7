//! Purges and forgets faces. A purge makes the cache ask again or removes the entry; forgetting a face
//! also keeps it from being fetched for a while.

use std::{sync::Arc, time::Duration};

use super::{Faces, Instance, person};
use crate::{
    avatar::{Entry, Kind, Subject},
    fleet::Spread,
    store::{CacheAnswer, Owner},
    upstream::UnsupportedSubject,
};

/// The faces to purge.
#[derive(Clone, Copy, Debug)]
pub enum PurgeScope<'a> {
    /// One face.
    Face(&'a Instance, Subject),
    /// All faces of an instance, with those of its earlier accounts.
    Instance(&'a Instance),
    /// All faces of the earlier accounts of an instance.
    Earlier(&'a Instance),
    /// One face that has this name in the cache, but of no configured account.
    StoredFace(&'a str, Subject),
    /// All faces that have this name in the cache, but are of no configured account.
    Stored(&'a str),
    /// All faces.
    All,
}

/// How far a purge goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeMode {
    /// The entry becomes stale: the next request shows it and refreshes it.
    Soft,
    /// The entry becomes stale, and the refresh makes the vendor bypass its own cache, because the picture is
    /// known to have changed.
    Changed,
    /// The entry becomes stale if its last answer is at least this old.
    Older(Duration),
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
pub(super) enum FacePurge {
    /// Not cached, or too new.
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
        if let PurgeScope::Face(instance, subject) = scope {
            let subject = instance.resolve_own(subject)?;
            return Ok(self.purge_shared_face(instance, subject, mode).await);
        }
        self.share_purge(scope, mode).await;
        Ok(self.purge_owners(scope, mode).await)
    }

    /// Purges the faces in `scope` on this replica.
    pub(super) async fn purge_owners(&self, scope: PurgeScope<'_>, mode: PurgeMode) -> PurgeCounts {
        if mode == PurgeMode::Hard {
            // Some may be of faces that the cache has no more.
            match scope {
                PurgeScope::Instance(instance) => {
                    instance.admission().forget_faces();
                    self.shared.in_trouble.remove_account(instance.cache_name());
                }
                PurgeScope::Stored(name) => self.shared.in_trouble.remove_account(name),
                PurgeScope::All => {
                    self.shared.copies.remove_all_former();
                    self.shared.in_trouble.clear();
                }
                _ => {}
            }
        }
        let owners = match scope {
            PurgeScope::Face(instance, subject) => {
                owners(instance.cache_name(), instance.names(subject))
            }
            PurgeScope::Instance(instance) => {
                let mut owners = self.owners(instance.earlier_cache_names()).await;
                owners.extend(self.owners(&[instance.cache_name().clone()]).await);
                owners
            }
            PurgeScope::Earlier(instance) => self.owners(instance.earlier_cache_names()).await,
            PurgeScope::StoredFace(name, subject) => owners(&name.into(), person::names(subject)),
            PurgeScope::Stored(name) => self.shared.store.owners(Some(name.into())).await,
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
        counts
    }

    /// The owners of all faces with these names in the cache.
    pub(super) async fn owners(&self, names: &[Arc<str>]) -> Vec<Owner> {
        let mut owners = Vec::new();
        for name in names {
            owners.extend(self.shared.store.owners(Some(name.clone())).await);
        }
        owners
    }

    pub(super) async fn purge_face(&self, owner: &Owner, mode: PurgeMode) -> FacePurge {
        let store = &self.shared.store;
        let key = owner.key();
        let _lock = self.shared.key_locks.lock(&key).await;
        if mode == PurgeMode::Hard {
            self.shared.single_flight.record_purge(key);
            self.shared.copies.remove_former(owner);
        }
        // A purge by age concerns answers only.
        if !matches!(mode, PurgeMode::Older(_)) {
            self.shared.in_trouble.remove(owner);
        }
        let entry = match store.look_up(&key).await {
            CacheAnswer::Found(entry) => entry,
            CacheAnswer::Absent => return FacePurge::NotCached,
            CacheAnswer::PictureUnreadable if mode == PurgeMode::Hard => {
                return match store.remove(&key).await {
                    true => FacePurge::Done,
                    false => FacePurge::NotOnDisk,
                };
            }
            // The entry may be a tombstone, which no purge removes.
            CacheAnswer::Unknown | CacheAnswer::Unreadable | CacheAnswer::PictureUnreadable => {
                return FacePurge::NotOnDisk;
            }
        };
        let (now, ttl) = (self.now(), self.policy().ttl);
        let is_on_disk = match mode {
            // No purge removes the tombstone of a forgotten face.
            PurgeMode::Hard if !entry.is_forgotten(now) => {
                self.shared.recent.remove(owner);
                let is_removed = store.remove(&key).await;
                self.shared.copies.remove(Some(&entry));
                self.shared.announce(owner, Some(&entry), None);
                is_removed
            }
            PurgeMode::Changed => {
                let outdated = Entry::clone(&entry).mark_outdated(now, ttl);
                store.put(&key, owner, Arc::new(outdated)).await
            }
            PurgeMode::Older(age) if !entry.has_answer_older_than(age, now) => {
                return FacePurge::NotCached;
            }
            PurgeMode::Soft | PurgeMode::Older(_) | PurgeMode::Hard => {
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

    /// Forgets a face, as the instance sees it and as its earlier accounts did: removes its bytes, unless
    /// another face has the same, and leaves a tombstone that keeps it from being fetched for
    /// [`Policy::forget_for`](crate::avatar::Policy). A fetch in flight does not bring it back. Returns
    /// whether the disk has the tombstone, and in a fleet how many replicas have forgotten the face.
    pub async fn forget(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<(bool, Option<Spread>), UnsupportedSubject> {
        let names = instance.names(instance.resolve_own(subject)?);
        let time = self.policy().forget_for;
        let is_on_disk = self.forget_here(instance, &names, time).await;
        Ok((is_on_disk, self.share_forget(instance, names).await))
    }

    /// Forgets a face, which has these names, on this replica.
    pub(super) async fn forget_here(
        &self,
        instance: &Instance,
        names: &[Subject],
        time: Duration,
    ) -> bool {
        let is_lid = |name: &Subject| matches!(name, Subject::Chat(jid) if jid.kind() == Kind::Lid);
        let mut is_on_disk = true;
        for (number, owner) in owners(instance.cache_name(), names.to_vec())
            .iter()
            .enumerate()
        {
            // Entries under other spellings are left over from earlier versions: only existing ones are forgotten. A LID
            // needs a tombstone of its own, because its number is forgotten below, and nothing leads from it to the number
            // then.
            if number == 0 || is_lid(&owner.subject) || self.is_stored(owner).await {
                is_on_disk &= self.forget_owner(owner, time).await;
            }
            instance.wanted().remove(&owner.key());
            // The cache may have evicted it.
            self.shared.in_trouble.remove(owner);
        }
        self.forget_identities(instance, names).await;
        for name in instance.earlier_cache_names() {
            for owner in owners(name, names.to_vec()) {
                self.shared.in_trouble.remove(&owner);
                if self.is_stored(&owner).await {
                    is_on_disk &= self.forget_owner(&owner, time).await;
                }
            }
        }
        is_on_disk
    }

    /// Forgets a face that has this name in the cache, but is of no configured account. `None` if there is no
    /// such face.
    pub async fn forget_stored(&self, name: &str, subject: Subject) -> Option<bool> {
        let mut is_on_disk = None;
        for owner in owners(&name.into(), person::names(subject)) {
            self.shared.in_trouble.remove(&owner);
            if self.is_stored(&owner).await {
                let time = self.policy().forget_for;
                let is_forgotten = self.forget_owner(&owner, time).await;
                is_on_disk = Some(is_on_disk.unwrap_or(true) & is_forgotten);
            }
        }
        is_on_disk
    }

    async fn is_stored(&self, owner: &Owner) -> bool {
        let cached = self.shared.store.look_up(&owner.key()).await;
        !matches!(cached, CacheAnswer::Absent)
    }

    /// The cached entry of a face that has this name in the cache, but is of no configured account.
    pub async fn stored_entry(&self, name: &str, subject: Subject) -> Option<Arc<Entry>> {
        for owner in owners(&name.into(), person::names(subject)) {
            if let Some(entry) = self.shared.store.find(&owner.key()).await {
                return Some(entry);
            }
        }
        None
    }

    async fn forget_owner(&self, owner: &Owner, time: Duration) -> bool {
        let _lock = self.shared.key_locks.lock(&owner.key()).await;
        self.replace_by_tombstone(owner, time).await.1
    }

    /// Forgets a face for `time`. Returns its tombstone.
    pub(super) async fn write_tombstone(&self, owner: &Owner, time: Duration) -> Arc<Entry> {
        let _lock = self.shared.key_locks.lock(&owner.key()).await;
        self.replace_by_tombstone(owner, time).await.0
    }

    /// The same for a caller that holds the key lock. Returns the tombstone, and whether the disk has it.
    pub(super) async fn replace_by_tombstone(
        &self,
        owner: &Owner,
        time: Duration,
    ) -> (Arc<Entry>, bool) {
        let (key, now) = (owner.key(), self.now());
        let tombstone = Arc::new(Entry::tombstone(now, now + time));
        self.shared.recent.remove(owner);
        self.shared.copies.remove_former(owner);
        let store = &self.shared.store;
        let before = store.find(&key).await;
        let is_on_disk = store.forget(&key, owner, tombstone.clone()).await;
        // Last: a request that has just found the face may still make copies.
        self.shared.copies.remove(before.as_deref());
        self.shared
            .announce(owner, before.as_deref(), Some(&tombstone));
        (tombstone, is_on_disk)
    }
}

/// The owners of the faces with these names.
fn owners(instance: &Arc<str>, names: Vec<Subject>) -> Vec<Owner> {
    let names = names.into_iter();
    let owner = |subject| Owner {
        instance: instance.clone(),
        subject,
    };
    names.map(owner).collect()
}
