//! From a line of the index to an metadata, from that and a picture's bytes to an entry, and why that may
//! fail.

use std::{error::Error, fmt, io, sync::Arc, time::Duration};

use quick_cache::sync::{Cache, GuardResult};

use super::{
    index_file,
    record::{PictureRecord, Record},
};
use crate::avatar::{Entry, Key, LastAttempt, Memo, Picture, Proof, StoredPicture};

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("there is none")]
    Absent,
    #[error("its picture is gone or damaged: {0}")]
    Content(Box<dyn Error>),
    #[error("its picture is none")]
    NotAPicture,
    #[error("its index line makes no sense: {0}")]
    Line(#[from] serde_json::Error),
    #[error("its files cannot be read: {0}")]
    Now(#[from] io::Error),
    #[error("the last line of its index is damaged")]
    Torn,
}

impl ReadError {
    /// Whether the entry is spoiled. A system that is out of descriptors or memory, or lacks a
    /// permission, says nothing about the entry.
    pub(super) fn is_damage(&self) -> bool {
        !matches!(self, ReadError::Now(_) | ReadError::Absent)
    }

    /// Whether there is no entry.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, ReadError::Absent)
    }
}

/// All of an entry but its picture's bytes.
#[derive(Debug)]
pub(super) struct EntryMetadata {
    last: LastAttempt,
    picture: Option<PictureMetadata>,
}

/// A picture that lies on disk.
#[derive(Debug)]
struct PictureMetadata {
    about: PictureRecord,
    /// Its content's name.
    content: String,
    length: usize,
    memo: Memo,
}

/// The metadata of faces that are asked for more often than others: with one, a picture is one file to
/// open instead of two, and no line of the index to read.
pub(super) struct MetadataCache(Cache<Key, Arc<EntryMetadata>>);

impl EntryMetadata {
    /// What a line tells of.
    pub(super) fn of(line: index_file::Line) -> Result<Self, ReadError> {
        let about: Record = serde_json::from_str(line.metadata.get())?;
        let picture = about.picture.zip(line.integrity);
        Ok(Self {
            last: about.last,
            picture: picture.map(|(about, content)| PictureMetadata {
                about,
                content,
                length: usize::try_from(line.size).unwrap_or_default(),
                memo: Memo::default(),
            }),
        })
    }

    /// The entry, whose picture `picture` brings by its content's name and length, and by its proof if
    /// there is one.
    pub(super) fn entry(
        &self,
        picture: impl FnOnce(&str, usize, Option<&Proof>) -> Result<Picture, ReadError>,
    ) -> Result<Entry, ReadError> {
        let kept = self.picture.as_ref().map(|stored| {
            let about = &stored.about;
            Ok::<_, ReadError>(StoredPicture {
                picture: picture(&stored.content, stored.length, about.proof.as_ref())?,
                name: about.name.clone(),
                changed_at: about.changed,
                confirmed_at: about.confirmed,
                memo: stored.memo.clone(),
            })
        });
        Ok(Entry {
            picture: kept.transpose()?,
            last: self.last,
        })
    }
}

impl MetadataCache {
    /// How many are kept: some megabytes.
    const MOST: usize = 16 * 1024;

    pub(super) fn new() -> Self {
        Self(Cache::new(Self::MOST))
    }

    /// The metadata of `key`, from the cache or from `read`. It is cached unless the index changed
    /// meanwhile.
    pub(super) fn get_or_read(
        &self,
        key: &Key,
        read: impl FnOnce() -> Result<EntryMetadata, ReadError>,
    ) -> Result<Arc<EntryMetadata>, ReadError> {
        match self.0.get_value_or_guard(key, Some(Duration::ZERO)) {
            GuardResult::Value(metadata) => Ok(metadata),
            GuardResult::Guard(place) => {
                let metadata = Arc::new(read()?);
                // The place is gone if the index changed meanwhile.
                let _ = place.insert(metadata.clone());
                Ok(metadata)
            }
            GuardResult::Timeout => read().map(Arc::new),
        }
    }

    /// Lets it go.
    pub(super) fn remove(&self, key: &Key) {
        self.0.remove(key);
    }

    /// Lets all go.
    pub(super) fn clear(&self) {
        self.0.clear();
    }
}

impl fmt::Debug for MetadataCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MetadataCache({})", self.0.len())
    }
}
