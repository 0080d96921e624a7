//! The faces that changed last, for the dashboard.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::OnceCell;

use crate::{
    clock::Timestamp,
    store::{Owner, Store},
    sync::lock,
};

/// A list of the faces that changed last. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentUpdates {
    /// Newest first. Held for a few instructions, never across an await.
    faces: Arc<Mutex<VecDeque<(Owner, Timestamp)>>>,
    /// Set once the faces from before the start of the process were added.
    loaded: Arc<OnceCell<()>>,
}

/// The length of the list.
const MAX_FACES: usize = 60;
/// The largest number of entries in the cache for which the faces from before the start are added. For
/// more, reading them takes seconds.
const MAX_ENTRIES: u64 = 20_000;

impl RecentUpdates {
    /// Puts a face that is new or has a new picture at the front of the list.
    pub(super) fn record(&self, owner: &Owner, at: Timestamp) {
        let mut faces = self.faces();
        faces.retain(|(known, _)| !is_same(known, owner));
        faces.push_front((owner.clone(), at));
        faces.truncate(MAX_FACES);
    }

    /// Removes a face from the list.
    pub(super) fn remove(&self, owner: &Owner) {
        self.faces().retain(|(known, _)| !is_same(known, owner));
    }

    /// The list, newest first. The first call adds the faces from before the start.
    pub(super) async fn all(&self, store: &Store) -> Vec<(Owner, Timestamp)> {
        self.loaded.get_or_init(|| self.load_earlier(store)).await;
        self.faces().iter().cloned().collect()
    }

    /// Appends the faces from before the start, as the disk has them.
    async fn load_earlier(&self, store: &Store) {
        if store.health().totals.entries > MAX_ENTRIES {
            return;
        }
        let earlier = store.newest(MAX_FACES).await;
        let mut faces = self.faces();
        for (owner, at) in earlier {
            if faces.len() < MAX_FACES && !faces.iter().any(|(known, _)| is_same(known, &owner)) {
                faces.push_back((owner, at));
            }
        }
    }

    fn faces(&self) -> MutexGuard<'_, VecDeque<(Owner, Timestamp)>> {
        lock(&self.faces)
    }
}

/// Whether both are the same face.
pub(super) fn is_same(a: &Owner, b: &Owner) -> bool {
    a.instance == b.instance && a.subject == b.subject
}
