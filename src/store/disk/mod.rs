//! The disk tier: entries in cacache's files, with the index in memory beside them. An entry is a line in
//! its key's index file; its picture is a content file that entries with the same bytes share.
//!
//! All functions block, and are called on disk threads; only [`Disk::is_absent`],
//! [`Disk::try_read_cached`] and [`Disk::health`] never wait for the disk.

mod read;
mod remove;
mod write;

use std::{
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

pub(super) use remove::Eviction;

use super::{
    cacache_adapter::CacacheError,
    directory::{Directory, OpenError},
    health::{DiskHealth, Health, Operation},
    index::Index,
    index_file::IndexFile,
    layout,
    nonblocking::NonblockingReader,
    read_error::ReadError,
    shortage::LastingShortage,
};
use crate::{
    avatar::Key,
    clock::{Clock, Moment, Timestamp},
    in_flight::InFlight,
    sync::lock,
};

/// The entries on disk.
#[derive(Debug)]
pub(super) struct Disk {
    directory: Arc<Directory>,
    /// Orders all changes, so that no entry comes to refer to a content that is being removed. Held
    /// across disk I/O: only disk threads may wait for it.
    change: Mutex<()>,
    index: Index,
    nonblocking: NonblockingReader,
    health: DiskHealth,
    in_flight: InFlight,
    clock: Clock,
}

/// The proof that the change lock is held.
type Change<'a> = MutexGuard<'a, ()>;

/// Why the disk could not be changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    #[error(transparent)]
    Directory(#[from] OpenError),
    #[error("{0}")]
    Cacache(#[from] CacacheError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Record(#[from] serde_json::Error),
}

impl Disk {
    /// The entries in `directory`. The index is empty until [`Disk::load_into_index`] was called for
    /// every index file.
    pub(super) fn new(directory: Arc<Directory>, in_flight: InFlight, clock: Clock) -> Self {
        Self {
            nonblocking: NonblockingReader::new(directory.clone(), in_flight.clone()),
            directory,
            in_flight,
            change: Mutex::default(),
            index: Index::default(),
            health: DiskHealth::default(),
            clock,
        }
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.root()
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// The state of the disk tier, of which `max_bytes` is the limit.
    pub(super) fn health(&self, max_bytes: u64) -> Health {
        let (totals, is_complete) = (self.index.totals(), self.index.is_complete());
        self.health.snapshot(totals, is_complete, max_bytes)
    }

    /// Takes the change lock, and makes and locks the directory anew if it was replaced.
    fn begin_change(&self) -> Result<Change<'_>, ChangeError> {
        let change = self.lock_changes();
        let epoch = self.directory.ensure_locked()?;
        if self.index.reset_if_replaced(epoch) {
            self.nonblocking.invalidate_all();
        }
        Ok(change)
    }

    fn lock_changes(&self) -> Change<'_> {
        lock(&self.change)
    }

    fn record<T, E: Display>(&self, operation: Operation, result: &Result<T, E>) {
        self.health
            .record(operation, result, self.root(), self.clock.now());
    }

    /// Records the free space of the file system, and whether it is short of it in spite of eviction.
    pub(super) fn record_space(&self, free: u64, result: Result<(), LastingShortage>) {
        self.health.set_free(free);
        self.record(Operation::KeepFree, &result);
    }

    /// The current point on the monotonic clock.
    pub(super) fn moment(&self) -> Moment {
        self.clock.moment()
    }

    fn index_path(&self, key: &Key) -> PathBuf {
        layout::index_path(self.root(), &key.to_string())
    }

    /// The index file of `key`; an empty one if there is none.
    fn read_index_file(&self, key: &Key) -> Result<IndexFile, ReadError> {
        match fs::read(self.index_path(key)) {
            Ok(bytes) => Ok(IndexFile::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(IndexFile::default()),
            Err(error) => Err(error.into()),
        }
    }
}

fn in_seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
