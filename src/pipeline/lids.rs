//! Learns the numbers of LIDs from gateways and programs.
//!
//! 1. A gateway's answer, event or list of chats says the number of a LID, or a program sets it.
//! 2. The face that was kept under the LID becomes that of the number.
//! 3. The mapping is saved, a second later at the latest. After a crash in between, the gateway is asked again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time;

use super::{
    Faces, Instance,
    account_identities::{AccountIdentities, state_name},
};
use crate::avatar::{Identities, IdentitySource, Jid, KnownLid, Subject};

/// Why programs cannot set so many numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many LIDs would have a number that was set; remove some first")]
pub struct TooManyAliases;

/// How long the mapping may be newer than the disk.
const SAVE_DELAY: Duration = Duration::from_secs(1);

impl Faces {
    /// Records the number of a LID as the gateway says it; `None` if the gateway knows none. The siblings of a fleet
    /// hear of it.
    pub(super) async fn note_number(
        &self,
        instance: &Arc<Instance>,
        lid: Jid,
        number: Option<Jid>,
    ) {
        let is_new = self.learn_number(instance, lid, number).await;
        if let (true, Some(number), Some(account)) = (is_new, number, instance.shared()) {
            // Else each replica learns it from the gateway.
            let _ = account.share_number(lid, number).await;
        }
    }

    /// Records the number of a LID on this replica. Returns whether it is new.
    pub(super) async fn learn_number(
        &self,
        instance: &Arc<Instance>,
        lid: Jid,
        number: Option<Jid>,
    ) -> bool {
        let identities = instance.identities();
        if number.is_some() && identities.lock().number(&lid) == number {
            return false;
        }
        // Otherwise, forgetting a face would not last.
        if self.is_forgotten(instance, lid).await {
            return false;
        }
        let source = IdentitySource::Gateway;
        let is_new = identities
            .lock()
            .note(&lid, number.as_ref(), source, self.now());
        if is_new {
            self.save_identities_soon(instance);
            self.join_names(instance, lid).await;
        }
        is_new
    }

    /// Sets the numbers of LIDs, or removes them where there is none. Nothing is changed if that would be too many.
    pub async fn set_aliases(
        &self,
        instance: &Arc<Instance>,
        aliases: &[(Jid, Option<Jid>)],
    ) -> Result<(), TooManyAliases> {
        {
            let now = self.now();
            let mut identities = instance.identities().lock();
            let mut next = identities.clone();
            for (lid, number) in aliases {
                match number {
                    Some(_) => {
                        next.note(lid, number.as_ref(), IdentitySource::Program, now);
                    }
                    None => {
                        next.forget(lid);
                    }
                }
            }
            let is_set = |known: &KnownLid| known.source == IdentitySource::Program;
            if next.known().into_iter().filter(is_set).count() > Identities::MAX_SET {
                return Err(TooManyAliases);
            }
            *identities = next;
        }
        self.save_identities(instance).await;
        for (lid, _) in aliases {
            self.join_names(instance, *lid).await;
        }
        Ok(())
    }

    /// Removes the numbers that programs have set.
    pub async fn remove_aliases(&self, instance: &Arc<Instance>) {
        {
            let mut identities = instance.identities().lock();
            for known in identities.known() {
                if known.source == IdentitySource::Program {
                    identities.forget(&known.lid);
                }
            }
        }
        self.save_identities(instance).await;
    }

    /// Adds what was known about the LIDs of an account whose faces are called `from` on disk.
    pub(super) async fn take_over_identities(&self, from: &str, to: &Arc<Instance>) {
        let former = AccountIdentities::load(&self.shared.store, from).known();
        if former.is_empty() {
            return;
        }
        {
            let now = self.now();
            let mut identities = to.identities().lock();
            for known in former {
                identities.note(&known.lid, Some(&known.number), known.source, now);
            }
        }
        self.save_identities(to).await;
    }

    /// Forgets that these LIDs have a number.
    pub(super) async fn forget_identities(&self, instance: &Instance, names: &[Subject]) {
        let has_changed = {
            let mut identities = instance.identities().lock();
            let mut has_changed = false;
            for name in names {
                if let Subject::Chat(jid) = name {
                    has_changed |= identities.forget(jid);
                }
            }
            has_changed
        };
        if has_changed {
            self.save_identities(instance).await;
        }
    }

    /// Moves what is kept under a LID to its number, if that is known.
    async fn join_names(&self, instance: &Instance, lid: Jid) {
        let lid = Subject::Chat(lid);
        let person = instance.owner(lid);
        if person.subject != lid {
            self.merge(&person, lid).await;
            // For listeners that know only the LID.
            let _lock = self.shared.key_locks.lock(&person.key()).await;
            let entry = self.shared.store.find(&person.key()).await;
            self.shared.announce(&person, None, entry.as_deref());
        }
    }

    async fn is_forgotten(&self, instance: &Instance, lid: Jid) -> bool {
        let owner = instance.owner(Subject::Chat(lid));
        let cached = self.shared.store.look_up(&owner.key()).await;
        let now = self.now();
        cached.entry().is_some_and(|entry| entry.is_forgotten(now))
    }

    fn save_identities_soon(&self, instance: &Arc<Instance>) {
        let identities = instance.identities();
        if identities.is_being_saved.swap(true, Ordering::AcqRel) {
            return;
        }
        let (faces, instance) = (self.clone(), instance.clone());
        self.shared.event_tasks.spawn(async move {
            tokio::select! {
                () = time::sleep(SAVE_DELAY) => {}
                () = faces.shutdown().cancelled() => {}
            }
            let identities = instance.identities();
            identities.is_being_saved.store(false, Ordering::Release);
            faces.save_identities(&instance).await;
        });
    }

    async fn save_identities(&self, instance: &Instance) {
        let identities = instance.identities().clone();
        let state = move || identities.lock().to_json();
        let name = state_name(instance.cache_name());
        self.shared.store.save_state(name.into(), state).await;
    }
}
