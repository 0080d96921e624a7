//! The copies of pictures that other parts of the process have in memory: variants, files that are sent, and the former
//! pictures that an account keeps in case an answer has to be taken back. They are removed together with a face.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, Weak},
};

use crate::{
    avatar::{Digest, Entry},
    limits::Admission,
    store::Owner,
    sync::lock,
};

/// Removes the copies of a picture. Clones share the function and the accounts.
#[derive(Clone, Default)]
pub(super) struct Copies {
    remove: Arc<OnceLock<Remove>>,
    /// The accounts that may keep former pictures, by the names of their faces in the cache.
    accounts: Arc<Mutex<HashMap<Arc<str>, Weak<Admission>>>>,
}

type Remove = Box<dyn Fn(&Digest) + Send + Sync>;

impl Copies {
    /// Sets the function. Only the first one counts.
    pub(super) fn set(&self, remove: impl Fn(&Digest) + Send + Sync + 'static) {
        let _ = self.remove.set(Box::new(remove));
    }

    /// Makes an account known before it keeps a former picture. `name` is that of its faces in the cache.
    pub(super) fn add_account(&self, name: &Arc<str>, account: &Arc<Admission>) {
        let mut accounts = lock(&self.accounts);
        if accounts.get(name).map(Weak::as_ptr) == Some(Arc::as_ptr(account)) {
            return;
        }
        // A reload has dropped some.
        accounts.retain(|_, known| known.strong_count() > 0);
        accounts.insert(name.clone(), Arc::downgrade(account));
    }

    /// Removes the copies of the picture of `entry`.
    pub(super) fn remove(&self, entry: Option<&Entry>) {
        let picture = entry.and_then(|entry| entry.picture.as_ref());
        if let (Some(remove), Some(stored)) = (self.remove.get(), picture) {
            remove(&stored.picture.digest());
        }
    }

    /// Removes the former pictures of a face.
    pub(super) fn remove_former(&self, owner: &Owner) {
        let accounts = lock(&self.accounts);
        let account = accounts.get(&owner.instance).and_then(Weak::upgrade);
        drop(accounts);
        if let Some(account) = account {
            account.forget_face(owner.subject);
        }
    }

    /// Removes the former pictures of all faces.
    pub(super) fn remove_all_former(&self) {
        let accounts = lock(&self.accounts);
        let all: Vec<_> = accounts.values().filter_map(Weak::upgrade).collect();
        drop(accounts);
        for account in all {
            account.forget_faces();
        }
    }
}

impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Copies")
    }
}
