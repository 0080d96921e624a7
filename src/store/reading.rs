//! From a line of the index and a picture's bytes to an entry, and why that may fail.

use std::{error::Error, io};

use super::{bucket, line::Line};
use crate::avatar::{Entry, Kept, Picture, Proof};

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

/// The entry that a line tells of, whose picture `picture` brings by its content's name and length,
/// and by its proof if there is one.
pub(super) fn entry(
    line: bucket::Line,
    picture: impl FnOnce(&str, usize, Option<&Proof>) -> Result<Picture, Unreadable>,
) -> Result<Entry, Unreadable> {
    let about: Line = serde_json::from_str(line.metadata.get())?;
    let picture = match (about.picture, line.integrity) {
        (Some(about), Some(name)) => {
            let length = usize::try_from(line.size).unwrap_or_default();
            Some(Kept {
                picture: picture(&name, length, about.proof.as_ref())?,
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
