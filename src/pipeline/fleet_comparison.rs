//! Compares this replica's entries with those of the fleet, after changes were missed, and offers the fleet those that it
//! could not store.

use std::sync::Arc;

use super::{Faces, Instance, PurgeMode, fetch::Fetch, fleet_changes::is_newer};
use crate::{
    avatar::{Ask, Entry, Plan, decide},
    fleet::{Commit, EngineFailure, SharedAccount, SharedFace},
    store::{CacheAnswer, Owner},
};

/// The entries that one command compares.
const BATCH: usize = 100;
/// The most entries of siblings that an offer gives way to.
const CONFLICTS: usize = 4;

impl Fetch {
    /// The entry, compared with the fleet's if that has to be done before it counts as fresh.
    pub(super) async fn compare_with_fleet(&self, before: CacheAnswer) -> CacheAnswer {
        let Some(account) = self.instance.shared() else {
            return before;
        };
        if before.entry().is_none() || !self.instance.is_outdated_in_fleet(&self.person) {
            return before;
        }
        let owner = self.owner();
        let faces = Faces {
            shared: self.shared.clone(),
        };
        // Without Redis, the entry is served as it is.
        if let Ok(shared) = account.shared_face(&self.person).await {
            faces.compare(account, &owner, shared).await;
            return self.shared.store.look_up(&self.key).await;
        }
        before
    }
}

impl Faces {
    /// Compares all entries of an account with the fleet's. Ends early if Redis does not answer: the next connection
    /// begins again.
    pub async fn compare_all(&self, instance: &Instance) {
        let Some(account) = instance.shared() else {
            return;
        };
        let epoch = account.epoch();
        let owners = self.owners(&[instance.cache_name().clone()]).await;
        for owners in owners.chunks(BATCH) {
            let subjects: Vec<_> = owners.iter().map(|owner| owner.subject).collect();
            let Ok(shared) = account.shared_faces(&subjects).await else {
                return;
            };
            for (owner, shared) in owners.iter().zip(shared) {
                self.compare(account, owner, shared).await;
            }
        }
        account.finish_comparison(epoch);
    }

    /// Offers the fleet the entries that could not be stored in Redis.
    pub async fn offer_unshared(&self, instance: &Instance) {
        let Some(account) = instance.shared() else {
            return;
        };
        let mut unshared = account.take_unshared().into_iter();
        while let Some(subject) = unshared.next() {
            let owner = instance.owner(subject);
            let Ok(shared) = account.shared_face(&subject).await else {
                let rest = std::iter::once(subject).chain(unshared);
                return rest.for_each(|subject| account.record_unshared(subject));
            };
            match shared {
                SharedFace::Absent | SharedFace::Removed(_) => {
                    let entry = self.shared.store.find(&owner.key()).await;
                    if let Some(entry) = entry {
                        self.offer(account, &owner, entry).await;
                    }
                }
                shared => self.compare(account, &owner, shared).await,
            }
        }
    }

    /// Compares one entry: takes the fleet's if it is newer, and offers this replica's if that is.
    async fn compare(&self, account: &Arc<SharedAccount>, owner: &Owner, shared: SharedFace) {
        let (store, now) = (&self.shared.store, self.now());
        let Some(entry) = store.find(&owner.key()).await else {
            return;
        };
        if entry.is_forgotten(now) {
            // A tombstone that Redis has not heard of.
            let left = entry.last.retry_at.since(now);
            let _ = account.forget(&owner.subject, left).await;
            account.record_compared(&owner.subject);
            return;
        }
        match shared {
            SharedFace::Absent => {
                account.record_compared(&owner.subject);
                // Redis has lost it. One that is due is stored when it is confirmed.
                if decide(Some(&entry), Ask::View, now, self.policy()) == Plan::Serve {
                    self.offer(account, owner, entry).await;
                }
            }
            SharedFace::Foreign => account.record_compared(&owner.subject),
            SharedFace::Removed(version) => {
                if account.known_version(&owner.subject) < version {
                    self.purge_face(owner, PurgeMode::Hard).await;
                }
                account.record_compared(&owner.subject);
            }
            SharedFace::Entry(shared) => {
                let taken = self.adopt_shared(account, owner, (*shared).clone()).await;
                if let Ok(entry) = taken
                    && is_newer(&entry, &shared)
                {
                    self.offer(account, owner, entry).await;
                }
            }
        }
    }

    /// Stores this replica's entry in the fleet, unless a sibling's is newer.
    async fn offer(&self, account: &Arc<SharedAccount>, owner: &Owner, entry: Arc<Entry>) {
        if entry.is_forgotten(self.now()) {
            return;
        }
        for _ in 0..CONFLICTS {
            match account.commit(&owner.subject, &entry, true, None).await {
                Ok(Commit::Conflict(shared)) => {
                    if !is_newer(&entry, &shared) {
                        // Else a fetch takes it.
                        let _ = self.adopt_shared(account, owner, shared).await;
                        return;
                    }
                    account.know(&owner.subject, &shared);
                }
                Ok(Commit::Forgotten(left)) => {
                    self.write_tombstone(owner, left).await;
                    return;
                }
                Ok(Commit::Stored | Commit::Foreign) | Err(EngineFailure) => return,
            }
        }
    }
}
