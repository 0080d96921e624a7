//! Stores entries in memory and on disk. Knows nothing of HTTP, nor of the reasons to store an entry.
//!
//! # Layers
//!
//! A look-up asks these layers from top to bottom. A layer without the key passes it on.
//!
//! | layer | file | holds | reason |
//! | --- | --- | --- | --- |
//! | memory tier | `memory.rs` | whole entries, bounded by bytes | a hit reads no file |
//! | index | `index.rs`, `entry_table.rs` | of every entry: content, size, last use | knows absent faces, the next eviction and the garbage without reading the disk |
//! | metadata cache | `metadata_cache.rs` | of 16,384 entries: all but the picture's bytes | a hit on disk opens one file instead of two |
//! | non-blocking read | `nonblocking.rs` | nothing: it reads the kernel's page cache | a hit on disk needs no other thread |
//! | disk | `disk/` | index files and content files | outlives the process |
//!
//! Only the disk is the truth. The index is filled from it after the start, and the caches above it hold copies:
//! every change goes through [`disk::Disk`], which updates the index and invalidates the metadata cache, and through
//! [`Store`], which updates the memory tier under the key's lock. `cacache` writes content files, named by their
//! SHA-256, and index files with a line per change. Everything else is ours, because the crate lacks it or panics.
//!
//! # Files
//!
//! * `memory`: the memory tier
//! * `index`: the index of all entries, behind a lock
//! * `entry_table`: its data structure
//! * `metadata_cache`: the metadata of the entries that are read most
//! * `nonblocking`: reads from the kernel's page cache
//! * `disk/`: reads, writes and removes entries on disk
//! * `picture_space`: space in memory for pictures
//! * `key_locks`: striped locks
//! * `layout`: paths and names
//! * `cacache_adapter`: the only calls of `cacache`
//! * `index_file`: parses and compacts index files
//! * `record`: the JSON in an index line
//! * `metadata`: an index line, decoded
//! * `owner`: the instance and the JID of an entry
//! * `read_error`: why an entry cannot be read
//! * `archive`: every picture that a face has had
//! * `state_files`: budgets, pauses and other small states, in `instances/`
//! * `instance_states`: the states of each instance
//! * `account_names`: the names of an instance's accounts
//! * `directory`: makes, closes and locks the cache directory
//! * `maintenance`: scans, evicts and collects garbage
//! * `shortage`: how much to evict when the disk is short of space
//! * `disk_space`: the space of a file system
//! * `health`: failures, for status and log
//! * `inspect`: reads a directory from outside
//! * `fuzz`: the fuzz target of index files
//!
//! # Lock order
//!
//! A thread or task that holds a lock takes only locks further down:
//!
//! 1. the pipeline's [`KeyLocks`]: a fetch or purge of one face; held across calls of the store
//! 2. the store's [`KeyLocks`]: a change of one entry in both tiers; held by the disk thread to its end, even without a request
//! 3. `Archive::change`, `Disk::change` or `StateFiles::write`: one change at a time; across disk I/O, on disk threads alone
//! 4. `Directory::lock_file`: held while the directory is checked or locked anew
//! 5. `Index`, `DiskHealth` and the locks inside the caches: held for a look-up, never across I/O or an await
//!
//! Locks of one number are never held together. Tests in `key_locks.rs` check the first two with shuttle.

mod account_names;
mod archive;
mod cacache_adapter;
mod directory;
mod disk;
mod disk_space;
mod entry_table;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod health;
mod index;
mod index_file;
mod inspect;
mod instance_states;
mod key_locks;
mod layout;
mod maintenance;
mod memory;
mod metadata;
mod metadata_cache;
mod nonblocking;
mod owner;
mod picture_space;
mod read_error;
mod record;
mod shortage;
mod state_files;

use std::{
    cmp::Reverse,
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::OwnedMutexGuard;

pub use account_names::{AccountId, AccountNames, instance_of};
use archive::Archive;
pub use archive::{ArchivedPicture, archived_pictures};
use directory::Directory;
pub use directory::{OpenError, is_locked, unusable_path};
use disk::Disk;
pub use disk_space::{DiskSpace, disk_space};
pub use entry_table::Totals;
pub use health::{EvictionCause, Evictions, Failure, Health, Operation};
pub use inspect::{ContentCount, Damage, InspectedEntry, Inspection};
pub use key_locks::KeyLocks;
use maintenance::Maintenance;
pub use maintenance::MaintenanceSettings;
use memory::Memory;
pub use owner::Owner;
use read_error::ReadError;
use state_files::StateFiles;

use crate::{
    avatar::{Entry, Key},
    clock::{Clock, Timestamp},
    in_flight::InFlight,
};

/// Where entries are stored, and how many.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cache directory; made if it is missing.
    pub dir: PathBuf,
    /// The most bytes of pictures in memory.
    pub memory: u64,
    /// The largest picture in bytes.
    pub max_picture: usize,
    /// Whether every distinct picture goes into the archive.
    pub archive: bool,
    /// The budget of the pictures that are read from disk or were evicted while they are sent.
    pub in_flight: InFlight,
}

