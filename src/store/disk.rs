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
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use cacache::{Integrity, WriteOpts, index};
use serde::{Deserialize, Serialize};

use super::{
    Owner, bucket,
    catalogue::{Catalogue, ContentId, Limits, Totals},
    directory::Directory,
};
use crate::{
    avatar::{Entry, Kept, Key, Last, Picture},
    clock::{Clock, Timestamp},
};

/// The entries on disk.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Ours as long as this lives.
    _directory: Directory,
    /// One change at a time, and the catalogue with it: what refers to a content cannot change
    /// while that is being removed. Reads do not take it.
    books: Mutex<Books>,
    /// What keeps entries from being written, if anything does.
    trouble: Mutex<Option<String>>,
    damaged: AtomicU64,
    evicted: AtomicU64,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Books {
    catalogue: Catalogue,
    /// Whether the catalogue knows all that is on disk. Until then, "nobody refers to it" is
    /// nothing to act on.
    is_complete: bool,
}

/// How the disk tier is.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// What is on disk, as far as it is known.
    pub totals: Totals,
    /// Whether all of it is known: the look around after the start takes a while.
    pub is_complete: bool,
    /// Entries found unreadable since the start.
    pub damaged: u64,
    /// Entries evicted since the start.
    pub evicted: u64,
    /// What keeps entries from being written, if anything does.
    pub trouble: Option<String>,
}

/// An entry's line in the index, but for what cacache keeps itself.
#[derive(Serialize, Deserialize)]
struct Line {
    instance: String,
    subject: String,
    last: Last,
    picture: Option<PictureLine>,
}

#[derive(Serialize, Deserialize)]
struct PictureLine {
    name: Option<String>,
    changed: Timestamp,
    confirmed: Timestamp,
}

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("its picture is gone or damaged: {0}")]
    Content(cacache::Error),
    #[error("its picture is none")]
    NotAPicture,
    #[error("its index line makes no sense: {0}")]
    Line(#[from] serde_json::Error),
    #[error("its index cannot be read: {0}")]
    Index(io::Error),
    #[error("its index has no whole line")]
    Lost,
}

impl Unreadable {
    /// Whether the entry is spoiled. A system that is out of descriptors or memory, or lacks a
    /// permission, says nothing about the entry.
    fn is_damage(&self) -> bool {
        match self {
            Unreadable::Index(_) => false,
            Unreadable::Content(cacache::Error::IoError(error, _)) => {
                error.kind() == io::ErrorKind::NotFound
            }
            Unreadable::Content(_)
            | Unreadable::NotAPicture
            | Unreadable::Line(_)
            | Unreadable::Lost => true,
        }
    }
}

impl Disk {
    /// The longest bucket: some forty changes of an entry.
    const LONGEST_BUCKET: u64 = 16 * 1024;

