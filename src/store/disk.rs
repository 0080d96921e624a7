//! Entries on disk, through `cacache`: a picture is a file named by its SHA-256, an entry is a line
//! in the index. The only file that names the crate.
//!
//! Its functions for async code cost several times the synchronous ones, so these here block and
//! are called off the runtime.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cacache::{Integrity, WriteOpts, index};

use super::{
    Owner,
    catalogue::{ContentId, Totals},
    directory::{Directory, OpenError},
    health::{Degraded, DiskHealth, Operation},
    index::Index,
    index_file::{self, IndexFile},
    metadata::{EntryMetadata, ReadError},
    nonblocking::NonblockingReader,
    record::Record,
};
use crate::{
    avatar::{Entry, Key, Picture},
    clock::{Clock, Timestamp},
};

/// The entries on disk.
#[derive(Debug)]
pub(super) struct Disk {
    /// Ours as long as this lives.
    directory: Arc<Directory>,
    /// One change at a time: what refers to a content cannot change while that is being removed.
    /// Held for as long as the disk takes, so nobody but the disk's own threads may wait for it.
    change: Mutex<()>,
    index: Index,
    nonblocking: NonblockingReader,
    disk_health: DiskHealth,
    damaged: AtomicU64,
    evicted: AtomicU64,
    clock: Clock,
}

/// The right to change what is on disk.
type Change<'a> = MutexGuard<'a, ()>;

/// How the disk tier is.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// What is on disk, as far as it is known.
    pub totals: Totals,
    /// Bytes that may be on disk.
    pub max_bytes: u64,
    /// Whether all of it is known: the look around after the start takes a while.
    pub is_complete: bool,
    /// Entries found unreadable since the start.
    pub damaged: u64,
    /// Entries evicted since the start.
    pub evicted: u64,
    /// What keeps the disk from being changed, if anything does.
    pub degraded: Option<Degraded>,
}