/// The memory tier and the disk tier.
#[derive(Debug)]
pub struct Store {
    memory: Arc<Memory>,
    disk: Arc<Disk>,
    state_files: Arc<StateFiles>,
    maintenance: Arc<Maintenance>,
    /// Memory and disk change together, under the key's lock: an entry that was read from disk before a
    /// change must not reach memory after it, or a forgotten face would be shown again. A hit in
    /// memory takes no lock.
    locks: KeyLocks,
    archive: Arc<Archive>,
    /// Whether new pictures go into the archive. A face is forgotten there in any case.
    adds_to_archive: bool,
    in_flight: InFlight,
    clock: Clock,
}

/// The result of a look-up.
#[derive(Clone, Debug, Default)]
pub enum CacheAnswer {
    /// The entry.
    Found(Arc<Entry>),
    /// There is no entry.
    Absent,
    /// Only of [`Store::get_cached`]: the disk has to be asked, by [`Store::find_uncached`].
    Unknown,
    /// There may be an entry, but it cannot be read now. It may be the tombstone of a forgotten face, so the
    /// vendor must not be asked.
    #[default]
    Unreadable,
    /// There is an entry with a picture, but the picture cannot be read now.
    PictureUnreadable,
}

/// Many more stripes than disk threads, so that unrelated faces seldom wait for each other.
const STRIPES: usize = 4096;

impl CacheAnswer {
    /// The entry, if it was found.
    pub fn entry(&self) -> Option<&Arc<Entry>> {
        match self {
            CacheAnswer::Found(entry) => Some(entry),
            CacheAnswer::Absent
            | CacheAnswer::Unknown
            | CacheAnswer::Unreadable
            | CacheAnswer::PictureUnreadable => None,
        }
    }
}

// === impl Store ===

impl Store {
    /// Opens and locks the cache directory. Blocks on the file system.
    pub fn open(
        settings: &Settings,
        limits: MaintenanceSettings,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        let in_flight = &settings.in_flight;
        let memory = Memory::new(settings.memory, settings.max_picture, in_flight.clone());
        let memory = Arc::new(memory);
        let directory = Arc::new(Directory::open(&settings.dir)?);
        let disk = Arc::new(Disk::new(
            directory.clone(),
            in_flight.clone(),
            clock.clone(),
        ));
        let maintenance = Maintenance::start(disk.clone(), limits);
        Ok(Self {
            memory,
            disk,
            state_files: Arc::new(StateFiles::new(directory)),
            maintenance: Arc::new(maintenance),
            locks: KeyLocks::new(STRIPES),
            archive: Arc::new(Archive::new(&settings.dir)),
            adds_to_archive: settings.archive,
            in_flight: in_flight.clone(),
            clock,
        })
    }

    /// Opens the cache directory for a command that runs while no server does.
    pub fn open_for_command(
        settings: &Settings,
        limits: MaintenanceSettings,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        directory::check_for_command(&settings.dir)?;
        Self::open(settings, limits, clock)
    }

    /// The cache directory.
    pub fn dir(&self) -> &Path {
        self.disk.root()
    }

    /// The state of the disk tier. Never waits for the disk.
    pub fn health(&self) -> Health {
        self.disk.health(self.maintenance.settings().max_bytes)
    }

    /// Looks the entry up without waiting: in memory, in the index and, through the kernel's page cache,
    /// on disk.
    pub fn get_cached(&self, key: &Key) -> CacheAnswer {
        if let Some(entry) = self.memory.get(key) {
            return CacheAnswer::Found(entry);
        }
        if self.disk.is_absent(key) {
            return CacheAnswer::Absent;
        }
        // The lock holder may be about to write this entry.
        let Some(_guard) = self.locks.try_lock(key) else {
            return CacheAnswer::Unknown;
        };
        match self.disk.try_read_cached(key) {
            Ok((entry, owner)) => {
                let entry = Arc::new(entry);
                self.memory.put(*key, entry.clone(), owner);
                CacheAnswer::Found(entry)
            }
            Err(ReadError::Absent) => CacheAnswer::Absent,
            Err(_) => CacheAnswer::Unknown,
        }
    }