    /// The entries in `directory`.
    pub(super) fn new(directory: Directory, clock: Clock) -> Self {
        Self {
            root: directory.root().to_path_buf(),
            _directory: directory,
            books: Mutex::default(),
            trouble: Mutex::default(),
            damaged: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            clock,
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn health(&self) -> Health {
        let books = self.books();
        Health {
            totals: books.catalogue.totals(),
            is_complete: books.is_complete,
            damaged: self.damaged.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            trouble: self.trouble().clone(),
        }
    }

    /// The entry of `key`. One that cannot be read is reported and cleared away, and then as good
    /// as none.
    pub(super) fn read(&self, key: &Key) -> Option<Entry> {
        match self.try_read(key) {
            Ok(entry) => {
                // A use that is not noted because somebody writes is no loss.
                if let Ok(mut books) = self.books.try_lock() {
                    books.catalogue.touch(key, seconds(self.clock.now()));
                }
                entry
            }
            Err(error) if !error.is_damage() => {
                tracing::warn!(%key, %error, "a cache entry cannot be read now; it stays");
                None
            }
            Err(error) => {
                self.damaged.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%key, %error, "a cache entry is unreadable and will be fetched again");
                self.discard(key);
                None
            }
        }
    }

    fn try_read(&self, key: &Key) -> Result<Option<Entry>, Unreadable> {
        let Some(found) = self.line(key)? else {
            return Ok(None);
        };
        let line: Line = serde_json::from_value(found.metadata)?;
        let picture = match (line.picture, found.integrity) {
            (Some(about), Some(content)) => match self.kept(&content, about) {
                Ok(kept) => Some(kept),
                // Evicted or replaced between the look at the index and the one at the content.
                Err(_) if self.line(key)?.and_then(|now| now.integrity) != Some(content) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            },
            _ => None,
        };
        Ok(Some(Entry {
            picture,
            last: line.last,
        }))
    }

    /// What the index says of `key`. Damage to the last line is reported, and mended by believing
    /// the one before: that was true once, and its content is proven by its digest.
    fn line(&self, key: &Key) -> Result<Option<bucket::Line>, Unreadable> {
        let path = bucket::path(&self.root, &key.to_string());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Unreadable::Index(error)),
        };
        let bucket = bucket::newest(&bytes);
        if bucket.is_damaged {
            let _books = self.books();
            bucket::compact(&self.root, &path, 0).map_err(Unreadable::Index)?;
            if bucket.line.is_none() {
                return Err(Unreadable::Lost);
            }
            self.damaged.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%key, "the last change of a cache entry is unreadable; the one before counts");
        }
        Ok(bucket.line)
    }

    fn kept(&self, content: &str, about: PictureLine) -> Result<Kept, Unreadable> {
        let content: Integrity = content.parse().map_err(|_| Unreadable::NotAPicture)?;
        let bytes = cacache::read_hash_sync(&self.root, &content).map_err(|error| {
            let error = Unreadable::Content(error);
            if error.is_damage() {
                // Damaged bytes under a right name would keep the right ones from being written.
                let _ = cacache::remove_hash_sync(&self.root, &content);
            }
            error
        })?;
        let picture = Picture::validate(Bytes::from(bytes)).map_err(|_| Unreadable::NotAPicture)?;
        Ok(Kept {
            picture,
            name: about.name,
            changed: about.changed,
            confirmed: about.confirmed,
        })
    }

    /// Writes `entry`: the picture first, then the line that names it, so that a crash between
    /// the two leaves the old entry whole. Returns whether it is on disk.
    pub(super) fn write(&self, key: &Key, owner: &Owner, entry: &Entry) -> bool {
        let mut books = self.books();
        let written = self.try_write(key, owner, entry).map(|content| {
            let freed = books
                .catalogue
                .put(*key, content, seconds(self.clock.now()));
            self.drop_freed(&books, freed);
        });
        drop(books);
        self.note_trouble(written.as_ref().err());
        written.is_ok()
    }

    /// Writes `tombstone` over the entry and over its past, and removes the picture that it had
    /// unless another entry has the same one.
    pub(super) fn forget(&self, key: &Key, owner: &Owner, tombstone: &Entry) -> bool {
        let before = index::find(&self.root, &key.to_string()).ok().flatten();
        if !self.write(key, owner, tombstone) {
            return false;
        }
        let past = bucket::path(&self.root, &key.to_string());
        if let Err(error) = bucket::compact(&self.root, &past, 0) {
            tracing::warn!(%key, %error, "the past of a forgotten entry stays in the index");
        }
        let Some(content) = before.map(|found| found.integrity) else {
            return true;
        };
        let books = self.books();
        // The catalogue, once it is complete, saw to it in `write`.
        let is_shared = !books.is_complete && self.is_on_disk(&content);
        if is_shared || books.is_complete || !cacache::exists_sync(&self.root, &content) {
            return true;
        }
        cacache::remove_hash_sync(&self.root, &content).is_ok()
    }

    /// Whether any entry on disk has this content. Reads the whole index.
    fn is_on_disk(&self, content: &Integrity) -> bool {
        let content = content.to_string();
        bucket::files(&self.root)
            .filter_map(|path| bucket::newest(&fs::read(path).ok()?).line)
            .any(|line| line.integrity.as_ref() == Some(&content))
    }

    fn try_write(
        &self,
        key: &Key,
        owner: &Owner,
        entry: &Entry,
    ) -> cacache::Result<Option<(ContentId, u32)>> {
        let bytes = entry
            .picture
            .as_ref()
            .map_or(&[][..], |kept| kept.picture.bytes());
        let content = Integrity::from(bytes);
        if !bytes.is_empty() {
            self.ensure(&content, bytes)?;
        }
        let line = Line {
            instance: owner.instance.to_string(),
            subject: owner.subject.as_str().to_owned(),
            last: entry.last,
            picture: entry.picture.as_ref().map(|kept| PictureLine {
                name: kept.name.clone(),
                changed: kept.changed,
                confirmed: kept.confirmed,
            }),
        };
        let metadata = serde_json::to_value(line)
            .map_err(|error| cacache::Error::SerdeError(error, "an entry's line".into()))?;
        let time = self.clock.now().as_millis();
        let opts = WriteOpts::new()
            .integrity(content.clone())
            .size(bytes.len())
            .time(u128::from(time))
            .metadata(metadata);
        let name = key.to_string();
        index::insert(&self.root, &name, opts)?;
        let path = bucket::path(&self.root, &name);
        if let Err(error) = bucket::compact(&self.root, &path, Self::LONGEST_BUCKET) {
            tracing::debug!(%key, %error, "an index file could not be shortened, and grows on");
        }
        let id = bucket::content_id(&content.to_string());
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Ok(id.filter(|_| !bytes.is_empty()).map(|id| (id, size)))
    }

    /// Sees to it that the content is there. Writing a file that is there would replace a good
    /// one, and a crash could spoil it; a new date tells a collector in another process that
    /// somebody needs it again.
    fn ensure(&self, content: &Integrity, bytes: &[u8]) -> cacache::Result<()> {
        if cacache::exists_sync(&self.root, content) {
            let path = bucket::content_path(&self.root, &content.to_string());
            let file = path.and_then(|path| File::options().append(true).open(path).ok());
            // A collector waits for hours; a date that cannot be renewed once is no loss.
            let _ = file.map(|file| file.set_times(bucket::now()));
            return Ok(());
        }
        cacache::write_hash_sync(&self.root, bytes)?;
        Ok(())
    }

    /// Takes what is on disk into the catalogue, bucket by bucket.
    pub(super) fn found(&self, line: &bucket::Line) {
        let Ok(key) = line.key.parse() else {
            return;
        };
        let size = u32::try_from(line.size).unwrap_or(u32::MAX);
        let content = line.integrity.as_deref().and_then(bucket::content_id);
        let used = seconds(Timestamp::from_millis(line.time));
        let content = content.filter(|_| size > 0).map(|id| (id, size));
        self.books().catalogue.found(key, content, used);
    }

    /// From now on the catalogue knows all that is on disk.
    pub(super) fn completed(&self) {
        self.books().is_complete = true;
    }

    /// The keys that have to go for `limits` to hold.
    pub(super) fn victims(&self, limits: Limits) -> Vec<Key> {
        self.books().catalogue.victims(limits)
    }

    /// Removes an entry to make room.
    pub(super) fn evict(&self, key: &Key) {
        if self.discard(key) {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes an entry for good.
    pub(super) fn remove(&self, key: &Key) {
        self.discard(key);
    }

    /// Removes an entry, and its content unless another entry has the same.
    fn discard(&self, key: &Key) -> bool {
        let mut books = self.books();
        match fs::remove_file(bucket::path(&self.root, &key.to_string())) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%key, %error, "a cache entry cannot be removed");
                return false;
            }
        }
        let freed = books.catalogue.remove(key);
        self.drop_freed(&books, freed);
        true
    }

    /// Removes the content file at `path` if nobody refers to it. Returns whether it did.
    pub(super) fn collect(&self, path: &Path) -> bool {
        let books = self.books();
        let Some(id) = bucket::content_at(&self.root, path) else {
            return false;
        };
        books.is_complete && !books.catalogue.refers_to(&id) && fs::remove_file(path).is_ok()
    }

    fn drop_freed(&self, books: &Books, freed: Option<ContentId>) {
        let Some(id) = freed.filter(|_| books.is_complete) else {
            return;
        };
        if let Some(path) = bucket::find_content(&self.root, &id) {
            // What cannot be removed now, the collector finds later.
            let _ = fs::remove_file(path);
        }
    }

    fn note_trouble(&self, error: Option<&cacache::Error>) {
        let mut trouble = self.trouble();
        match (error, trouble.is_some()) {
            (Some(error), false) => {
                tracing::error!(%error, dir = %self.root.display(), "cannot write to the cache; faces are kept in memory until it works again");
                *trouble = Some(error.to_string());
            }
            (None, true) => {
                tracing::info!(dir = %self.root.display(), "the cache can be written to again");
                *trouble = None;
            }
            _ => {}
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((ours.key, ours.size), (theirs.key, 7));
        assert_eq!(ours.integrity, Some(theirs.integrity.to_string()));
        assert_eq!(ours.metadata, theirs.metadata);
        // And cacache reads what we rewrote.
        bucket::compact(root, &path, 1000).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 1000);
        let theirs = index::find(root, "a key").unwrap().unwrap();
        assert_eq!(theirs.metadata, ours.metadata);
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
