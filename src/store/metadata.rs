//! An entry without the bytes of its picture, decoded from an index line.

use std::sync::Arc;

use super::{
    Owner,
    index_file::IndexLine,
    read_error::ReadError,
    record::{PictureRecord, Record},
};
use crate::avatar::{Entry, LastAttempt, Picture, Proof, StoredPicture};

/// Everything about an entry but the bytes of its picture.
#[derive(Debug)]
pub(super) struct EntryMetadata {
    /// `None` if the record names no valid one.
    pub(super) owner: Option<Arc<Owner>>,
    last: LastAttempt,
    picture: Option<PictureMetadata>,
}

#[derive(Debug)]
struct PictureMetadata {
    record: PictureRecord,
    /// The name of the content.
    integrity: String,
}

impl EntryMetadata {
    /// Decodes an index line.
    pub(super) fn decode(line: IndexLine) -> Result<Self, ReadError> {
        let record: Record = serde_json::from_str(line.metadata.get())?;
        Ok(Self::new(record, line.integrity))
    }

    /// The metadata in `record`, whose picture is the content of this name.
    pub(super) fn new(record: Record, integrity: Option<String>) -> Self {
        let picture = record.picture.zip(integrity);
        let owner = record.subject.parse().ok().map(|subject| Owner {
            instance: record.instance.into(),
            subject,
        });
        Self {
            owner: owner.map(Arc::new),
            last: record.last,
            picture: picture.map(|(record, integrity)| PictureMetadata { record, integrity }),
        }
    }

    /// The whole entry. `read_picture` gets the name of the content and, where the record has one, the
    /// proof that the content is a valid picture.
    pub(super) fn entry(
        &self,
        read_picture: impl FnOnce(&str, Option<&Proof>) -> Result<Picture, ReadError>,
    ) -> Result<Entry, ReadError> {
        let picture = match &self.picture {
            Some(PictureMetadata { record, integrity }) => Some(StoredPicture {
                picture: read_picture(integrity, record.proof.as_ref())?,
                link_id: record.link_id.clone(),
                changed_at: record.changed_at,
                confirmed_at: record.confirmed_at,
                from: record.from.as_deref().map(Arc::from),
            }),
            None => None,
        };
        Ok(Entry {
            picture,
            last: self.last,
        })
    }
}
