//! What keeps the disk from being changed, and since when: told once when it begins and once when
//! it ends, however often it is met.

use std::{
    fmt::Display,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::clock::Timestamp;

/// Degraded that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degraded {
    /// What cannot be done, and what the system says to it.
    pub reason: String,
    /// When it was first met.
    pub since: Timestamp,
}

/// What was tried. Success with the one says nothing about the other: a full disk takes no writes,
/// but gives room.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Writing,
    MakingRoom,
}

/// The disk_health that are on, by what was tried.
#[derive(Debug, Default)]
pub(super) struct DiskHealth(Mutex<[Option<Degraded>; 2]>);

impl DiskHealth {
    /// The trouble to tell of.
    pub(super) fn first(&self) -> Option<Degraded> {
        self.all().iter().flatten().next().cloned()
    }

    /// StateFiles how `operation` went at `now`, in the cache directory `dir`.
    pub(super) fn note<T, E: Display>(
        &self,
        operation: Operation,
        went: &Result<T, E>,
        dir: &Path,
        now: Timestamp,
    ) {
        let mut all = self.all();
        let trouble = &mut all[operation as usize];
        match (went, &trouble) {
            (Err(error), None) => {
                let (what, so) = operation.failed();
                tracing::error!(%error, dir = %dir.display(), "{what}; {so}");
                *trouble = Some(Degraded {
                    reason: format!("{what}: {error}"),
                    since: now,
                });
            }
            (Ok(_), Some(_)) => {
                tracing::info!(dir = %dir.display(), "{}", operation.works());
                *trouble = None;
            }
            _ => {}
        }
    }

    fn all(&self) -> MutexGuard<'_, [Option<Degraded>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operation {
    fn failed(self) -> (&'static str, &'static str) {
        match self {
            Operation::Writing => (
                "cannot write to the cache",
                "faces are kept in memory until it works again",
            ),
            Operation::MakingRoom => (
                "cannot remove faces from the cache",
                "it stays larger than it may be until that works again",
            ),
        }
    }

    fn works(self) -> &'static str {
        match self {
            Operation::Writing => "the cache can be written to again",
            Operation::MakingRoom => "faces can be removed from the cache again",
        }
    }
}