    /// The entry, from memory or disk. An unreadable entry counts as none.
    pub async fn find(&self, key: &Key) -> Option<Arc<Entry>> {
        self.look_up(key).await.entry().cloned()
    }

    /// Looks the entry up, in memory or on disk.
    pub async fn look_up(&self, key: &Key) -> CacheAnswer {
        match self.get_cached(key) {
            CacheAnswer::Unknown => self.find_uncached(key).await,
            // Many requests for one new face would otherwise wait for its lock, one after the other.
            cached => cached,
        }
    }

    /// Looks the entry up where [`Store::get_cached`] did not know: on disk, on a thread that may block.
    pub async fn find_uncached(&self, key: &Key) -> CacheAnswer {
        let guard = self.locks.lock(key).await;
        // The previous lock holder may have put it there.
        if let Some(entry) = self.memory.get(key) {
            return CacheAnswer::Found(entry);
        }
        self.with_key_lock(guard, key, |disk, memory, key| match disk.read(key) {
            Ok((entry, owner)) => {
                let entry = Arc::new(entry);
                memory.put(*key, entry.clone(), owner);
                CacheAnswer::Found(entry)
            }
            Err(ReadError::Absent) => CacheAnswer::Absent,
            Err(ReadError::ContentIo(_)) => CacheAnswer::PictureUnreadable,
            Err(_) => CacheAnswer::Unreadable,
        })
        .await
    }

    /// Looks an entry up for a second time. If there was none, the disk is asked only if the index has one
    /// since: only this process writes entries, and all that it writes are in its index.
    pub async fn look_up_again(&self, key: &Key, before: &CacheAnswer) -> CacheAnswer {
        let was_added = || self.memory.get(key).is_some() || self.disk.is_indexed(key);
        if matches!(before, CacheAnswer::Absent) && !was_added() {
            return CacheAnswer::Absent;
        }
        self.look_up(key).await
    }

    /// Stores `entry`. Returns whether it reached the disk; memory has it in any case.
    pub async fn put(&self, key: &Key, owner: &Owner, entry: Arc<Entry>) -> bool {
        let (guard, owner) = (self.locks.lock(key).await, owner.clone());
        let archive = self
            .adds_to_archive
            .then(|| (self.archive.clone(), self.clock.now()));
        self.with_key_lock(guard, key, move |disk, memory, key| {
            let is_on_disk = disk.write(key, &owner, &entry);
            if let Some((archive, now)) = archive {
                archive.add(key, &owner, &entry, now);
            }
            memory.put(*key, entry, Some(Arc::new(owner)));
            is_on_disk
        })
        .await
    }

    /// Replaces the entry by `tombstone`, and removes its picture from disk and archive unless another
    /// entry has the same one. Returns whether that reached the disk.
    pub async fn forget(&self, key: &Key, owner: &Owner, tombstone: Arc<Entry>) -> bool {
        let (guard, owner) = (self.locks.lock(key).await, owner.clone());
        let archive = self.archive.clone();
        self.with_key_lock(guard, key, move |disk, memory, key| {
            memory.put(*key, tombstone.clone(), Some(Arc::new(owner.clone())));
            let archived = archive.forget(key).inspect_err(|error| {
                tracing::error!(%error, "a face's pictures could not be removed from the archive");
            });
            disk.forget(key, &owner, &tombstone) && archived.is_ok()
        })
        .await
    }

    /// Removes the entry, and its content unless another entry has the same. Returns whether it is
    /// gone from disk.
    pub async fn remove(&self, key: &Key) -> bool {
        let guard = self.locks.lock(key).await;
        self.with_key_lock(guard, key, |disk, memory, key| {
            memory.remove(key);
            disk.remove(key)
        })
        .await
    }

    /// The owners of the `count` entries with a picture that were written last, newest first, and when.
    /// Reads all index files.
    pub async fn newest(&self, count: usize) -> Vec<(Owner, Timestamp)> {
        self.inspect(move |entries| {
            let mut entries: Vec<_> = entries.filter(|entry| entry.picture.is_some()).collect();
            entries.sort_by_key(|entry| Reverse(entry.written));
            let newest = entries.into_iter().take(count);
            newest
                .filter_map(|entry| Some((entry.owner()?, entry.written)))
                .collect()
        })
        .await
    }

