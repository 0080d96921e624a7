//! The state of the disk tier, for status requests and the log: a failure is logged once when it begins
//! and once when it ends, however often it occurs.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{catalogue::Totals, disk::ChangeError};
use crate::{clock::Timestamp, sync::lock};

/// The state of the disk tier.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// The entries on disk, as far as the index is complete.
    pub totals: Totals,
    /// The limit of bytes on disk.
    pub max_bytes: u64,
    /// Whether the index is complete. It takes a while after the start.
    pub is_complete: bool,
    /// Entries found damaged since the start.
    pub damaged: u64,
    /// Entries evicted since the start.
    pub evicted: u64,
    /// The failure of the disk tier, if it fails now.
    pub degraded: Option<Degraded>,
}

/// A failure of the disk tier that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degraded {
    /// The operation that fails, and the system's error.
    pub reason: String,
    /// When it failed first.
    pub since: Timestamp,
}

/// The operations whose failures are told apart: a full disk takes no writes, but lets files be removed,
/// so success with one says nothing about the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Write,
    MakeRoom,
}

/// Counts and failures of the disk tier.
#[derive(Debug, Default)]
pub(super) struct DiskHealth {
    damaged: AtomicU64,
    evicted: AtomicU64,
    /// One per [`Operation`].
    failures: Mutex<[Option<Degraded>; 2]>,
}

impl DiskHealth {
    pub(super) fn count_damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_evicted(&self) {
        self.evicted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, totals: Totals, is_complete: bool, max_bytes: u64) -> Health {
        Health {
            totals,
            max_bytes,
            is_complete,
            damaged: self.damaged.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            degraded: lock(&self.failures).iter().flatten().next().cloned(),
        }
    }

    /// Records the result of `operation` at `now`, in the cache directory `dir`.
    pub(super) fn record<T>(
        &self,
        operation: Operation,
        result: &Result<T, ChangeError>,
        dir: &Path,
        now: Timestamp,
    ) {
        let mut failures = lock(&self.failures);
        let failure = &mut failures[operation as usize];
        match (result, &failure) {
            (Err(error), None) => {
                let (what, consequence) = operation.failure();
                tracing::error!(%error, dir = %dir.display(), "{what}; {consequence}");
                *failure = Some(Degraded {
                    reason: format!("{what}: {error}"),
                    since: now,
                });
            }
            (Ok(_), Some(_)) => {
                tracing::info!(dir = %dir.display(), "{}", operation.recovery());
                *failure = None;
            }
            _ => {}
        }
    }
}

impl Operation {
    /// The log message of a failure, and its consequence.
    fn failure(self) -> (&'static str, &'static str) {
        match self {
            Operation::Write => (
                "cannot write to the cache",
                "faces are kept in memory until it works again",
            ),
            Operation::MakeRoom => (
                "cannot remove faces from the cache",
                "it stays above its limits until that works again",
            ),
        }
    }

    fn recovery(self) -> &'static str {
        match self {
            Operation::Write => "the cache can be written to again",
            Operation::MakeRoom => "faces can be removed from the cache again",
        }
    }
}
