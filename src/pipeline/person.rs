//! One person, one face: the name under which a person's face is kept, and the other names that may have an entry.

use std::sync::Arc;

use super::{Faces, Instance, fetch::Fetch};
use crate::{
    avatar::{Entry, Key, Spelling, Subject},
    store::{CacheAnswer, Owner},
};

impl Instance {
    /// The person behind `subject`: a LID is its number, if that is known, and both spellings of a number are one.
    pub fn person(&self, subject: Subject) -> Subject {
        self.identities().resolve(subject).spelled(Spelling::Plain)
    }

    /// The owner of the face of `subject` in the cache.
    pub fn owner(&self, subject: Subject) -> Owner {
        Owner {
            instance: self.cache_name().clone(),
            subject: self.person(subject),
        }
    }

    /// All names of the person behind `subject`. The first is the one that the face is kept under; earlier versions,
    /// or a time at which less was known, may have left entries under the others.
    pub(super) fn names(&self, subject: Subject) -> Vec<Subject> {
        let person = self.person(subject);
        let mut names = names(person);
        names.extend(self.identities().lids(person));
        names
    }
}

impl Fetch {
    /// If the person has no entry, looks for one that was kept under another name of the same person, and moves it.
    pub(super) async fn adopt_other_names(&self, before: CacheAnswer) -> CacheAnswer {
        if !matches!(before, CacheAnswer::Absent) {
            return before;
        }
        let faces = Faces {
            shared: self.shared.clone(),
        };
        let owner = self.owner();
        for name in self.instance.names(self.person) {
            if name != self.person && faces.merge(&owner, name).await {
                return self.shared.store.look_up(&self.key).await;
            }
        }
        before
    }

    /// The tombstone of a face that was forgotten when the instance had another account: forgetting is about
    /// the person.
    pub(super) async fn earlier_tombstone(&self, before: &CacheAnswer) -> Option<Arc<Entry>> {
        if !matches!(before, CacheAnswer::Absent) {
            return None;
        }
        let (store, now) = (&self.shared.store, self.shared.clock.now());
        for name in self.instance.earlier_cache_names() {
            for subject in self.instance.names(self.person) {
                let entry = store.find(&Key::new(name, &subject)).await;
                if let Some(entry) = entry.filter(|entry| entry.is_forgotten(now)) {
                    return Some(entry);
                }
            }
        }
        None
    }
}

impl Faces {
    /// Moves the entry that a person has under another name to the person's own. Returns whether there was an entry
    /// with content: a picture, or the mark that the face is forgotten.
    pub(super) async fn merge(&self, person: &Owner, name: Subject) -> bool {
        let former = Owner {
            instance: person.instance.clone(),
            subject: name,
        };
        // From now on, fetches are under the name of the person.
        self.shared.in_trouble.remove(&former);
        let cached = self.shared.store.look_up(&former.key()).await;
        let Some(entry) = cached.entry() else {
            return false;
        };
        let says_something = entry.picture.is_some() || entry.is_forgotten(self.now());
        if says_something {
            self.move_face(&former, person).await;
        }
        says_something
    }
}

/// The names of a person of whom only the number is known.
pub(super) fn names(person: Subject) -> Vec<Subject> {
    let mut names = vec![
        person.spelled(Spelling::Plain),
        person.spelled(Spelling::Extra),
    ];
    names.dedup();
    names
}
