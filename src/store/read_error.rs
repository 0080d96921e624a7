//! Why an entry cannot be read from disk, and whether that is damage.

use std::{error::Error, io};

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("there is no such entry")]
    Absent,
    #[error("its index file cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("the file of its picture cannot be read: {0}")]
    ContentIo(io::Error),
    #[error("the last line of its index file is damaged")]
    TornIndex,
    #[error("its index line is not valid: {0}")]
    Line(#[from] serde_json::Error),
    #[error("its picture is missing or damaged: {0}")]
    Content(Box<dyn Error>),
    #[error("the bytes that are being sent leave no space for its picture")]
    NoSpace,
    #[error("its content is not a picture")]
    NotAPicture,
}

impl ReadError {
    /// Whether the entry on disk is damaged. A process that is out of file descriptors or memory, or
    /// lacks a permission, says nothing about the entry.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            ReadError::Absent | ReadError::NoSpace | ReadError::Io(_) | ReadError::ContentIo(_) => {
                false
            }
            ReadError::TornIndex
            | ReadError::Line(_)
            | ReadError::Content(_)
            | ReadError::NotAPicture => true,
        }
    }

    /// Whether the content file is damaged, and not only the index.
    pub(super) fn is_content_damage(&self) -> bool {
        matches!(self, ReadError::Content(_) | ReadError::NotAPicture)
    }
}
