//! The instance and the account that an entry belongs to.

use std::sync::Arc;

use crate::avatar::{Entry, Key, Subject};

/// The owner of an entry, written beside it so that the cache directory explains itself.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The name of the instance through which the face was seen; of a later account, see [`super::AccountNames`].
    pub instance: Arc<str>,
    /// The account or chat that the face shows.
    pub subject: Subject,
}

impl Owner {
    /// The key of the face.
    pub fn key(&self) -> Key {
        Key::new(&self.instance, &self.subject)
    }
}

/// An entry from disk, and its owner if its record names a valid one.
pub(super) type OwnedEntry = (Entry, Option<Arc<Owner>>);
