//! A listener's feed of changes of an instance's faces. Each feed has its own position in the history. A feed that
//! falls behind gets an event that says so, and costs no memory.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    Faces, Instance,
    changes::{Appearance, ChangeId, History},
    person,
};
use crate::avatar::{Identities, Subject};

/// A message to a listener.
#[derive(Clone, Debug)]
pub enum FaceEvent {
    /// A face shows something else than before.
    Changed {
        /// The account or chat.
        subject: Subject,
        /// Other spellings of its number, and `me` for the account's own. A LID has an event of its own, because
        /// listeners that know a LID need not know the number.
        others: Vec<Subject>,
        /// What the face shows now.
        appearance: Appearance,
    },
    /// Changes were missed.
    Missed,
}

/// A listener's place in the history of an instance.
#[derive(Debug)]
pub struct ChangeFeed {
    instance: Arc<Instance>,
    history: Arc<History>,
    end: watch::Receiver<u64>,
    /// The number of the next change to be read.
    next: u64,
    /// How many events of that change were read. A change has one event for each name of the person.
    part: usize,
    has_missed: bool,
}

/// How old the changes are that a new listener gets: it may have loaded images before it began to listen.
const LOOK_BACK: Duration = Duration::from_secs(60);

impl Faces {
    /// The changes of the faces of `instance`: those after `last`, or else from a minute ago.
    pub fn changes(&self, instance: &Arc<Instance>, last: Option<ChangeId>) -> ChangeFeed {
        let history = self.shared.changes.of(instance.cache_name());
        // Before the place is read, so that no change is missed in between.
        let end = history.end();
        let next = match last {
            Some(last) => history.after(last),
            None => Some(history.since(self.now() - LOOK_BACK)),
        };
        let has_missed = next.is_none();
        let next = next.unwrap_or(*end.borrow());
        ChangeFeed {
            instance: instance.clone(),
            history,
            end,
            next,
            part: 0,
            has_missed,
        }
    }
}

impl ChangeFeed {
    /// The instance whose faces these are.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// Follows the instance into another configuration. The place in the history stays unless the faces are those
    /// of another account.
    pub fn follow(&mut self, faces: &Faces, instance: &Arc<Instance>) {
        if instance.cache_name() == self.instance.cache_name() {
            self.instance = instance.clone();
        } else {
            *self = faces.changes(instance, None);
            self.has_missed = true;
        }
    }

    /// The name of the last change that was read.
    pub fn last(&self) -> ChangeId {
        self.history.id_before(self.next)
    }

    /// The next event. No event is lost if the future is dropped.
    pub async fn next(&mut self) -> FaceEvent {
        loop {
            self.end.mark_unchanged();
            if let Some(event) = self.try_next() {
                return event;
            }
            // Waiting cannot fail, because the history holds the sender.
            let _ = self.end.changed().await;
        }
    }

    fn try_next(&mut self) -> Option<FaceEvent> {
        let change = match self.history.get(self.next) {
            Ok(change) if !self.has_missed => change?,
            Ok(_) => {
                self.has_missed = false;
                return Some(FaceEvent::Missed);
            }
            Err(end) => {
                (self.next, self.part, self.has_missed) = (end, 0, false);
                return Some(FaceEvent::Missed);
            }
        };
        let mut lids = self.instance.identities().lids(change.subject);
        lids.truncate(Identities::MAX_OF_NUMBER);
        let lid = lids.get(self.part).copied();
        (self.next, self.part) = match lid {
            Some(_) => (self.next, self.part + 1),
            None => (self.next + 1, 0),
        };
        let subject = lid.unwrap_or(change.subject);
        let mut others = match lid {
            Some(_) => Vec::new(),
            None => person::names(subject),
        };
        others.retain(|name| *name != subject);
        let own = self.instance.resolve_own(Subject::Me);
        if lid.is_none() && subject != Subject::Me && own.is_ok_and(|own| own == subject) {
            others.push(Subject::Me);
        }
        Some(FaceEvent::Changed {
            subject,
            others,
            appearance: change.appearance,
        })
    }
}
