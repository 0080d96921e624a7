//! What an entry's line in the index says, but for what cacache keeps itself.

use serde::{Deserialize, Serialize};

use super::Owner;
use crate::{
    avatar::{Entry, LastAttempt, Proof},
    clock::Timestamp,
};

/// An entry as it is written beside the reference to its picture.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) instance: String,
    pub(super) subject: String,
    pub(super) last: LastAttempt,
    pub(super) picture: Option<PictureRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PictureRecord {
    pub(super) name: Option<String>,
    pub(super) changed: Timestamp,
    pub(super) confirmed: Timestamp,
    /// Entries that were written by the first versions have none.
    #[serde(default)]
    pub(super) proof: Option<Proof>,
}

impl Record {
    pub(super) fn new(owner: &Owner, entry: &Entry) -> Self {
        Self {
            instance: owner.instance.to_string(),
            subject: owner.subject.as_str().to_owned(),
            last: entry.last,
            picture: entry.picture.as_ref().map(|kept| PictureRecord {
                name: kept.name.clone(),
                changed: kept.changed_at,
                confirmed: kept.confirmed_at,
                proof: Some(kept.picture.proof()),
            }),
        }
    }
}
