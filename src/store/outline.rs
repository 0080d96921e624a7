//! From a line of the index to an outline, from that and a picture's bytes to an entry, and why that may
//! fail.

use std::{error::Error, fmt, io, sync::Arc, time::Duration};

use quick_cache::sync::{Cache, GuardResult};

use super::{
    bucket,
    line::{Line, PictureLine},
};
use crate::avatar::{Entry, Key, LastAttempt, Memo, Picture, Proof, StoredPicture};

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
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

impl Unreadable {
    /// Whether the entry is spoiled. A system that is out of descriptors or memory, or lacks a
    /// permission, says nothing about the entry.
    pub(super) fn is_damage(&self) -> bool {
        !matches!(self, Unreadable::Now(_))
    }
}

/// All of an entry but its picture's bytes.
#[derive(Debug)]
pub(super) struct Outline {
    last: LastAttempt,
    picture: Option<Lying>,
}

/// A picture that lies on disk.
#[derive(Debug)]
struct Lying {
    about: PictureLine,
    /// Its content's name.
    content: String,
    length: usize,
    memo: Memo,
}

/// The outlines of faces that are asked for more often than others: with one, a picture is one file to
/// open instead of two, and no line of the index to read.
pub(super) struct Outlines(Cache<Key, Arc<Outline>>);

impl Outline {
    /// What a line tells of.
    pub(super) fn of(line: bucket::Line) -> Result<Self, Unreadable> {
        let about: Line = serde_json::from_str(line.metadata.get())?;
        let picture = about.picture.zip(line.integrity);
        Ok(Self {
            last: about.last,
            picture: picture.map(|(about, content)| Lying {
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
        picture: impl FnOnce(&str, usize, Option<&Proof>) -> Result<Picture, Unreadable>,
    ) -> Result<Entry, Unreadable> {
        let kept = self.picture.as_ref().map(|lying| {
            let about = &lying.about;
            Ok::<_, Unreadable>(StoredPicture {
                picture: picture(&lying.content, lying.length, about.proof.as_ref())?,
                name: about.name.clone(),
                changed_at: about.changed,
                confirmed_at: about.confirmed,
                memo: lying.memo.clone(),
            })
        });
        Ok(Entry {
            picture: kept.transpose()?,
            last: self.last,
        })
    }
}

impl Outlines {
    /// How many are kept: some megabytes.
    const MOST: usize = 16 * 1024;

    pub(super) fn new() -> Self {
        Self(Cache::new(Self::MOST))
    }

    /// The outline of `key`, or what `read` reads, which is kept unless the index was changed meanwhile.
    pub(super) fn get_or(
        &self,
        key: &Key,
        read: impl FnOnce() -> Option<Outline>,
    ) -> Option<Arc<Outline>> {
        match self.0.get_value_or_guard(key, Some(Duration::ZERO)) {
            GuardResult::Value(outline) => Some(outline),
            GuardResult::Guard(place) => {
                let outline = Arc::new(read()?);
                // The place is gone if the index says something else now.
                let _ = place.insert(outline.clone());
                Some(outline)
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

impl fmt::Debug for Outlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outlines({})", self.0.len())
    }
}
