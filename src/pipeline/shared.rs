//! The parts that every look-up and every fetch uses.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    changes::Changes,
    faces_in_trouble::FacesInTrouble,
    memory_copies::Copies,
    patience::LongWaits,
    recent_updates::RecentUpdates,
    settings::Settings,
    single_flight::SingleFlight,
    unsent_changes::{SharedChange, UnsentChanges},
};
use crate::{
    avatar::Entry,
    clock::Clock,
    fleet::Fleet,
    images::Thumbnailer,
    store::{KeyLocks, Owner, Store},
    telemetry::Metrics,
};

/// The parts that every look-up and every fetch uses.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    /// The fleet, if this replica is a member of one.
    pub(super) fleet: Option<Fleet>,
    pub(super) single_flight: SingleFlight,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    /// Tries to decode new pictures.
    pub(super) thumbnailer: Thumbnailer,
    /// Striped locks for the changes of entries. Without them, two changes could both start from the same
    /// version of an entry, and an older answer could overwrite a newer one.
    pub(super) key_locks: Arc<KeyLocks>,
    pub(super) recent: RecentUpdates,
    pub(super) in_trouble: FacesInTrouble,
    pub(super) copies: Copies,
    pub(super) changes: Changes,
    /// The downloads that events caused.
    pub(super) event_tasks: TaskTracker,
    /// The changes that the fleet has not heard of yet.
    pub(super) unsent: Arc<UnsentChanges<SharedChange>>,
    pub(super) long_waits: LongWaits,
    /// Cancelled when the process is about to end: nothing waits for long any more.
    pub(super) shutdown: CancellationToken,
}

impl Shared {
    /// Tells the listeners that the face of `owner` has changed, if it shows something else than before, and notes
    /// whether it is in trouble. The caller holds the key lock, unless the face is forgotten.
    pub(super) fn announce(&self, owner: &Owner, before: Option<&Entry>, after: Option<&Entry>) {
        let (now, most) = (self.clock.now(), self.settings.kept_changes);
        self.changes.record(owner, before, after, now, most);
        self.in_trouble.record(owner, after);
    }
}