/// Why the disk could not be changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    #[error(transparent)]
    Directory(#[from] OpenError),
    #[error("{0}")]
    Cache(#[from] cacache::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Line(#[from] serde_json::Error),
}

impl Disk {
    /// The longest bucket: some forty changes of an entry.
    const LONGEST_BUCKET: u64 = 16 * 1024;

    /// The entries in `directory`.
    pub(super) fn new(directory: Arc<Directory>, clock: Clock) -> Self {
        Self {
            nonblocking: NonblockingReader::new(directory.clone()),
            directory,
            change: Mutex::default(),
            index: Index::default(),
            disk_health: DiskHealth::default(),
            damaged: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            clock,
        }
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.root()
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn health(&self, max_bytes: u64) -> Health {
        Health {
            totals: self.index.totals(),
            max_bytes,
            is_complete: self.index.is_complete(),
            damaged: self.damaged.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            degraded: self.disk_health.first(),
        }
    }

    // --- reading ---

    /// The entry of `key`. One that is damaged is reported and cleared away, and then as good as
    /// none.
    pub(super) fn read(&self, key: &Key) -> Option<Entry> {
        let read = match self.look(key) {
            // Somebody may have been writing just then.
            Err(error) if error.is_damage() => self.look_again(key),
            read => read,
        };
        match read {
            Ok(entry) => {
                self.index.touch(key, seconds(self.clock.now()));
                entry
            }
            Err(error) => {
                tracing::warn!(%key, %error, "a cache entry cannot be read now; it stays");
                None
            }
        }
    }

    fn look(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        let bucket = self.bucket(key)?;
        if bucket.is_damaged {
            return Err(ReadError::Torn);
        }
        bucket.line.map(|line| self.entry(line)).transpose()
    }

    /// Looks while nobody writes: what is damaged now is. A damaged line is mended by the one
    /// before, which was true once, and whose picture is proven by its digest.
    fn look_again(&self, key: &Key) -> Result<Option<Entry>, ReadError> {
        let change = self.waiting();
        let mut bucket = self.bucket(key)?;
        let line = bucket.line.take();
        let content = line.as_ref().and_then(|line| line.integrity.clone());
        let read = line.map(|line| self.entry(line)).transpose();
        let error = match read {
            Ok(Some(entry)) if bucket.is_damaged => {
                self.damaged(key, &"the one before counts until the vendor is asked");
                if let Err(error) = index_file::compact(self.root(), &self.path(key), 0) {
                    tracing::debug!(%key, %error, "a damaged line stays in the index");
                }
                self.nonblocking.changed(key);
                return Ok(Some(entry.distrust(self.clock.now())));
            }
            Ok(None) if bucket.is_damaged => ReadError::Torn,
            Err(error) if error.is_damage() => error,
            read => return read,
        };
        self.damaged(key, &error);
        if let (ReadError::Content(_) | ReadError::NotAPicture, Some(content)) = (&error, content) {
            // Damaged bytes under a right name would keep the right ones from being written.
            let spoiled = index_file::content_path(self.root(), &content);
            let _ = spoiled.map(fs::remove_file);
        }
        if let Err(error) = self.discard(&change, key) {
            tracing::warn!(%key, %error, "a damaged cache entry cannot be removed");
        }
        Ok(None)
    }

    fn damaged(&self, key: &Key, what: &dyn std::fmt::Display) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%key, %what, "a cache entry is damaged and will be fetched again");
    }

    fn bucket(&self, key: &Key) -> Result<IndexFile, ReadError> {
        match fs::read(self.path(key)) {
            Ok(bytes) => Ok(index_file::newest(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(IndexFile::default()),
            Err(error) => Err(ReadError::Now(error)),
        }
    }

    fn entry(&self, line: index_file::Line) -> Result<Entry, ReadError> {
        EntryMetadata::of(line)?.entry(|content, _, _| {
            let content: Integrity = content.parse().map_err(|_| ReadError::NotAPicture)?;
            let bytes =
                cacache::read_hash_sync(self.root(), &content).map_err(|error| match error {
                    cacache::Error::IoError(error, _)
                        if error.kind() != io::ErrorKind::NotFound =>
                    {
                        ReadError::Now(error)
                    }
                    error => ReadError::Content(error.into()),
                })?;
            Picture::validate(bytes.into()).map_err(|_| ReadError::NotAPicture)
        })
    }

    /// Whether the index knows that there is no entry of `key`.
    pub(super) fn is_absent(&self, key: &Key) -> bool {
        self.index.is_absent(key)
    }

    /// The entry of `key`, if it is whole and can be read without waiting for the disk.
    pub(super) fn try_read_cached(&self, key: &Key) -> Result<Entry, ReadError> {
        let entry = self.nonblocking.try_read_cached(key)?;
        self.index.touch(key, seconds(self.clock.now()));
        Ok(entry)
    }

    // --- writing ---

    /// Writes `entry`: the picture first, then the line that names it, so that a crash between
    /// the two leaves the old entry whole. Returns whether it is on disk.
    pub(super) fn write(&self, key: &Key, owner: &Owner, entry: &Entry) -> bool {
        let written = self
            .change()
            .and_then(|change| self.try_write(&change, key, owner, entry));
        self.note(Operation::Writing, &written);
        written.is_ok()
    }

    /// Writes `tombstone` over the entry and over its past, and removes the picture that it had
    /// unless another entry has the same one. Returns whether all of that is so.
    pub(super) fn forget(&self, key: &Key, owner: &Owner, tombstone: &Entry) -> bool {
        let forgotten = self.change().and_then(|change| {
            let before = self.bucket(key).ok().and_then(|bucket| bucket.line);
            self.try_write(&change, key, owner, tombstone)?;
            index_file::compact(self.root(), &self.path(key), 0)?;
            // A catalogue that is complete saw to it in `try_write`.
            let content = before.and_then(|line| line.integrity);
            match content.filter(|content| !self.is_on_disk(content)) {
                Some(content) => self.remove_content(&content),
                None => Ok(()),
            }
        });
        self.note(Operation::Writing, &forgotten);
        forgotten.is_ok()
    }

    /// Whether any entry on disk has this content. While the catalogue does not know, that means to
    /// read the whole index.
    fn is_on_disk(&self, content: &str) -> bool {
        if self.index.is_complete() {
            return index_file::content_id(content).is_some_and(|id| !self.index.is_orphan(&id));
        }
        index_file::files(self.root())
            .filter_map(|path| index_file::newest(&fs::read(path).ok()?).line)
            .any(|line| line.integrity.as_deref() == Some(content))
    }

    fn remove_content(&self, content: &str) -> Result<(), ChangeError> {
        match index_file::content_path(self.root(), content).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn try_write(
        &self,
        change: &Change<'_>,
        key: &Key,
        owner: &Owner,
        entry: &Entry,
    ) -> Result<(), ChangeError> {
        let bytes = entry
            .picture
            .as_ref()
            .map_or(&[][..], |kept| kept.picture.bytes());
        let content = Integrity::from(bytes);
        if !bytes.is_empty() {
            self.ensure(&content, bytes)?;
        }
        let opts = WriteOpts::new()
            .integrity(content.clone())
            .size(bytes.len())
            .time(u128::from(self.clock.now().as_millis()))
            .metadata(serde_json::to_value(Record::new(owner, entry))?);
        let inserted = index::insert(self.root(), &key.to_string(), opts);
        self.nonblocking.changed(key);
        inserted?;
        if let Err(error) = index_file::compact(self.root(), &self.path(key), Self::LONGEST_BUCKET)
        {
            tracing::debug!(%key, %error, "an index file could not be shortened, and grows on");
        }
        let id = index_file::content_id(&content.to_string()).filter(|_| !bytes.is_empty());
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let used = seconds(self.clock.now());
        let freed = self.index.put(*key, id.map(|id| (id, size)), used);
        self.drop_freed(change, freed);
        Ok(())
    }

    /// Sees to it that the content is there. Writing a file that is there would replace a good
    /// one, and a crash could spoil it; a new date tells a collector in another process that
    /// somebody needs it again.
    fn ensure(&self, content: &Integrity, bytes: &[u8]) -> cacache::Result<()> {
        if cacache::exists_sync(self.root(), content) {
            let path = index_file::content_path(self.root(), &content.to_string());
            let file = path.and_then(|path| File::options().append(true).open(path).ok());
            // A collector waits for hours; a date that cannot be renewed once is no loss.
            let _ = file.map(|file| file.set_times(index_file::now()));
            return Ok(());
        }
        cacache::write_hash_sync(self.root(), bytes)?;
        Ok(())
    }

    /// Finds out whether the disk takes writes, without leaving anything there.
    pub(super) fn probe(&self) {
        let probed = self.change().and_then(|_change| {
            index_file::try_writing(self.root())?;
            Ok(())
        });
        self.note(Operation::Writing, &probed);
    }

    // --- removing ---

    /// Removes an entry to make room, unless it was used after `used`. Returns whether it did.
    pub(super) fn evict(&self, key: &Key, used: u32) -> Result<bool, ChangeError> {
        let evicted = self.change().and_then(|change| {
            let is_idle = self.index.used(key) == Some(used);
            if is_idle {
                self.discard(&change, key)?;
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(is_idle)
        });
        self.note(Operation::MakingRoom, &evicted);
        evicted
    }

    /// Removes an entry for good. Returns whether it is gone.
    pub(super) fn remove(&self, key: &Key) -> bool {
        let removed = self.change().and_then(|change| self.discard(&change, key));
        self.note(Operation::Writing, &removed);
        removed.is_ok()
    }

    /// Removes an entry, and its content unless another entry has the same.
    fn discard(&self, change: &Change<'_>, key: &Key) -> Result<(), ChangeError> {
        let removed = fs::remove_file(self.path(key));
        self.nonblocking.changed(key);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let freed = self.index.remove(key);
        self.drop_freed(change, freed);
        Ok(())
    }

    /// Removes the content file at `path` if nobody refers to it. Returns whether it did.
    pub(super) fn collect(&self, path: &Path) -> bool {
        let Ok(_change) = self.change() else {
            return false;
        };
        index_file::content_at(self.root(), path).is_some_and(|id| self.index.is_orphan(&id))
            && fs::remove_file(path).is_ok()
    }

    fn drop_freed(&self, _: &Change<'_>, freed: Option<ContentId>) {
        if let Some(path) = freed.and_then(|id| index_file::find_content(self.root(), &id)) {
            // What cannot be removed now, the collector finds later.
            let _ = fs::remove_file(path);
        }
    }

    /// Takes a bucket into the catalogue.
    pub(super) fn take_in(&self, path: &Path) -> io::Result<()> {
        // An entry that is removed between the look and the note would be in the index for ever.
        let _change = self.waiting();
        let line = index_file::newest(&fs::read(path)?).line;
        let Some((key, line)) = line.and_then(|line| Some((line.key.parse().ok()?, line))) else {
            self.index.mark_unidentified();
            return Ok(());
        };
        let size = u32::try_from(line.size).unwrap_or(u32::MAX);
        let content = line.integrity.as_deref().and_then(index_file::content_id);
        let used = seconds(Timestamp::from_millis(line.time));
        let content = content.filter(|_| size > 0).map(|id| (id, size));
        self.index.found(key, content, used);
        Ok(())
    }

    /// Waits for the right to change what is on disk, and sees to it that the directory is ours.
    fn change(&self) -> Result<Change<'_>, ChangeError> {
        let change = self.waiting();
        if self.index.switch_to(self.directory.retake()?) {
            self.nonblocking.all_changed();
        }
        Ok(change)
    }

    fn waiting(&self) -> Change<'_> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, operation: Operation, went: &Result<T, ChangeError>) {
        self.disk_health
            .note(operation, went, self.root(), self.clock.now());
    }

    fn path(&self, key: &Key) -> PathBuf {
        index_file::path(self.root(), &key.to_string())
    }
}

fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &index_file::Line) -> serde_json::Value {
        serde_json::from_str(line.metadata.get()).unwrap()
    }

    #[test]
    fn our_reading_of_the_index_is_cacache_s_own() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for time in 1..=100u128 {
            let opts = WriteOpts::new()
                .integrity(Integrity::from(b"content"))
                .size(7)
                .time(time)
                .metadata(serde_json::json!({ "time": time.to_string() }));
            index::insert(root, "a key", opts).unwrap();
        }
        let path = index_file::path(root, "a key");
        let theirs = index::find(root, "a key").unwrap().unwrap();
        let ours = index_file::newest(&fs::read(&path).unwrap()).line.unwrap();
        assert_eq!((&ours.key, ours.size), (&theirs.key, 7));
        assert_eq!(ours.integrity, Some(theirs.integrity.to_string()));
        assert_eq!(value(&ours), theirs.metadata);
        // And cacache reads what we rewrote.
        index_file::compact(root, &path, 1000).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 1000);
        let theirs = index::find(root, "a key").unwrap().unwrap();
        assert_eq!(theirs.metadata, value(&ours));
    }

    #[test]
    fn a_file_of_the_index_that_nobody_can_read_may_be_anybody_s() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::take(folder.path()).unwrap());
        let disk = Disk::new(directory, Clock::system());
        let key = Key::new("sales", &"628123".parse().unwrap());
        disk.index().mark_complete(disk.index().epoch());
        assert!(disk.index().is_absent(&key));
        let path = disk.path(&key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "\nno line of an index").unwrap();
        disk.take_in(&path).unwrap();
        assert!(!disk.index().is_absent(&key));
        assert!(!disk.is_absent(&key));
    }

    #[test]
    fn our_names_of_contents_are_cacache_s_own() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let content = cacache::write_hash_sync(root, b"content").unwrap();
        let path = index_file::content_path(root, &content.to_string()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        let id = index_file::content_id(&content.to_string()).unwrap();
        assert_eq!(index_file::content_at(root, &path), Some(id));
        assert_eq!(index_file::find_content(root, &id), Some(path));
    }
}
