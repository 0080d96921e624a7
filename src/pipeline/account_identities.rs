//! The numbers behind the LIDs of an account, in memory for every request. `lids.rs` fills and saves them.

use std::sync::{Mutex, MutexGuard, atomic::AtomicBool};

use crate::{
    avatar::{Identities, IdentitySource, Jid, Kind, KnownLid, Subject},
    clock::Timestamp,
    store::Store,
    sync::lock,
};

/// The numbers behind the LIDs of an account. A reload keeps them.
#[derive(Debug, Default)]
pub struct AccountIdentities {
    /// Held for a few instructions, never across an await, and no lock is taken under it.
    identities: Mutex<Identities>,
    /// Whether a task is about to save them.
    pub(super) is_being_saved: AtomicBool,
}

impl AccountIdentities {
    /// Loads the numbers that were saved for the account whose faces are called `cache_name` on disk. A damaged file
    /// is reported, and the account begins without numbers.
    pub fn load(store: &Store, cache_name: &str) -> Self {
        let Some(saved) = store.load_state(&state_name(cache_name)) else {
            return Self::default();
        };
        let identities = Identities::from_json(&saved).unwrap_or_else(|| {
            tracing::warn!(
                account = cache_name,
                "the saved numbers behind LIDs are damaged; gateways are asked for them again, and programs have to set theirs again"
            );
            Identities::default()
        });
        Self {
            identities: Mutex::new(identities),
            ..Self::default()
        }
    }

    /// The numbers that are known.
    pub fn known(&self) -> Vec<KnownLid> {
        self.lock().known()
    }

    /// Whether programs have set some of them.
    pub fn has_aliases(&self) -> bool {
        let known = self.known();
        known
            .iter()
            .any(|known| known.source == IdentitySource::Program)
    }

    /// The subject by its number, if it is a LID whose number is known.
    pub(super) fn resolve(&self, subject: Subject) -> Subject {
        match subject {
            Subject::Chat(jid) if jid.kind() == Kind::Lid => {
                self.lock().number(&jid).map_or(subject, Subject::Chat)
            }
            subject => subject,
        }
    }

    /// The LIDs of a number.
    pub(super) fn lids(&self, subject: Subject) -> Vec<Subject> {
        let Subject::Chat(jid) = subject else {
            return Vec::new();
        };
        let lids = self.lock().lids(&jid).into_iter();
        lids.map(Subject::Chat).collect()
    }

    /// The LID, if the gateway is to be asked for its number.
    pub(super) fn due(&self, subject: Subject, now: Timestamp) -> Option<Jid> {
        let Subject::Chat(jid) = subject else {
            return None;
        };
        self.lock().is_due(&jid, now).then_some(jid)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Identities> {
        lock(&self.identities)
    }
}

/// The name of the state file of the account whose faces are called `cache_name` on disk.
pub(super) fn state_name(cache_name: &str) -> String {
    format!("{cache_name}.lids")
}
