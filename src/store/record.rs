//! The JSON that the store writes into an index line: an entry without the bytes of its picture. The
//! field names are the format on disk.

use serde::{Deserialize, Serialize};

use super::Owner;
use crate::{
    avatar::{Entry, LastAttempt, Proof},
    clock::Timestamp,
};

/// An entry as it is written beside the name of its content.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) instance: String,
    pub(super) subject: String,
    pub(super) last: LastAttempt,
    pub(super) picture: Option<PictureRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PictureRecord {
    #[serde(rename = "name")]
    pub(super) link_id: Option<String>,
    #[serde(rename = "changed")]
    pub(super) changed_at: Timestamp,
    #[serde(rename = "confirmed")]
    pub(super) confirmed_at: Timestamp,
    /// The instance that it is from, if that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    /// Missing in entries of the first versions.
    #[serde(default)]
    pub(super) proof: Option<Proof>,
}

impl Record {
    pub(super) fn new(owner: &Owner, entry: &Entry) -> Self {
        Self {
            instance: owner.instance.to_string(),
            subject: owner.subject.as_str().to_owned(),
            last: entry.last,
            picture: entry.picture.as_ref().map(|stored| PictureRecord {
                link_id: stored.link_id.clone(),
                changed_at: stored.changed_at,
                confirmed_at: stored.confirmed_at,
                from: stored.from.as_deref().map(str::to_owned),
                proof: Some(stored.picture.proof()),
            }),
        }
    }
}
