//! The state of the disk tier, for status requests and the log: a failure is logged once when it begins
//! and once when it ends, however often it occurs.

use std::{
    collections::BTreeSet,
    fmt::Display,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::entry_table::Totals;
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
    /// Entries evicted since the start, by cause.
    pub evicted: Evictions,
    /// Reads of entries that failed since the start although the entries may be whole.
    pub unreadable: u64,
    /// Free bytes of the file system, as maintenance measured them last.
    pub free: Option<u64>,
    /// The operations that fail now.
    pub failures: Vec<Failure>,
}

/// A failure of the disk tier that lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The operation that fails.
    pub operation: Operation,
    /// The failure, and the system's error.
    pub reason: String,
    /// When it failed first.
    pub since: Timestamp,
}

/// Why an entry was evicted: the limit that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionCause {
    /// `cache.max_bytes`.
    MaxBytes,
    /// `cache.max_entries`.
    MaxEntries,
    /// `cache.min_free`.
    MinFree,
    /// The reserve of inodes.
    Inodes,
}

/// Counts of evicted entries, by cause.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evictions([u64; EvictionCause::ALL.len()]);

/// The operations whose failures are told apart: a full disk takes no writes, but lets files be removed,
/// so success with one says nothing about the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Writing entries.
    Write,
    /// Evicting entries.
    Evict,
    /// Keeping the configured space of the file system free.
    KeepFree,
    /// Reading entries.
    Read,
}

/// Counts and failures of the disk tier.
#[derive(Debug)]
pub(super) struct DiskHealth {
    damaged: AtomicU64,
    /// One per [`EvictionCause`].
    evicted: [AtomicU64; EvictionCause::ALL.len()],
    unreadable: AtomicU64,
    /// [`UNKNOWN`] before the first measurement.
    free: AtomicU64,
    /// One per [`Operation`].
    failures: Mutex<[Option<Failure>; Operation::ALL.len()]>,
    /// The index files that could not be read, until they can. At most [`MAX_UNREADABLE`].
    unreadable_files: Mutex<BTreeSet<PathBuf>>,
}

const UNKNOWN: u64 = u64::MAX;
/// With more unreadable files, the whole directory is unreadable, and one of them shows whether it still is.
const MAX_UNREADABLE: usize = 256;

impl Default for DiskHealth {
    fn default() -> Self {
        Self {
            damaged: AtomicU64::default(),
            evicted: Default::default(),
            unreadable: AtomicU64::default(),
            free: AtomicU64::new(UNKNOWN),
            failures: Mutex::default(),
            unreadable_files: Mutex::default(),
        }
    }
}

impl DiskHealth {
    pub(super) fn count_damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_evicted(&self, cause: EvictionCause) {
        self.evicted[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, totals: Totals, is_complete: bool, max_bytes: u64) -> Health {
        let free = self.free.load(Ordering::Relaxed);
        Health {
            totals,
            max_bytes,
            is_complete,
            damaged: self.damaged.load(Ordering::Relaxed),
            evicted: Evictions(
                self.evicted
                    .each_ref()
                    .map(|count| count.load(Ordering::Relaxed)),
            ),
            unreadable: self.unreadable.load(Ordering::Relaxed),
            free: (free != UNKNOWN).then_some(free),
            failures: lock(&self.failures).iter().flatten().cloned().collect(),
        }
    }

    /// Records the result of `operation` at `now`, in the cache directory `dir`.
    pub(super) fn record<T, E: Display>(
        &self,
        operation: Operation,
        result: &Result<T, E>,
        dir: &Path,
        now: Timestamp,
    ) {
        let mut failures = lock(&self.failures);
        let failure = &mut failures[operation as usize];
        match (result, &failure) {
            (Err(error), None) => {
                let (what, consequence) = operation.failure();
                tracing::error!(%error, dir = %dir.display(), "{what}; {consequence}");
                *failure = Some(Failure {
                    operation,
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

    /// Records an index file that cannot be read. Returns whether that was not known.
    pub(super) fn add_unreadable(&self, path: &Path) -> bool {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        let mut files = lock(&self.unreadable_files);
        files.len() < MAX_UNREADABLE && files.insert(path.to_path_buf())
    }

    /// Removes the unreadable files that `can_be_read`. Returns how many are left.
    pub(super) fn check_unreadable(&self, can_be_read: impl Fn(&Path) -> bool) -> usize {
        let files = lock(&self.unreadable_files).clone();
        let readable = files.into_iter().filter(|path| can_be_read(path));
        let readable: Vec<_> = readable.collect();
        let mut files = lock(&self.unreadable_files);
        files.retain(|path| !readable.contains(path));
        files.len()
    }
}

impl EvictionCause {
    /// All of them, in the order of their discriminants.
    pub const ALL: [EvictionCause; 4] = [
        EvictionCause::MaxBytes,
        EvictionCause::MaxEntries,
        EvictionCause::MinFree,
        EvictionCause::Inodes,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            EvictionCause::MaxBytes => "max_bytes",
            EvictionCause::MaxEntries => "max_entries",
            EvictionCause::MinFree => "min_free",
            EvictionCause::Inodes => "inodes",
        }
    }
}

impl Evictions {
    /// The entries that were evicted for `cause`.
    pub fn by(&self, cause: EvictionCause) -> u64 {
        self.0[cause as usize]
    }

    /// All entries that were evicted.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Operation {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Operation; 4] = [
        Operation::Write,
        Operation::Evict,
        Operation::KeepFree,
        Operation::Read,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Write => "write",
            Operation::Evict => "evict",
            Operation::KeepFree => "keep_free",
            Operation::Read => "read",
        }
    }

    /// The log message of a failure, and its consequence.
    fn failure(self) -> (&'static str, &'static str) {
        match self {
            Operation::Write => (
                "cannot write to the cache",
                "faces are kept in memory until it works again",
            ),
            Operation::Evict => (
                "cannot remove faces from the cache",
                "it stays above its limits until that works again",
            ),
            Operation::KeepFree => (
                "the disk is short of space",
                "faces are evicted only as far as that helps; free space on the disk, or lower cache.min_free",
            ),
            Operation::Read => (
                "cannot read a part of the cache",
                "it stays as it is, and the vendor is not asked for these faces, because they may be forgotten; give the files to this user (chown)",
            ),
        }
    }

    fn recovery(self) -> &'static str {
        match self {
            Operation::Write => "the cache can be written to again",
            Operation::Evict => "faces can be removed from the cache again",
            Operation::KeepFree => "the disk has enough free space again",
            Operation::Read => "the whole cache can be read again",
        }
    }
}
