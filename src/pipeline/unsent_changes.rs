//! The changes that a fleet's Redis has not taken. One task sends them again, until it takes them or the process ends.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use crate::{
    avatar::Subject,
    clock::Timestamp,
    fleet::{EngineFailure, SharedAccount},
    sync::lock,
};

/// A change that the siblings hear of.
#[derive(Clone, Debug)]
pub(super) struct SharedChange {
    pub(super) account: Arc<SharedAccount>,
    pub(super) kind: SharedChangeKind,
}

/// The kind of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SharedChangeKind {
    /// The entry of a face was removed.
    Removed(Subject),
    /// All faces were purged in this mode, as siblings read it.
    Purged(String),
    /// The pause was lifted, at this time of the server's clock.
    LiftedPause(Timestamp),
}

/// Changes that wait to be sent again.
#[derive(Debug)]
pub(super) struct UnsentChanges<T>(Mutex<Waiting<T>>);

#[derive(Debug)]
struct Waiting<T> {
    changes: VecDeque<T>,
    /// Whether there is a task that sends them.
    is_served: bool,
}

/// The fate of a change that could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// It waits, and needs a task that sends it.
    First,
    /// It waits for the task that there is.
    Waits,
    /// Too many wait.
    Lost,
}

/// The most changes that wait.
const MOST: usize = 1000;

impl SharedChange {
    /// Sends the change to Redis.
    pub(super) async fn send(&self) -> Result<(), EngineFailure> {
        let account = &self.account;
        match &self.kind {
            SharedChangeKind::Removed(subject) => account.remove(subject).await,
            SharedChangeKind::Purged(mode) => account.purge(mode).await,
            SharedChangeKind::LiftedPause(at) => account.lift_pause(*at).await,
        }
    }
}

impl PartialEq for SharedChange {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.account, &other.account) && self.kind == other.kind
    }
}

impl<T: PartialEq> UnsentChanges<T> {
    pub(super) fn add(&self, change: T) -> Acceptance {
        let mut waiting = lock(&self.0);
        // An equal change that waits is sent after this moment, so it stands for this one, too.
        if waiting.changes.contains(&change) {
            return Acceptance::Waits;
        }
        if waiting.changes.len() >= MOST {
            return Acceptance::Lost;
        }
        waiting.changes.push_back(change);
        match std::mem::replace(&mut waiting.is_served, true) {
            true => Acceptance::Waits,
            false => Acceptance::First,
        }
    }

    /// Takes the first change to send it. The same change does not count as waiting meanwhile: Redis may already have it.
    pub(super) fn take(&self) -> Option<T> {
        lock(&self.0).changes.pop_front()
    }

    /// Puts a change back that could not be sent.
    pub(super) fn put_back(&self, change: T) {
        let mut waiting = lock(&self.0);
        if !waiting.changes.contains(&change) {
            waiting.changes.push_front(change);
        }
    }

    /// Whether no change waits. The task that asks ends then.
    pub(super) fn is_over(&self) -> bool {
        let mut waiting = lock(&self.0);
        waiting.is_served = !waiting.changes.is_empty();
        !waiting.is_served
    }
}

impl<T> Default for UnsentChanges<T> {
    fn default() -> Self {
        Self(Mutex::new(Waiting {
            changes: VecDeque::new(),
            is_served: false,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_wait_once_each_in_order_up_to_the_bound_for_one_task() {
        let unsent = UnsentChanges::default();
        assert_eq!(unsent.add(0), Acceptance::First);
        for number in 1..MOST {
            assert_eq!(unsent.add(number), Acceptance::Waits);
        }
        assert_eq!(unsent.add(7), Acceptance::Waits, "it waits already");
        assert_eq!(unsent.add(MOST), Acceptance::Lost);
        for number in 0..MOST {
            assert!(!unsent.is_over());
            assert_eq!(unsent.take(), Some(number));
            unsent.put_back(number);
            assert_eq!(unsent.take(), Some(number), "it comes first again");
        }
        assert!(unsent.is_over());
        assert_eq!(unsent.add(0), Acceptance::First, "the task has ended");
    }
}
