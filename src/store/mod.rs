//! Finds and keeps entries: in memory, then on disk. Knows nothing of HTTP, nor of why an entry is
//! worth keeping.

mod archive;
mod catalogue;
mod directory;
mod disk;
mod disk_space;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod health;
mod index;
mod index_file;
mod inspect;
mod key_locks;
mod maintenance;
mod memory;
mod metadata;
mod nonblocking;
mod record;
mod state_files;

use std::{cmp::Reverse, io, path::PathBuf, sync::Arc};

use tokio::sync::OwnedMutexGuard;

use archive::Archive;
pub use archive::{ArchivedPicture, archived_pictures};
pub use catalogue::Totals;
use directory::Directory;
pub use directory::OpenError;
use disk::Disk;
pub use disk::Health;
pub use disk_space::{DiskSpace, disk_space};
pub use health::Degraded;
pub use inspect::{Damage, InspectedEntry, Inspection};
pub use key_locks::KeyLocks;
use maintenance::Maintenance;
pub use maintenance::MaintenanceSettings;
use memory::Memory;
use state_files::StateFiles;

use crate::{
    avatar::{Entry, Key, Subject},
    clock::{Clock, Timestamp},
};

/// Where entries live, and how much of them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cache directory; made if it is missing.
    pub dir: PathBuf,
    /// How the disk is kept in order.
    pub maintenance: MaintenanceSettings,
    /// Bytes of pictures kept in memory.
    pub memory: u64,
    /// The largest picture in bytes.
    pub max_picture: usize,
    /// Whether every distinct picture is kept for good.
    pub archive: bool,
}

/// Many more than there are disk threads, so that faces seldom wait for each other.
const STRIPES: usize = 4096;

/// Both tiers.
#[derive(Debug)]
pub struct Store {
    memory: Arc<Memory>,
    disk: Arc<Disk>,
    state_files: Arc<StateFiles>,
    maintenance: Arc<Maintenance>,
    /// Disk and memory change together: what was read from disk before a change must not reach
    /// memory after it, or a face that was forgotten would be shown again. A look that memory
    /// answers takes no turn. Whoever works on disk keeps the turn until that is done, even if the
    /// one who asked for it goes away.
    locks: KeyLocks,
    max_bytes: u64,
    /// Every distinct picture that a face has had.
    archive: Arc<Archive>,
    /// Whether those of today are kept there, too.
    keeps_all: bool,
    clock: Clock,
}

/// Whose entry it is, written beside it so that the cache directory explains itself.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The instance through which the face was seen.
    pub instance: Arc<str>,
    /// Whose face.
    pub subject: Subject,
}

/// The result of a look-up that does not wait.
#[derive(Clone, Debug)]
pub enum Cached {
    /// The entry.
    Found(Arc<Entry>),
    /// There is no entry.
    Absent,
    /// The disk has to be asked: [`Store::find_uncached`].
    Unknown,
}

// === impl Store ===

impl Store {
    /// Opens the cache directory, and takes it for this process alone. Blocks on the file system.
    pub fn open(settings: &Settings, clock: Clock) -> Result<Self, OpenError> {
        let memory = Arc::new(Memory::new(settings.memory, settings.max_picture));
        let directory = Arc::new(Directory::take(&settings.dir)?);
        let disk = Arc::new(Disk::new(directory.clone(), clock.clone()));
        let maintenance = settings.maintenance.clone();
        Ok(Self {
            state_files: Arc::new(StateFiles::new(directory)),
            maintenance: Arc::new(Maintenance::start(
                disk.clone(),
                memory.clone(),
                maintenance,
            )),
            memory,
            disk,
            locks: KeyLocks::new(STRIPES),
            max_bytes: settings.maintenance.max_bytes,
            archive: Arc::new(Archive::of(&settings.dir)),
            keeps_all: settings.archive,
            clock,
        })
    }

    /// How the disk tier is.
    pub fn health(&self) -> Health {
        self.disk.health(self.max_bytes)
    }

    /// Tends the cache without pausing, and returns when that is done.
    pub async fn run_maintenance(&self) {
        let maintenance = self.maintenance.clone();
        blocking(move || maintenance.run_maintenance()).await;
    }

    /// Looks the entry up without waiting: in memory, in the index and, through the kernel's page cache,
    /// on disk.
    pub fn get_cached(&self, key: &Key) -> Cached {
        if let Some(entry) = self.memory.get(key) {
            return Cached::Found(entry);
        }
        if self.disk.is_absent(key) {
            return Cached::Absent;
        }
        // The lock holder may be about to write this entry.
        let Some(_guard) = self.locks.try_lock(key) else {
            return Cached::Unknown;
        };
        match self.disk.try_read_cached(key) {
            Ok(entry) => {
                let entry = Arc::new(entry);
                self.memory.put(*key, entry.clone());
                Cached::Found(entry)
            }
            Err(error) if error.is_absence() => Cached::Absent,
            Err(_) => Cached::Unknown,
        }
    }

    /// The entry, from memory or disk. An unreadable entry counts as none.
    pub async fn find(&self, key: &Key) -> Option<Arc<Entry>> {
        match self.get_cached(key) {
            Cached::Found(entry) => Some(entry),
            // Many requests for one new face would otherwise wait for its lock, one after the other.
            Cached::Absent => None,
            Cached::Unknown => self.find_uncached(key).await,
        }
    }

    /// The entry, where [`Store::get_cached`] did not know: from disk, on a thread that may block.
    pub async fn find_uncached(&self, key: &Key) -> Option<Arc<Entry>> {
        let guard = self.locks.lock(key).await;
        // The lock holder before may have put it there.
        if let Some(entry) = self.memory.get(key) {
            return Some(entry);
        }
        self.with_key_lock(guard, key, |disk, memory, key| {
            let entry = Arc::new(disk.read(key)?);
            memory.put(*key, entry.clone());
            Some(entry)
        })
        .await?
    }

