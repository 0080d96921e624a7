//! The faces whose last fetch ended in trouble, for the dashboard.

use std::{
    cmp::Reverse,
    sync::{Arc, Mutex, MutexGuard},
};

use super::recent_updates::is_same;
use crate::{
    avatar::{Entry, Outcome, Trouble},
    clock::Timestamp,
    store::Owner,
    sync::lock,
};

/// A face whose last fetch ended in trouble.
#[derive(Clone, Debug)]
pub struct FaceInTrouble {
    /// The face.
    pub owner: Owner,
    /// The reason.
    pub why: Trouble,
    /// When the vendor was asked.
    pub asked_at: Timestamp,
    /// The earliest next attempt.
    pub retry_at: Timestamp,
}

/// A list of the faces whose last fetch ended in trouble. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct FacesInTrouble {
    /// Newest first. Held for a few instructions, never across an await.
    faces: Arc<Mutex<Vec<FaceInTrouble>>>,
}

/// The length of the list.
const MAX_FACES: usize = 50;

impl FacesInTrouble {
    /// Lists a face with this entry, if it is in trouble, and removes it otherwise. A used-up budget is no trouble: the
    /// queue fetches such a face.
    pub(super) fn record(&self, owner: &Owner, entry: Option<&Entry>) {
        let mut faces = self.faces();
        faces.retain(|known| !is_same(&known.owner, owner));
        let Some(last) = entry.map(|entry| entry.last) else {
            return;
        };
        if let Outcome::Trouble(why) = last.outcome
            && why != Trouble::OverBudget
        {
            let face = FaceInTrouble {
                owner: owner.clone(),
                why,
                asked_at: last.asked_at,
                retry_at: last.retry_at,
            };
            // A sibling's entry may be older than those in the list.
            faces.insert(0, face);
            faces.sort_by_key(|face| Reverse(face.asked_at));
            faces.truncate(MAX_FACES);
        }
    }

    /// Removes a face from the list.
    pub(super) fn remove(&self, owner: &Owner) {
        self.record(owner, None);
    }

    /// Removes all faces with this name in the cache.
    pub(super) fn remove_account(&self, name: &str) {
        self.faces().retain(|face| *face.owner.instance != *name);
    }

    /// Removes all faces.
    pub(super) fn clear(&self) {
        self.faces().clear();
    }

    /// The list, newest first.
    pub(super) fn all(&self) -> Vec<FaceInTrouble> {
        self.faces().clone()
    }

    fn faces(&self) -> MutexGuard<'_, Vec<FaceInTrouble>> {
        lock(&self.faces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_the_newest_faces_come_first() {
        let list = FacesInTrouble::default();
        for second in 0..100 {
            let at = Timestamp::from_secs(second);
            let mut entry = Entry::tombstone(at, at);
            entry.last.outcome = Outcome::Trouble(Trouble::Auth);
            let owner = Owner {
                instance: "shop".into(),
                subject: format!("6281{second:08}").parse().unwrap(),
            };
            list.record(&owner, Some(&entry));
        }
        let seconds = list.all().into_iter().map(|face| face.asked_at.as_secs());
        assert!(seconds.eq((50..100).rev()));
    }
}
