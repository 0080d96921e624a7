//! Compares this replica's entries with those of the fleet, after changes were missed, and offers the fleet those that it
//! could not store.

use std::sync::Arc;

use super::{
    Faces, Instance, PurgeMode,
    fetch::Fetch,
    fleet_changes::{NotAdopted, UnreadableEntry, is_newer, is_outdated},
};
use crate::{
    avatar::{Ask, Entry, Outcome, Plan, decide},
    fleet::{Commit, EngineFailure, SharedAccount, SharedFace},
    store::{AccountNames, CacheAnswer, Owner, Store},
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
    /// Compares all entries of an account with the fleet's. A process that ends before begins again.
    pub fn compare_in_background(&self, instance: Arc<Instance>) {
        let (faces, shutdown) = (self.clone(), self.shared.shutdown.clone());
        self.shared.event_tasks.spawn(async move {
            let work = faces.compare_all(&instance);
            shutdown.run_until_cancelled(work).await;
        });
    }

    /// Compares all entries of an account with the fleet's. Ends early if Redis does not answer, and begins
    /// again later.
    async fn compare_all(&self, instance: &Instance) {
        let Some(account) = instance.shared() else {
            return;
        };
        let Some(_comparison) = account.begin_comparison().await else {
            return;
        };
        let epoch = account.epoch();
        let owners = self.owners(&[instance.cache_name().clone()]).await;
        // Forgotten faces are among the first. Until Redis knows of one, a sibling that was away may show it.
        for owners in owners.chunks(BATCH) {
            let subjects: Vec<_> = owners.iter().map(|owner| owner.subject).collect();
            let Ok(shared) = account.shared_faces(&subjects).await else {
                return account.abort_comparison();
            };
            for (owner, shared) in owners.iter().zip(shared) {
                self.compare(account, owner, shared).await;
            }
        }
        account.finish_comparison(epoch);
    }

    /// Compares the entries that may differ because an engine failed. If it fails again, or the process ends, they stay
    /// among those that may differ.
    pub async fn compare_differing(&self, instance: &Instance) {
        let Some(account) = instance.shared() else {
            return;
        };
        for faces in account.differing().chunks(BATCH) {
            let subjects: Vec<_> = faces.iter().map(|face| face.subject).collect();
            let Ok(shared) = account.shared_faces(&subjects).await else {
                return;
            };
            for (face, shared) in faces.iter().zip(shared) {
                let owner = instance.owner(face.subject);
                self.compare(account, &owner, shared).await;
                account.settle(face);
            }
        }
    }

    /// Saves whether entries of an account may differ from those of Redis, until the disk says what is so.
    pub async fn save_unsent(&self, instance: &Instance) {
        let Some(account) = instance.shared() else {
            return;
        };
        loop {
            let is_unsent = account.has_unsent_changes();
            if is_unsent == account.is_saved_as_unsent() {
                return;
            }
            let state = move || is_unsent.to_string().into_bytes();
            let name = state_name(instance.cache_name()).into();
            if !self.shared.store.save_state(name, state).await {
                // It is tried again later.
                return;
            }
            account.set_saved_as_unsent(is_unsent);
        }
    }

    /// Compares one entry: takes the fleet's if it is newer, and offers this replica's if that is.
    async fn compare(&self, account: &Arc<SharedAccount>, owner: &Owner, shared: SharedFace) {
        let now = self.now();
        let (entry, base) = match self.entry_and_version(account, owner).await {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(UnreadableEntry::Picture) => {
                if let SharedFace::Entry(shared) = shared {
                    self.adopt_or_purge(account, owner, *shared).await;
                }
                return;
            }
            // It is not shown. A disk that stays broken is not asked again and again.
            Err(UnreadableEntry::Whole) => return,
        };
        if entry.is_forgotten(now) {
            // A tombstone that Redis has not heard of.
            let left = entry.last.retry_at.since(now);
            match account.forget(&owner.subject, left).await {
                Ok(_) => account.record_compared(&owner.subject),
                Err(EngineFailure) => account.record_differing(owner.subject),
            }
            return;
        }
        match shared {
            SharedFace::Removed(version) if base < version => {
                self.purge_face(owner, PurgeMode::Hard).await;
                account.record_removed(&owner.subject, version);
            }
            SharedFace::Absent | SharedFace::Removed(_) => {
                account.record_compared(&owner.subject);
                // Redis has lost the entry, or this replica's is newer. An entry that is due is stored by its next fetch.
                if decide(Some(&entry), Ask::View, now, self.policy()) == Plan::Serve {
                    self.offer(account, owner, entry, base).await;
                }
            }
            SharedFace::Foreign => account.record_compared(&owner.subject),
            SharedFace::Entry(shared) => {
                let taken = self.adopt_shared(account, owner, (*shared).clone()).await;
                match taken {
                    Ok(entry) if is_newer(&entry, &shared) => {
                        self.offer(account, owner, entry, shared.version).await;
                    }
                    Ok(entry) if is_outdated(account, owner, &entry, &shared) => {
                        // Read again: a newer one may have been stored and taken since it was read.
                        match account.shared_face(&owner.subject).await {
                            Ok(SharedFace::Entry(latest))
                                if is_outdated(account, owner, &entry, &latest) =>
                            {
                                self.offer(account, owner, entry, latest.version).await;
                            }
                            Ok(_) => {}
                            Err(EngineFailure) => account.record_differing(owner.subject),
                        }
                    }
                    Err(NotAdopted::PictureUnreadable) => account.record_differing(owner.subject),
                    Err(NotAdopted::PictureLost) => {
                        account.record_compared(&owner.subject);
                        let is_later = entry.last.asked_at > shared.last.answer_asked_at;
                        let known = account.known_version(&owner.subject);
                        if is_later && entry.last.outcome == Outcome::Picture {
                            self.offer(account, owner, entry, shared.version).await;
                        } else if known < shared.version {
                            // The fetch of the next request asks the vendor for it.
                            self.purge_face(owner, PurgeMode::Soft).await;
                        }
                    }
                    Ok(_) | Err(NotAdopted::Purged | NotAdopted::Unreadable) => {}
                }
            }
        }
    }

    /// Stores this replica's entry in the fleet, unless a sibling's is newer. It takes the fleet's entry of version `base`
    /// into account.
    async fn offer(
        &self,
        account: &Arc<SharedAccount>,
        owner: &Owner,
        entry: Arc<Entry>,
        mut base: u64,
    ) {
        if entry.is_forgotten(self.now()) {
            return;
        }
        for _ in 0..CONFLICTS {
            let commit = account.commit(&owner.subject, base, &entry, true, None);
            match commit.await {
                Ok(Commit::Conflict(shared)) => {
                    let is_newer =
                        is_newer(&entry, &shared) || is_outdated(account, owner, &entry, &shared);
                    if !is_newer {
                        return self.adopt_or_purge(account, owner, shared).await;
                    }
                    account.know(&owner.subject, &shared);
                    base = shared.version;
                }
                Ok(Commit::Forgotten(left)) => {
                    self.write_tombstone(owner, left).await;
                    return;
                }
                Ok(
                    Commit::Stored | Commit::Removed(_) | Commit::Foreign | Commit::PictureMissing,
                )
                | Err(EngineFailure) => return,
            }
        }
        // Siblings have stored other entries all the while.
        account.record_differing(owner.subject);
    }
}

/// Whether the disk says that entries of an account of `instance` may differ from those of Redis.
pub fn has_unsent_changes(store: &Store, instance: &str) -> bool {
    let names = store.load_account_names(instance);
    let mut names = names.iter().flat_map(AccountNames::all);
    names.any(|name| is_saved_as_unsent(store, name))
}

/// Whether the disk says that entries of the account whose faces are called `cache_name` may differ from those of Redis.
pub fn is_saved_as_unsent(store: &Store, cache_name: &str) -> bool {
    let saved = store.load_state(&state_name(cache_name));
    // A shorter state is padded with blanks.
    saved.is_some_and(|state| serde_json::from_slice(&state).unwrap_or(true))
}

/// The name of the state file. No instance's name has a dot in it, so it names no other file.
fn state_name(cache_name: &str) -> String {
    format!("{cache_name}.unsent")
}
