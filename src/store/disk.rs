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
    books::Books,
    bucket::{self, Bucket},
    catalogue::{ContentId, Totals},
    directory::{Directory, OpenError},
    glance::Glances,
    line::Line,
    outline::{Outline, Unreadable},
    trouble::{Doing, Trouble, Troubles},
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
    books: Books,
    glances: Glances,
    troubles: Troubles,
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
    pub trouble: Option<Trouble>,
}

/// Why the disk could not be changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unchanged {
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
            glances: Glances::new(directory.clone()),
            directory,
            change: Mutex::default(),
            books: Books::default(),
            troubles: Troubles::default(),
            damaged: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            clock,
        }
    }

    pub(super) fn root(&self) -> &Path {
        self.directory.root()
    }

    pub(super) fn books(&self) -> &Books {
        &self.books
    }

    pub(super) fn health(&self, max_bytes: u64) -> Health {
        Health {
            totals: self.books.totals(),
            max_bytes,
            is_complete: self.books.is_complete(),
            damaged: self.damaged.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            trouble: self.troubles.first(),
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
                self.books.touch(key, seconds(self.clock.now()));
                entry
            }
            Err(error) => {
                tracing::warn!(%key, %error, "a cache entry cannot be read now; it stays");
                None
            }
        }
    }

    fn look(&self, key: &Key) -> Result<Option<Entry>, Unreadable> {
        let bucket = self.bucket(key)?;
        if bucket.is_damaged {
            return Err(Unreadable::Torn);
        }
        bucket.line.map(|line| self.entry(line)).transpose()
    }

    /// Looks while nobody writes: what is damaged now is. A damaged line is mended by the one
    /// before, which was true once, and whose picture is proven by its digest.
    fn look_again(&self, key: &Key) -> Result<Option<Entry>, Unreadable> {
        let change = self.waiting();
        let mut bucket = self.bucket(key)?;
        let line = bucket.line.take();
        let content = line.as_ref().and_then(|line| line.integrity.clone());
        let read = line.map(|line| self.entry(line)).transpose();
        let error = match read {
            Ok(Some(entry)) if bucket.is_damaged => {
                self.damaged(key, &"the one before counts until the vendor is asked");
                if let Err(error) = bucket::compact(self.root(), &self.path(key), 0) {
                    tracing::debug!(%key, %error, "a damaged line stays in the index");
                }
                self.glances.changed(key);
                return Ok(Some(entry.distrust(self.clock.now())));
            }
            Ok(None) if bucket.is_damaged => Unreadable::Torn,
            Err(error) if error.is_damage() => error,
            read => return read,
        };
        self.damaged(key, &error);
        if let (Unreadable::Content(_) | Unreadable::NotAPicture, Some(content)) = (&error, content)
        {
            // Damaged bytes under a right name would keep the right ones from being written.
            let spoiled = bucket::content_path(self.root(), &content);
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

    fn bucket(&self, key: &Key) -> Result<Bucket, Unreadable> {
        match fs::read(self.path(key)) {
            Ok(bytes) => Ok(bucket::newest(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Bucket::default()),
            Err(error) => Err(Unreadable::Now(error)),
        }
    }

    fn entry(&self, line: bucket::Line) -> Result<Entry, Unreadable> {
        Outline::of(line)?.entry(|content, _, _| {
            let content: Integrity = content.parse().map_err(|_| Unreadable::NotAPicture)?;
            let bytes =
                cacache::read_hash_sync(self.root(), &content).map_err(|error| match error {
                    cacache::Error::IoError(error, _)
                        if error.kind() != io::ErrorKind::NotFound =>
                    {
                        Unreadable::Now(error)
                    }
                    error => Unreadable::Content(error.into()),
                })?;
            Picture::validate(bytes.into()).map_err(|_| Unreadable::NotAPicture)
        })
    }

    /// Whether there is surely no entry of `key`, as far as can be told without waiting for the disk.
    pub(super) fn lacks(&self, key: &Key) -> bool {
        self.books.lack(key) || self.glances.is_absent(key)
    }

    /// The entry of `key`, if it is whole and can be read without waiting for the disk.
    pub(super) fn glance(&self, key: &Key) -> Option<Entry> {
        let entry = self.glances.entry(key)?;
        self.books.touch(key, seconds(self.clock.now()));
        Some(entry)
    }

    // --- writing ---

    /// Writes `entry`: the picture first, then the line that names it, so that a crash between
    /// the two leaves the old entry whole. Returns whether it is on disk.
    pub(super) fn write(&self, key: &Key, owner: &Owner, entry: &Entry) -> bool {
        let written = self
            .change()
            .and_then(|change| self.try_write(&change, key, owner, entry));
        self.note(Doing::Writing, &written);
        written.is_ok()
    }

    /// Writes `tombstone` over the entry and over its past, and removes the picture that it had
    /// unless another entry has the same one. Returns whether all of that is so.
    pub(super) fn forget(&self, key: &Key, owner: &Owner, tombstone: &Entry) -> bool {
        let forgotten = self.change().and_then(|change| {
            let before = self.bucket(key).ok().and_then(|bucket| bucket.line);
            self.try_write(&change, key, owner, tombstone)?;
            bucket::compact(self.root(), &self.path(key), 0)?;
            // A catalogue that is complete saw to it in `try_write`.
            let content = before.and_then(|line| line.integrity);
            match content.filter(|content| !self.is_on_disk(content)) {
                Some(content) => self.remove_content(&content),
                None => Ok(()),
            }
        });
        self.note(Doing::Writing, &forgotten);
        forgotten.is_ok()
    }

    /// Whether any entry on disk has this content. While the catalogue does not know, that means to
    /// read the whole index.
    fn is_on_disk(&self, content: &str) -> bool {
        if self.books.is_complete() {
            return bucket::content_id(content).is_some_and(|id| !self.books.is_orphan(&id));
        }
        bucket::files(self.root())
            .filter_map(|path| bucket::newest(&fs::read(path).ok()?).line)
            .any(|line| line.integrity.as_deref() == Some(content))
    }

    fn remove_content(&self, content: &str) -> Result<(), Unchanged> {
        match bucket::content_path(self.root(), content).map(fs::remove_file) {
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
    ) -> Result<(), Unchanged> {
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
            .metadata(serde_json::to_value(Line::new(owner, entry))?);
        let inserted = index::insert(self.root(), &key.to_string(), opts);
        self.glances.changed(key);
        inserted?;
        if let Err(error) = bucket::compact(self.root(), &self.path(key), Self::LONGEST_BUCKET) {
            tracing::debug!(%key, %error, "an index file could not be shortened, and grows on");
        }
        let id = bucket::content_id(&content.to_string()).filter(|_| !bytes.is_empty());
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let used = seconds(self.clock.now());
        let freed = self.books.put(*key, id.map(|id| (id, size)), used);
        self.drop_freed(change, freed);
        Ok(())
    }

    /// Sees to it that the content is there. Writing a file that is there would replace a good
    /// one, and a crash could spoil it; a new date tells a collector in another process that
    /// somebody needs it again.
    fn ensure(&self, content: &Integrity, bytes: &[u8]) -> cacache::Result<()> {
        if cacache::exists_sync(self.root(), content) {
            let path = bucket::content_path(self.root(), &content.to_string());
            let file = path.and_then(|path| File::options().append(true).open(path).ok());
            // A collector waits for hours; a date that cannot be renewed once is no loss.
            let _ = file.map(|file| file.set_times(bucket::now()));
            return Ok(());
        }
        cacache::write_hash_sync(self.root(), bytes)?;
        Ok(())
    }

    /// Finds out whether the disk takes writes, without leaving anything there.
    pub(super) fn probe(&self) {
        let probed = self.change().and_then(|_change| {
            bucket::try_writing(self.root())?;
            Ok(())
        });
        self.note(Doing::Writing, &probed);
    }

    // --- removing ---

    /// Removes an entry to make room, unless it was used after `used`. Returns whether it did.
    pub(super) fn evict(&self, key: &Key, used: u32) -> Result<bool, Unchanged> {
        let evicted = self.change().and_then(|change| {
            let is_idle = self.books.used(key) == Some(used);
            if is_idle {
                self.discard(&change, key)?;
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(is_idle)
        });
        self.note(Doing::MakingRoom, &evicted);
        evicted
    }

    /// Removes an entry for good. Returns whether it is gone.
    pub(super) fn remove(&self, key: &Key) -> bool {
        let removed = self.change().and_then(|change| self.discard(&change, key));
        self.note(Doing::Writing, &removed);
        removed.is_ok()
    }

    /// Removes an entry, and its content unless another entry has the same.
    fn discard(&self, change: &Change<'_>, key: &Key) -> Result<(), Unchanged> {
        let removed = fs::remove_file(self.path(key));
        self.glances.changed(key);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let freed = self.books.remove(key);
        self.drop_freed(change, freed);
        Ok(())
    }

    /// Removes the content file at `path` if nobody refers to it. Returns whether it did.
    pub(super) fn collect(&self, path: &Path) -> bool {
        let Ok(_change) = self.change() else {
            return false;
        };
        bucket::content_at(self.root(), path).is_some_and(|id| self.books.is_orphan(&id))
            && fs::remove_file(path).is_ok()
    }

    fn drop_freed(&self, _: &Change<'_>, freed: Option<ContentId>) {
        if let Some(path) = freed.and_then(|id| bucket::find_content(self.root(), &id)) {
            // What cannot be removed now, the collector finds later.
            let _ = fs::remove_file(path);
        }
    }

    /// Takes a bucket into the catalogue.
    pub(super) fn take_in(&self, path: &Path) -> io::Result<()> {
        // An entry that is removed between the look and the note would be in the books for ever.
        let _change = self.waiting();
        let line = bucket::newest(&fs::read(path)?).line;
        let Some((key, line)) = line.and_then(|line| Some((line.key.parse().ok()?, line))) else {
            self.books.found_a_stranger();
            return Ok(());
        };
        let size = u32::try_from(line.size).unwrap_or(u32::MAX);
        let content = line.integrity.as_deref().and_then(bucket::content_id);
        let used = seconds(Timestamp::from_millis(line.time));
        let content = content.filter(|_| size > 0).map(|id| (id, size));
        self.books.found(key, content, used);
        Ok(())
    }

    /// Waits for the right to change what is on disk, and sees to it that the directory is ours.
    fn change(&self) -> Result<Change<'_>, Unchanged> {
        let change = self.waiting();
        if self.books.follow(self.directory.retake()?) {
            self.glances.all_changed();
        }
        Ok(change)
    }

    fn waiting(&self) -> Change<'_> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, doing: Doing, went: &Result<T, Unchanged>) {
        self.troubles
            .note(doing, went, self.root(), self.clock.now());
    }

    fn path(&self, key: &Key) -> PathBuf {
        bucket::path(self.root(), &key.to_string())
    }
}

fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &bucket::Line) -> serde_json::Value {
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
        let path = bucket::path(root, "a key");
        let theirs = index::find(root, "a key").unwrap().unwrap();
        let ours = bucket::newest(&fs::read(&path).unwrap()).line.unwrap();
        assert_eq!((&ours.key, ours.size), (&theirs.key, 7));
        assert_eq!(ours.integrity, Some(theirs.integrity.to_string()));
        assert_eq!(value(&ours), theirs.metadata);
        // And cacache reads what we rewrote.
        bucket::compact(root, &path, 1000).unwrap();
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
        disk.books().completed(disk.books().epoch());
        assert!(disk.books().lack(&key));
        let path = disk.path(&key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "\nno line of an index").unwrap();
        disk.take_in(&path).unwrap();
        assert!(!disk.books().lack(&key));
        assert!(!disk.lacks(&key));
    }

    #[test]
    fn our_names_of_contents_are_cacache_s_own() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let content = cacache::write_hash_sync(root, b"content").unwrap();
        let path = bucket::content_path(root, &content.to_string()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        let id = bucket::content_id(&content.to_string()).unwrap();
        assert_eq!(bucket::content_at(root, &path), Some(id));
        assert_eq!(bucket::find_content(root, &id), Some(path));
    }
}
