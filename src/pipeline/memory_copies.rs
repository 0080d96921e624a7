//! The copies of pictures that other parts of the process have in memory: variants, and files that are sent. They are
//! removed together with a face.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crate::avatar::{Digest, Entry};

/// Removes the copies of a picture. Clones share the function.
#[derive(Clone, Default)]
pub(super) struct Copies {
    remove: Arc<OnceLock<Remove>>,
}

type Remove = Box<dyn Fn(&Digest) + Send + Sync>;

impl Copies {
    /// Sets the function. Only the first one counts.
    pub(super) fn set(&self, remove: impl Fn(&Digest) + Send + Sync + 'static) {
        let _ = self.remove.set(Box::new(remove));
    }

    /// Removes the copies of the picture of `entry`.
    pub(super) fn remove(&self, entry: Option<&Entry>) {
        let picture = entry.and_then(|entry| entry.picture.as_ref());
        if let (Some(remove), Some(stored)) = (self.remove.get(), picture) {
            remove(&stored.picture.digest());
        }
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Copies")
    }
}