    /// Keeps `entry`. Returns whether it reached the disk; memory has it in any case.
    pub async fn put(&self, key: &Key, owner: &Owner, entry: Arc<Entry>) -> bool {
        let (guard, owner) = (self.locks.lock(key).await, owner.clone());
        let archive = self
            .keeps_all
            .then(|| (self.archive.clone(), self.clock.now()));
        let kept = self.with_key_lock(guard, key, move |disk, memory, key| {
            let is_on_disk = disk.write(key, &owner, &entry);
            if let Some((archive, now)) = archive {
                archive.keep(key, &owner, &entry, now);
            }
            memory.put(*key, entry);
            is_on_disk
        });
        kept.await.unwrap_or(false)
    }

    /// Puts `tombstone` in the place of the entry, and removes its picture's bytes unless another
    /// entry has the same; the archive's, too. Returns whether that reached the disk.
    pub async fn forget(&self, key: &Key, owner: &Owner, tombstone: Arc<Entry>) -> bool {
        let (guard, owner) = (self.locks.lock(key).await, owner.clone());
        let archive = self.archive.clone();
        let forgotten = self.with_key_lock(guard, key, move |disk, memory, key| {
            memory.put(*key, tombstone.clone());
            let archived = archive.forget(key).inspect_err(|error| {
                tracing::error!(%error, "what the archive has of a face could not be removed");
            });
            disk.forget(key, &owner, &tombstone) && archived.is_ok()
        });
        forgotten.await.unwrap_or(false)
    }

    /// Removes the entry, and its content unless another entry has the same. Returns whether it is
    /// gone from disk.
    pub async fn remove(&self, key: &Key) -> bool {
        let guard = self.locks.lock(key).await;
        let removed = self.with_key_lock(guard, key, |disk, memory, key| {
            memory.remove(key);
            disk.remove(key)
        });
        removed.await.unwrap_or(false)
    }

    /// The faces whose entries were written last, newest first, of those that have a picture. Reads the
    /// whole index.
    pub async fn newest(&self, count: usize) -> Vec<(Owner, Timestamp)> {
        let disk = self.disk.clone();
        let newest = blocking(move || {
            let inspection = Inspection::open(disk.root())?;
            let rows = inspection.entries().filter_map(Result::ok);
            let mut rows: Vec<_> = rows.filter(|row| row.picture.is_some()).collect();
            rows.sort_by_key(|row| Reverse(row.written));
            let newest = rows.into_iter().take(count);
            let newest = newest.filter_map(|row| Some((row.owner()?, row.written)));
            io::Result::Ok(newest.collect())
        });
        newest.await.and_then(Result::ok).unwrap_or_default()
    }

    /// Everybody who has an entry, of one instance or of all. Reads the whole index.
    pub async fn owners(&self, instance: Option<Arc<str>>) -> Vec<Owner> {
        let disk = self.disk.clone();
        let owners = blocking(move || {
            let inspection = Inspection::open(disk.root())?;
            let rows = inspection.entries().filter_map(Result::ok);
            let wanted =
                rows.filter(|row| instance.as_ref().is_none_or(|name| **name == *row.instance));
            let owners = wanted.filter_map(|row| row.owner());
            io::Result::Ok(owners.collect())
        });
        owners.await.and_then(Result::ok).unwrap_or_default()
    }

    /// Changes both tiers while nobody else has the turn.
    async fn with_key_lock<T: Send + 'static>(
        &self,
        guard: OwnedMutexGuard<()>,
        key: &Key,
        work: impl FnOnce(&Disk, &Memory, &Key) -> T + Send + 'static,
    ) -> Option<T> {
        let (disk, memory, key) = (self.disk.clone(), self.memory.clone(), *key);
        blocking(move || {
            let done = work(&disk, &memory, &key);
            // Who gets the turn may count on it that this one holds nothing any more.
            drop((disk, memory));
            drop(guard);
            done
        })
        .await
    }

    /// Returns when nobody who asked until now works on the disk any more, not even for a caller who
    /// went away.
    pub async fn wait_idle(&self) {
        self.locks.wait_idle().await;
    }

    /// What was last noted under `name`.
    pub fn load_state(&self, name: &str) -> Option<Vec<u8>> {
        self.state_files.read(name)
    }

    /// StateFiles what `text` says once it is this note's turn, so that of several notes under one
    /// name the newest stays.
    pub async fn save_state(
        &self,
        name: Arc<str>,
        text: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) {
        let state_files = self.state_files.clone();
        blocking(move || state_files.write(&name, text)).await;
    }
}

/// cacache's functions for async code hop to a thread once per read; one hop for all is faster.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::error!(%error, "the cache's disk work was lost");
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
    async fn a_store_at_rest_lets_its_directory_go() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            dir: folder.path().to_path_buf(),
            maintenance: MaintenanceSettings {
                max_bytes: 1 << 20,
                max_entries: 100,
                min_free: 0,
                gc_grace: Duration::ZERO,
                files_per_second: 1000,
            },
            memory: 1 << 20,
            max_picture: 1 << 16,
            archive: false,
        };
        for number in 0..50 {
            let store = Store::open(&settings, Clock::system()).unwrap();
            let key = Key::new("sales", &format!("1{number}").parse().unwrap());
            // Somebody asks, and goes away at once.
            let _ = time::timeout(Duration::ZERO, store.find(&key)).await;
            store.wait_idle().await;
        }
    }
}
