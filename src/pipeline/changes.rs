//! The changes of faces: a bounded history of each instance.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    str::FromStr,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use crate::{
    avatar::{Digest, Empty, Entry, Outcome, Subject},
    clock::Timestamp,
    store::Owner,
    sync::lock,
};

/// What a face shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appearance {
    /// A picture.
    Picture(Digest),
    /// A placeholder, because there is no picture.
    Nothing(Empty),
    /// A placeholder, because it is not known whether there is a picture.
    NotKnown,
}

/// A face that shows something else than before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) subject: Subject,
    pub(super) appearance: Appearance,
    at: Timestamp,
}

/// Names a change, so that a listener can go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeId {
    /// The history that it belongs to. Histories end with the process.
    history: u32,
    number: u64,
}

/// The histories of all instances, by their names in the cache. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes(Arc<Mutex<HashMap<Arc<str>, Arc<History>>>>);

/// The last changes of an instance.
#[derive(Debug)]
pub(super) struct History {
    id: u32,
    changes: Mutex<VecDeque<Change>>,
    /// The number of the change that comes next. It changes under the lock of `changes`.
    end: watch::Sender<u64>,
}

/// The most histories that are kept without a listener.
const MAX_IDLE: usize = 128;

impl Appearance {
    /// What a face with this entry shows.
    fn of(entry: Option<&Entry>) -> Self {
        let Some(entry) = entry else {
            return Appearance::NotKnown;
        };
        match (&entry.picture, entry.last.outcome) {
            (Some(stored), _) => Appearance::Picture(stored.picture.digest()),
            (None, Outcome::Empty(empty)) => Appearance::Nothing(empty),
            (None, _) => Appearance::NotKnown,
        }
    }
}

// === impl Changes ===

impl Changes {
    /// Adds that the face of `owner` has changed, if it shows something else than before. At most `most` changes of an
    /// instance are kept.
    pub(super) fn record(
        &self,
        owner: &Owner,
        before: Option<&Entry>,
        after: Option<&Entry>,
        at: Timestamp,
        most: usize,
    ) {
        let (before, appearance) = (Appearance::of(before), Appearance::of(after));
        let is_lost = matches!(before, Appearance::Picture(_));
        if appearance == before || (appearance == Appearance::NotKnown && !is_lost) {
            return;
        }
        let change = Change {
            subject: owner.subject,
            appearance,
            at,
        };
        self.of(&owner.instance).add(change, most);
    }

    /// Whether a client listens to the changes of the instance of this name in the cache.
    pub(super) fn has_listeners(&self, instance: &Arc<str>) -> bool {
        let histories = lock(&self.0);
        let history = histories.get(instance);
        history.is_some_and(|history| history.end.receiver_count() > 0)
    }

    /// The history of the instance of this name in the cache.
    pub(super) fn of(&self, instance: &Arc<str>) -> Arc<History> {
        let mut histories = lock(&self.0);
        if let Some(history) = histories.get(instance) {
            return history.clone();
        }
        if histories.len() >= MAX_IDLE {
            histories.retain(|_, history| Arc::strong_count(history) > 1);
        }
        let history = Arc::new(History::new());
        histories.insert(instance.clone(), history.clone());
        history
    }
}

// === impl History ===

impl History {
    fn new() -> Self {
        Self {
            id: getrandom::u32().unwrap_or_default(),
            changes: Mutex::default(),
            // There is a number before the first change.
            end: watch::Sender::new(1),
        }
    }

    fn add(&self, change: Change, most: usize) {
        let mut changes = lock(&self.changes);
        changes.push_back(change);
        while changes.len() > most {
            changes.pop_front();
        }
        self.end.send_modify(|end| *end += 1);
    }

    /// Follows the number of the change that comes next.
    pub(super) fn end(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// The name of the change before the one of this number.
    pub(super) fn id_before(&self, next: u64) -> ChangeId {
        ChangeId {
            history: self.id,
            number: next - 1,
        }
    }

    /// The change of this number, if there is one. Else the number of the next one, if this one is no longer kept.
    pub(super) fn get(&self, number: u64) -> Result<Option<Change>, u64> {
        let changes = lock(&self.changes);
        let end = *self.end.borrow();
        let first = end - changes.len() as u64;
        let index = number.checked_sub(first).ok_or(end)?;
        Ok(changes.get(index as usize).copied())
    }

    /// The number of the first change from `time` on.
    pub(super) fn since(&self, time: Timestamp) -> u64 {
        let changes = lock(&self.changes);
        let later = changes.iter().rev().take_while(|change| change.at >= time);
        *self.end.borrow() - later.count() as u64
    }

    /// The number of the change after `last`; `None` if changes in between are no longer kept.
    pub(super) fn after(&self, last: ChangeId) -> Option<u64> {
        let changes = lock(&self.changes);
        let end = *self.end.borrow();
        let kept = end - changes.len() as u64..=end;
        let next = last.number.saturating_add(1);
        (last.history == self.id && kept.contains(&next)).then_some(next)
    }
}

// === impl ChangeId ===

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.history, self.number)
    }
}

impl FromStr for ChangeId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (history, number) = text.split_once('-').ok_or(())?;
        Ok(Self {
            history: u32::from_str_radix(history, 16).map_err(|_| ())?,
            number: number.parse().map_err(|_| ())?,
        })
    }
}
