//! The versions of the fleet's entries that this replica has, and which of them it has compared with Redis since it last
//! missed changes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use super::{face::Face, shared_entry::SharedEntry};
use crate::{avatar::Subject, sync::lock};

/// The versions that this replica has.
#[derive(Debug)]
pub(super) struct Versions {
    /// A face that is not here is looked at in Redis.
    known: Cache<Face, Version>,
    /// Grows each time that changes were missed.
    epoch: AtomicU32,
    differing: Mutex<DifferingFaces>,
}

/// The faces whose entries here and in Redis may differ, because an engine failed.
#[derive(Debug, Default)]
struct DifferingFaces {
    /// With the number of the last failure about each.
    failures: HashMap<Subject, u64>,
    last: u64,
}

/// A face whose entries here and in Redis may differ.
#[derive(Clone, Copy, Debug)]
pub struct DifferingFace {
    /// The face.
    pub subject: Subject,
    failure: u64,
}

#[derive(Clone, Debug)]
struct Version {
    number: u64,
    /// Whether this is the version at which the entry was removed.
    is_removed: bool,
    epoch: u32,
    /// The members of the entry that this version of the program does not know.
    unknown: Option<Arc<Map<String, Value>>>,
}

/// Versions in memory, some 10 MB at most.
const MOST: usize = 50_000;
/// Faces that are compared again one by one. If they are more, all are.
const MOST_DIFFERING: usize = 10_000;

impl Versions {
    /// The version of the entry that this replica has; 0 if it is not known.
    pub(super) fn of(&self, face: &Face) -> u64 {
        self.known.get(face).map_or(0, |version| version.number)
    }

    /// The version at which the entry was removed; 0 if it was not.
    pub(super) fn removed_at(&self, face: &Face) -> u64 {
        let known = self.known.get(face);
        known.map_or(0, |known| known.number * u64::from(known.is_removed))
    }

    /// The members of that entry that this version of the program does not know.
    pub(super) fn unknown(&self, face: &Face) -> Option<Arc<Map<String, Value>>> {
        self.known.get(face)?.unknown
    }

    /// Records that this replica has the fleet's entry.
    pub(super) fn record(&self, face: Face, entry: &SharedEntry) {
        let unknown = Some(&entry.unknown).filter(|unknown| !unknown.is_empty());
        let unknown = unknown.cloned().map(Arc::new);
        self.insert(face, entry.version, false, unknown);
    }

    /// Records that this replica's own entry has become the fleet's.
    pub(super) fn record_own(&self, face: Face, number: u64) {
        let unknown = self.unknown(&face);
        self.insert(face, number, false, unknown);
    }

    /// Records that the entry was compared with Redis, which has no newer one.
    pub(super) fn record_compared(&self, face: Face) {
        let (number, is_removed) = (self.of(&face), self.removed_at(&face) > 0);
        let unknown = self.unknown(&face);
        self.insert(face, number, is_removed, unknown);
    }

    /// Records that the entry was removed everywhere, at this version.
    pub(super) fn record_removed(&self, face: Face, number: u64) {
        self.insert(face, number, true, None);
    }

    /// Whether the entry was compared with Redis in this epoch.
    pub(super) fn is_compared(&self, face: &Face) -> bool {
        let known = self.known.get(face);
        known.is_some_and(|known| known.epoch == self.epoch.load(Ordering::Acquire))
    }

    /// Begins an epoch, in which no entry was compared yet.
    pub(super) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of the epoch.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Records that the entries of a face here and in Redis may differ. Returns whether there was space for it.
    pub(super) fn record_differing(&self, subject: Subject) -> bool {
        let mut differing = lock(&self.differing);
        let is_known = differing.failures.contains_key(&subject);
        let has_space = is_known || differing.failures.len() < MOST_DIFFERING;
        if has_space {
            differing.last += 1;
            let failure = differing.last;
            differing.failures.insert(subject, failure);
        }
        has_space
    }

    /// The faces whose entries may differ.
    pub(super) fn differing(&self) -> Vec<DifferingFace> {
        let differing = lock(&self.differing);
        let faces = differing.failures.iter();
        faces
            .map(|(subject, failure)| DifferingFace {
                subject: *subject,
                failure: *failure,
            })
            .collect()
    }

    /// Whether the entries of this face may differ.
    pub(super) fn is_differing(&self, subject: &Subject) -> bool {
        lock(&self.differing).failures.contains_key(subject)
    }

    /// The entries of a face were compared. It stays among those that may differ if an engine has failed meanwhile.
    pub(super) fn settle(&self, face: &DifferingFace) {
        let mut differing = lock(&self.differing);
        if differing.failures.get(&face.subject) == Some(&face.failure) {
            differing.failures.remove(&face.subject);
        }
    }

    /// Whether there are such faces.
    pub(super) fn are_differing(&self) -> bool {
        !lock(&self.differing).failures.is_empty()
    }

    fn insert(
        &self,
        face: Face,
        number: u64,
        is_removed: bool,
        unknown: Option<Arc<Map<String, Value>>>,
    ) {
        let epoch = self.epoch();
        let version = Version {
            number,
            is_removed,
            epoch,
            unknown,
        };
        self.known.insert(face, version);
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            known: Cache::new(MOST),
            epoch: AtomicU32::default(),
            differing: Mutex::default(),
        }
    }
}
