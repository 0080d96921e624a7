//! From a line of the index and a picture's bytes to an entry, and why that may fail.

use std::{error::Error, io};

use bytes::Bytes;

use super::{bucket, line::Line};
use crate::avatar::{Entry, Kept, Picture};

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

/// The entry that a line tells of, whose picture `content` brings by its name and length.
pub(super) fn entry(
    line: bucket::Line,
    content: impl FnOnce(&str, usize) -> Result<Vec<u8>, Unreadable>,
) -> Result<Entry, Unreadable> {
    let about: Line = serde_json::from_str(line.metadata.get())?;
    let picture = match (about.picture, line.integrity) {
        (Some(about), Some(name)) => {
            let length = usize::try_from(line.size).unwrap_or_default();
            let bytes = Bytes::from(content(&name, length)?);
            let picture = Picture::validate(bytes).map_err(|_| Unreadable::NotAPicture)?;
            Some(Kept {
                picture,
                name: about.name,
                changed: about.changed,
                confirmed: about.confirmed,
            })
        }
        _ => None,
    };
    Ok(Entry {
        picture,
        last: about.last,
    })
}
