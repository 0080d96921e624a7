//! Entries on disk, through `cacache`: a picture is a file named by its SHA-256, an entry is a line
//! in the index. The only file that names the crate.
//!
//! Its functions for async code cost several times the synchronous ones, so these here block and
//! are called off the runtime.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use cacache::{Integrity, WriteOpts, index};
use serde::{Deserialize, Serialize};

use super::Owner;
use crate::{
    avatar::{Entry, Kept, Key, Last, Picture},
    clock::Timestamp,
};

/// The cache directory, locked for this process.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// The lock goes when the file is closed.
    _lock: File,
}

/// Why the cache directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Missing, and it could not be made.
    #[error("cannot make the cache directory {}: {error}; make it yourself, or set cache.dir to a place that this user may write to", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There, but not writable.
    #[error("cannot write to the cache directory {}: {error}; give this user (uid {uid}) write permission, or set cache.dir to another place", dir.display())]
    ReadOnly {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
        /// Who is asking.
        uid: u32,
    },
    /// In use.
    #[error("the cache directory {} is in use by another faceplate; stop that one, or set cache.dir to another place", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
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
    Index(cacache::Error),
}

impl Disk {
    /// Opens `dir`, and finds out now, not at the first picture, whether it can be written to.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        let at = || dir.to_path_buf();
        fs::DirBuilder::new()
            .recursive(true)
            // Faces of people: nobody else's business.
            .mode(0o700)
            .create(dir)
            .map_err(|error| OpenError::Missing { dir: at(), error })?;
        let lock = File::create(dir.join("lock")).map_err(|error| OpenError::ReadOnly {
            dir: at(),
            error,
            uid: owner_of_this_process(),
        })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                root: at(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: at() }),
            Err(TryLockError::Error(error)) => Err(OpenError::ReadOnly {
                dir: at(),
                error,
                uid: owner_of_this_process(),
            }),
        }
    }

    /// The entry of `key`. One that cannot be read is reported, cleared away where it is in the
    /// way of a good one, and then as good as none.
    pub(super) fn read(&self, key: &Key) -> Option<Entry> {
        match self.try_read(key) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::warn!(%key, %error, "a cache entry is unreadable and will be fetched again");
                None
            }
        }
    }

    fn try_read(&self, key: &Key) -> Result<Option<Entry>, Unreadable> {
        let Some(found) = index::find(&self.root, &key.to_string()).map_err(Unreadable::Index)?
        else {
            return Ok(None);
        };
        let line: Line = serde_json::from_value(found.metadata)?;
        let picture = match line.picture {
            Some(about) => Some(self.kept(&found.integrity, about)?),
            None => None,
        };
        Ok(Some(Entry {
            picture,
            last: line.last,
        }))
    }

    fn kept(&self, content: &Integrity, about: PictureLine) -> Result<Kept, Unreadable> {
        let bytes = cacache::read_hash_sync(&self.root, content).map_err(|error| {
            // Damaged bytes under a right name would keep the right bytes from being written.
            let _ = cacache::remove_hash_sync(&self.root, content);
            Unreadable::Content(error)
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
        match self.try_write(key, owner, entry) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, dir = %self.root.display(), "cannot write to the cache; faces are kept in memory only");
                false
            }
        }
    }

    /// Writes `tombstone` over the entry, and removes the picture that it had unless another entry
    /// has the same one. Reads the whole index to know that, as nobody forgets often.
    pub(super) fn forget(&self, key: &Key, owner: &Owner, tombstone: &Entry) -> bool {
        let before = index::find(&self.root, &key.to_string()).ok().flatten();
        if !self.write(key, owner, tombstone) {
            return false;
        }
        let Some(content) = before.map(|found| found.integrity) else {
            return true;
        };
        let is_shared = index::ls(&self.root)
            .filter_map(Result::ok)
            .any(|entry| entry.integrity == content);
        if is_shared || !cacache::exists_sync(&self.root, &content) {
            return true;
        }
        match cacache::remove_hash_sync(&self.root, &content) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%key, %error, "a picture to be forgotten cannot be removed");
                false
            }
        }
    }

    fn try_write(&self, key: &Key, owner: &Owner, entry: &Entry) -> cacache::Result<()> {
        let bytes = entry
            .picture
            .as_ref()
            .map_or(&[][..], |kept| kept.picture.bytes());
        let content = Integrity::from(bytes);
        // Writing a file that is there would replace a good one, and a crash could spoil it.
        if !bytes.is_empty() && !cacache::exists_sync(&self.root, &content) {
            cacache::write_hash_sync(&self.root, bytes)?;
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
        let opts = WriteOpts::new()
            .integrity(content)
            .size(bytes.len())
            .metadata(metadata);
        index::insert(&self.root, &key.to_string(), opts)?;
        Ok(())
    }
}

/// The user this process runs as, told by who owns its entry in `/proc`.
fn owner_of_this_process() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").map_or(0, |metadata| metadata.uid())
}
