//! Finds and keeps entries: in memory, then on disk. Knows nothing of HTTP, nor of why an entry is
//! worth keeping.

mod bucket;
mod catalogue;
mod directory;
mod disk;
mod memory;
mod notes;
mod survey;
mod tend;

use std::{path::PathBuf, sync::Arc};

use tokio::sync::{Mutex, MutexGuard};

pub use catalogue::Totals;
use directory::Directory;
pub use directory::OpenError;
use disk::Disk;
pub use disk::Health;
use memory::Memory;
use notes::Notes;
pub use survey::{Damage, Row, Survey};
use tend::Tender;
pub use tend::Tending;

use crate::{
    avatar::{Entry, Key, Subject},
    clock::Clock,
};

/// Where entries live, and how much of them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cache directory; made if it is missing.
    pub dir: PathBuf,
    /// How the disk is kept in order.
    pub tending: Tending,
    /// Bytes of pictures kept in memory.
    pub memory: u64,
    /// The largest picture in bytes.
    pub max_picture: usize,
}

/// Many more than there are disk threads, so that faces seldom wait for each other.
const TURNS: usize = 4096;

/// Both tiers.
#[derive(Debug)]
pub struct Store {
    memory: Arc<Memory>,
    disk: Arc<Disk>,
    notes: Arc<Notes>,
    tender: Arc<Tender>,
    /// Disk and memory change together: what was read from disk before a change must not reach
    /// memory after it, or a face that was forgotten would be shown again. A look that memory
    /// answers takes no turn.
    turns: Box<[Mutex<()>]>,
}

/// Whose entry it is, written beside it so that the cache directory explains itself.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The instance through which the face was seen.
    pub instance: Arc<str>,
    /// Whose face.
    pub subject: Subject,
}

// === impl Store ===

impl Store {
    /// Opens the cache directory, and takes it for this process alone. Blocks on the file system.
    pub fn open(settings: &Settings, clock: Clock) -> Result<Self, OpenError> {
        let memory = Arc::new(Memory::new(settings.memory, settings.max_picture));
        let disk = Arc::new(Disk::new(Directory::take(&settings.dir)?, clock));
        let tending = settings.tending.clone();
        Ok(Self {
            notes: Arc::new(Notes::new(&settings.dir)),
            tender: Arc::new(Tender::start(disk.clone(), memory.clone(), tending)),
            memory,
            disk,
            turns: (0..TURNS).map(|_| Mutex::new(())).collect(),
        })
    }

    /// How the disk tier is.
    pub fn health(&self) -> Health {
        self.disk.health()
    }

    /// Tends the cache without pausing, and returns when that is done.
    pub async fn tend_now(&self) {
        let tender = self.tender.clone();
        blocking(move || tender.tend_now()).await;
    }

    /// The entry, if memory has it.
    pub fn peek(&self, key: &Key) -> Option<Arc<Entry>> {
        self.memory.get(key)
    }

    /// The entry, from memory or disk. An unreadable one is as good as none.
    pub async fn find(&self, key: &Key) -> Option<Arc<Entry>> {
        if let Some(entry) = self.memory.get(key) {
            return Some(entry);
        }
        let _turn = self.turn(key).await;
        // Whoever had the turn before may have brought it.
        if let Some(entry) = self.memory.get(key) {
            return Some(entry);
        }
        let (disk, wanted) = (self.disk.clone(), *key);
        let found = blocking(move || disk.read(&wanted)).await.flatten()?;
        let entry = Arc::new(found);
        self.memory.put(*key, entry.clone());
        Some(entry)
    }

    /// Keeps `entry`. Returns whether it reached the disk; memory has it in any case.
    pub async fn put(&self, key: &Key, owner: &Owner, entry: Arc<Entry>) -> bool {
        let (disk, wanted, owner) = (self.disk.clone(), *key, owner.clone());
        let written = entry.clone();
        let _turn = self.turn(key).await;
        let kept = blocking(move || disk.write(&wanted, &owner, &written)).await;
        self.memory.put(*key, entry);
        kept.unwrap_or(false)
    }

    /// Puts `tombstone` in the place of the entry, and removes its picture's bytes unless another
    /// entry has the same. Returns whether that reached the disk.
    pub async fn forget(&self, key: &Key, owner: &Owner, tombstone: Arc<Entry>) -> bool {
        let (disk, wanted, owner) = (self.disk.clone(), *key, owner.clone());
        let written = tombstone.clone();
        let _turn = self.turn(key).await;
        self.memory.put(*key, tombstone);
        blocking(move || disk.forget(&wanted, &owner, &written))
            .await
            .unwrap_or(false)
    }

    /// Removes the entry, and its content unless another entry has the same.
    pub async fn remove(&self, key: &Key) {
        let (disk, wanted) = (self.disk.clone(), *key);
        let _turn = self.turn(key).await;
        blocking(move || disk.remove(&wanted)).await;
        self.memory.remove(key);
    }

    /// Everybody who has an entry, of one instance or of all. Reads the whole index.
    pub async fn owners(&self, instance: Option<Arc<str>>) -> Vec<Owner> {
        let disk = self.disk.clone();
        let owners = blocking(move || {
            let survey = Survey::of(disk.root())?;
            let rows = survey.rows().filter_map(Result::ok);
            let wanted =
                rows.filter(|row| instance.as_ref().is_none_or(|name| **name == *row.instance));
            let owners = wanted.filter_map(|row| {
                Some(Owner {
                    instance: row.instance.as_str().into(),
                    subject: row.subject.parse().ok()?,
                })
            });
            std::io::Result::Ok(owners.collect())
        });
        owners.await.and_then(Result::ok).unwrap_or_default()
    }

    async fn turn(&self, key: &Key) -> MutexGuard<'_, ()> {
        let [high, low, ..] = *key.as_bytes();
        let at = usize::from(u16::from_be_bytes([high, low])) % self.turns.len();
        self.turns[at].lock().await
    }

    /// What was last noted under `name`.
    pub fn noted(&self, name: &str) -> Option<Vec<u8>> {
        self.notes.read(name)
    }

    /// Notes what `text` says once it is this note's turn, so that of several notes under one
    /// name the newest stays.
    pub async fn note(&self, name: Arc<str>, text: impl FnOnce() -> Vec<u8> + Send + 'static) {
        let notes = self.notes.clone();
        blocking(move || notes.write(&name, text)).await;
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
