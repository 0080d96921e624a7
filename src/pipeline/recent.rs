//! The faces that came last, for the operator's wall.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OnceCell;

use super::Faces;
use crate::{clock::Timestamp, store::Owner};

/// A wall's worth of faces. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentUpdates {
    /// Newest first. Held for a few instructions, never across an await.
    faces: Arc<Mutex<VecDeque<(Owner, Timestamp)>>>,
    /// Whether those that came before the start are among them.
    loaded: Arc<OnceCell<()>>,
}

/// So many are shown.
const MOST: usize = 60;
/// Of a larger cache, the faces from before the start are not loaded: that takes seconds.
const LARGE: u64 = 20_000;

impl RecentUpdates {
    /// A face has come, or has another picture.
    pub(super) fn record(&self, owner: &Owner, at: Timestamp) {
        let mut faces = self.faces();
        faces.retain(|(known, _)| !is_same(known, owner));
        faces.push_front((owner.clone(), at));
        faces.truncate(MOST);
    }

    /// A face is gone.
    pub(super) fn remove(&self, owner: &Owner) {
        self.faces().retain(|(known, _)| !is_same(known, owner));
    }

    fn faces(&self) -> MutexGuard<'_, VecDeque<(Owner, Timestamp)>> {
        self.faces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same(a: &Owner, b: &Owner) -> bool {
    a.instance == b.instance && a.subject == b.subject
}

impl Faces {
    /// The faces that came last, newest first.
    pub async fn recent_updates(&self) -> Vec<(Owner, Timestamp)> {
        let recent = &self.shared.recent;
        let store = &self.shared.store;
        let load = || async {
            if store.health().totals.entries > LARGE {
                return;
            }
            let before = store.newest(MOST).await;
            let mut faces = recent.faces();
            for (owner, at) in before {
                if faces.len() < MOST && !faces.iter().any(|(known, _)| is_same(known, &owner)) {
                    faces.push_back((owner, at));
                }
            }
        };
        recent.loaded.get_or_init(load).await;
        recent.faces().iter().cloned().collect()
    }
}