    /// The owners of all entries, of one instance or of all, those without a picture first, also of entries that are in
    /// memory alone. Reads all index files.
    pub async fn owners(&self, instance: Option<Arc<str>>) -> Vec<Owner> {
        let wanted = instance.clone();
        let on_disk = self.inspect(move |entries| {
            let entries = entries.filter(|entry| {
                let name = wanted.as_deref();
                name.is_none_or(|name| name == entry.instance)
            });
            let entries = entries.map(|entry| (entry.picture.is_some(), entry.owner()));
            let (others, mut owners): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.0);
            owners.extend(others);
            owners.into_iter().filter_map(|(_, owner)| owner).collect()
        });
        let mut owners = on_disk.await;
        let known: HashSet<Key> = owners.iter().map(Owner::key).collect();
        let in_memory = self.memory.owners().filter(|owner| {
            let is_wanted = instance.as_ref().is_none_or(|name| *name == owner.instance);
            is_wanted && !known.contains(&owner.key())
        });
        owners.extend(in_memory.map(|owner| Owner::clone(&owner)));
        owners
    }

    /// Applies `select` to all undamaged entries on disk, on a disk thread.
    async fn inspect<T: Send + 'static>(
        &self,
        select: impl FnOnce(&mut dyn Iterator<Item = InspectedEntry>) -> Vec<T> + Send + 'static,
    ) -> Vec<T> {
        let disk = self.disk.clone();
        let selected = on_disk_thread(move || {
            let inspection = Inspection::open(disk.root())?;
            io::Result::Ok(select(&mut inspection.entries().filter_map(Result::ok)))
        });
        selected.await.and_then(Result::ok).unwrap_or_default()
    }

    /// Does `work` on a disk thread, which holds the key's lock until it has finished, even if this future
    /// is dropped. A panic counts as the default result: nothing read, nothing written.
    async fn with_key_lock<T: Default + Send + 'static>(
        &self,
        guard: OwnedMutexGuard<()>,
        key: &Key,
        work: impl FnOnce(&Disk, &Memory, &Key) -> T + Send + 'static,
    ) -> T {
        let (disk, memory, key) = (self.disk.clone(), self.memory.clone(), *key);
        let result = on_disk_thread(move || {
            let result = work(&disk, &memory, &key);
            // Before the lock: after `wait_idle`, no disk thread keeps the directory locked.
            drop((disk, memory));
            drop(guard);
            result
        });
        result.await.unwrap_or_default()
    }

    /// Waits for all disk work that was started until now, including work whose request was cancelled.
    pub async fn wait_idle(&self) {
        self.locks.wait_idle().await;
    }

    /// Gives the archived pictures of the key `from` to `to`. Returns whether the archive has them.
    pub async fn rename_in_archive(&self, from: &Key, to: &Owner) -> bool {
        let (archive, from, to) = (self.archive.clone(), *from, to.clone());
        let renamed = on_disk_thread(move || {
            let renamed = archive.rename(&from, &to).inspect_err(|error| {
                tracing::error!(%error, "a face's pictures could not be renamed in the archive");
            });
            renamed.is_ok()
        });
        renamed.await.unwrap_or_default()
    }
}

/// Does blocking `work` on a thread of the runtime's blocking pool. `None` if it panicked.
async fn on_disk_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Some(result),
        Err(error) => {
            tracing::error!(%error, "work on the cache's disk was lost");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time;

    use super::*;

    #[tokio::test]
    async fn a_store_that_is_idle_and_dropped_releases_its_directory() {
        let folder = tempfile::tempdir().unwrap();
        let limits = MaintenanceSettings {
            max_bytes: 1 << 20,
            max_entries: 100,
            min_free: 0,
            gc_grace: Duration::ZERO,
            files_per_second: 1000,
        };
        let settings = Settings {
            dir: folder.path().to_path_buf(),
            memory: 1 << 20,
            max_picture: 1 << 16,
            archive: false,
            in_flight: InFlight::new(1 << 20),
        };
        for number in 0..50 {
            let store = Store::open(&settings, limits.clone(), Clock::system()).unwrap();
            let key = Key::new("sales", &format!("1{number}").parse().unwrap());
            // The request is cancelled at once; its disk work goes on.
            let _ = time::timeout(Duration::ZERO, store.find(&key)).await;
            store.wait_idle().await;
        }
    }
}
