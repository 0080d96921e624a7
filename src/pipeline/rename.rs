//! Renames the faces of an account that no instance has any more: moves them to an instance.
//!
//! Each face is written under its new name before the old entry is removed, so a run that was cut off can be
//! repeated and continues.

use std::sync::Arc;

use super::{Demand, Faces, Instances, NotMade};
use crate::{
    avatar::{Entry, Key},
    store::{CacheAnswer, Owner, instance_of},
};

/// The result of a renaming.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameCounts {
    /// Faces that have the new name now.
    pub renamed: usize,
    /// Faces that the new name had already. The old entries are removed.
    pub known: usize,
    /// Faces that could not be moved. They still have the old name.
    pub failed: usize,
}

/// Why nothing was renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// There are no faces of the old name.
    #[error("the cache has no faces of the old name; faceplate cache stats lists the names")]
    NoFaces,
    /// A configured instance uses the old name.
    #[error(
        "a configured instance uses the old name; rename or remove it in the configuration first"
    )]
    InUse,
    /// No instance has the new name.
    #[error(
        "no configured instance has the new name; rename the instance in the configuration first"
    )]
    UnknownInstance,
    /// The new name is of a pattern, and no instance of that can be made now.
    #[error(
        "no instance of the new name can be made now; raise max_names of its pattern, or repeat it later"
    )]
    Full,
}

/// The result for one face.
pub(super) enum Renaming {
    Renamed,
    Known,
    Failed,
}

impl Faces {
    /// Gives all faces called `from` on disk to the instance called `to`.
    pub async fn rename(
        &self,
        instances: &Instances,
        from: &str,
        to: &str,
    ) -> Result<RenameCounts, RenameError> {
        let to = instances.make(to, Demand::Credential).await;
        let to = to.map_err(|error| match error {
            NotMade::Unknown => RenameError::UnknownInstance,
            NotMade::Full => RenameError::Full,
        })?;
        if self.is_in_use(instances, from) {
            return Err(RenameError::InUse);
        }
        let owners = self.shared.store.owners(Some(from.into())).await;
        // An earlier run may have ended between its last face and the state.
        let has_state = !instances.is_configured(instance_of(from))
            && self
                .shared
                .store
                .instances_on_disk()
                .contains(instance_of(from));
        if owners.is_empty() && !has_state {
            return Err(RenameError::NoFaces);
        }
        let mut counts = RenameCounts::default();
        for owner in owners {
            match self.move_face(&owner, &to.owner(owner.subject)).await {
                Renaming::Renamed => counts.renamed += 1,
                Renaming::Known => counts.known += 1,
                Renaming::Failed => counts.failed += 1,
            }
        }
        if counts.failed == 0 {
            self.take_over_identities(from, &to).await;
            self.remove_state(instances, from).await;
        }
        tracing::info!(from, to = %to.name(), renamed = counts.renamed, known = counts.known, failed = counts.failed, "renamed faces in the cache");
        Ok(counts)
    }

    /// Whether a configured instance uses the faces that are called `name` on disk.
    fn is_in_use(&self, instances: &Instances, name: &str) -> bool {
        if instances.by_cache_name(name).is_some() {
            return true;
        }
        let instance = instance_of(name);
        let is_made = instances.get(instance).is_some();
        if is_made || !instances.is_configured(instance) {
            return false;
        }
        // An instance of a pattern that is not in memory.
        let names = self.shared.store.load_account_names(instance);
        names.is_none_or(|names| names.current() == name)
    }

    /// Moves the face of `owner` to `target`, unless that has one.
    pub(super) async fn move_face(&self, owner: &Owner, target: &Owner) -> Renaming {
        let store = &self.shared.store;
        let (old, new) = (owner.key(), target.key());
        let CacheAnswer::Found(entry) = store.look_up(&old).await else {
            return Renaming::Failed;
        };
        let renaming = {
            let _lock = self.shared.key_locks.lock(&new).await;
            self.adopt(target, entry, &old).await
        };
        // The locks of two keys are never held together.
        let _lock = self.shared.key_locks.lock(&old).await;
        self.shared.recent.remove(owner);
        self.shared.in_trouble.remove(owner);
        match renaming {
            Renaming::Failed => Renaming::Failed,
            _ if !store.remove(&old).await => Renaming::Failed,
            renaming => renaming,
        }
    }

    /// Writes `entry`, which has been that of the key `old`, for `target`, unless it has one. A forgotten face
    /// stays forgotten.
    async fn adopt(&self, target: &Owner, entry: Arc<Entry>, old: &Key) -> Renaming {
        let (store, now, key) = (&self.shared.store, self.now(), target.key());
        let is_known = match store.look_up(&key).await {
            CacheAnswer::Absent => false,
            // A picture takes the place of an entry without one.
            CacheAnswer::Found(known) => {
                known.is_forgotten(now)
                    || !entry.is_forgotten(now)
                        && (known.picture.is_some() || entry.picture.is_none())
            }
            CacheAnswer::Unknown | CacheAnswer::Unreadable | CacheAnswer::PictureUnreadable => {
                return Renaming::Failed;
            }
        };
        if !store.rename_in_archive(old, target).await {
            return Renaming::Failed;
        }
        if is_known {
            return Renaming::Known;
        }
        let is_on_disk = if entry.is_forgotten(now) {
            store.forget(&key, target, entry.clone()).await
        } else {
            store.put(&key, target, entry.clone()).await
        };
        self.shared.announce(target, None, Some(&entry));
        if is_on_disk {
            Renaming::Renamed
        } else {
            Renaming::Failed
        }
    }

    /// Removes the state of faces that are gone from the cache: the name of an earlier account, or everything
    /// about an instance that is not configured.
    pub async fn remove_state(&self, instances: &Instances, name: &str) {
        let instance = instance_of(name);
        let is_configured = instances.is_configured(instance);
        let store = &self.shared.store;
        store
            .remove_account_name(instance, name, is_configured)
            .await;
    }
}
