//! Applies the siblings' changes to this replica's faces.

use std::{sync::Arc, time::Duration};

use super::{Faces, Instance, Instances, PurgeMode, PurgeScope};
use crate::{
    avatar::{Entry, Picture, StoredPicture, Subject, Trouble},
    fleet::{
        Change, ChangeKind, EngineFailure, SharedAccount, SharedEntry, SharedFace, SharedPicture,
    },
    limits::{AnswerVerdict, Observation},
    store::{CacheAnswer, Owner},
};

/// Why a sibling's entry was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAdopted {
    /// This replica's own entry cannot be read now.
    Unreadable,
    /// The picture cannot be read now.
    PictureUnreadable,
    /// The fleet has the picture no more.
    PictureLost,
    /// It was read before a purge.
    Purged,
}

/// The part of this replica's entry that cannot be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnreadableEntry {
    /// The entry itself.
    Whole,
    /// Its picture.
    Picture,
}

/// How exactly the clocks of replicas are translated.
const CLOCKS: Duration = Duration::from_secs(5);

impl Faces {
    /// Applies a change that a sibling made.
    pub async fn apply_change(&self, instances: &Instances, change: Change) {
        let Change { account, kind } = change;
        let mut instances = instances.iter();
        let Some(instance) = instances.find(|instance| instance.has_account(&account)) else {
            return;
        };
        let store = &self.shared.store;
        match kind {
            ChangeKind::Committed(subject, version, seen) => {
                let owner = instance.owner(subject);
                if let Some(seen) = seen {
                    self.hear_answer(&instance, &account, &owner, seen).await;
                }
                // A face that this replica does not have is looked for when it is asked for. But a client may listen for it,
                // and a fetch may be about to store an entry that it read in Redis before this one.
                let is_in_flight = self.shared.single_flight.is_in_flight(owner.key());
                let is_wanted = is_in_flight
                    || self.may_have(&owner)
                    || self.shared.changes.has_listeners(instance.cache_name())
                    || instance.provider().is_push();
                let is_newer = || account.known_version(&subject) < version;
                // A fetch holds the lock until the entry that it has committed is on disk. The change counts as applied then.
                if is_in_flight || is_wanted && is_newer() {
                    drop(self.shared.key_locks.lock(&owner.key()).await);
                }
                if is_wanted && is_newer() {
                    self.take_newer(&account, &owner).await;
                }
            }
            ChangeKind::Forgotten(subject, left) => {
                let owner = instance.owner(subject);
                let (entry, now) = (store.find(&owner.key()).await, self.now());
                if !entry.is_some_and(|entry| entry.is_forgotten(now)) {
                    let names = instance.names(subject);
                    self.forget_here(&instance, &names, left).await;
                }
            }
            ChangeKind::Removed(subject, version) => {
                account.record_removed(&subject, version);
                self.purge_face(&instance.owner(subject), PurgeMode::Hard)
                    .await;
            }
            ChangeKind::Purged(mode) => {
                if let Some(mode) = PurgeMode::from_text(&mode) {
                    self.purge_owners(PurgeScope::Instance(&instance), mode)
                        .await;
                }
            }
            ChangeKind::Paused(left, why) => {
                instance.admission().pause(left, why);
            }
            ChangeKind::LiftedPause(at) => {
                let ago = account.server_time().since(at);
                instance.admission().lift_pause(self.now() - ago);
                instance.save_admission(store).await;
            }
            ChangeKind::Number(lid, number) => {
                self.learn_number(&instance, lid, Some(number)).await;
            }
        }
    }

    /// Takes the entry that a sibling has stored. If an engine fails, that is done later.
    async fn take_newer(&self, account: &Arc<SharedAccount>, owner: &Owner) {
        match account.shared_face(&owner.subject).await {
            Ok(SharedFace::Entry(shared)) => {
                self.adopt_or_purge(account, owner, *shared).await;
            }
            Ok(_) => {}
            Err(EngineFailure) => account.record_differing(owner.subject),
        }
    }

    /// Takes a sibling's entry. If that fails, this replica's is due, so that the fetch of the next request takes it.
    pub(super) async fn adopt_or_purge(
        &self,
        account: &Arc<SharedAccount>,
        owner: &Owner,
        shared: SharedEntry,
    ) {
        let adopted = self.adopt_shared(account, owner, shared).await;
        if adopted.is_err() {
            self.purge_face(owner, PurgeMode::Soft).await;
        }
        if adopted == Err(NotAdopted::PictureUnreadable) {
            // There may be no request for a long time.
            account.record_differing(owner.subject);
        }
    }

    /// Counts the vendor's answer to a sibling for the detector of soft throttling and the state of the session.
    async fn hear_answer(
        &self,
        instance: &Instance,
        account: &Arc<SharedAccount>,
        owner: &Owner,
        seen: Observation,
    ) {
        let admission = instance.admission();
        admission.session_watch(|watch| match seen {
            Observation::Picture => watch.record_picture(),
            Observation::Lost | Observation::Empty => {
                watch.count_empty();
            }
        });
        let verdict = admission.record_answer(owner.key(), seen);
        if let AnswerVerdict::SoftThrottled { paused_until } = verdict {
            tracing::warn!(
                instance = %instance.name(),
                provider = %instance.provider().name,
                outcome = Trouble::RateLimited.as_str(),
                detail = "too many empty answers at all replicas: visual rate limiting",
                "the vendor gave no usable answer about a face"
            );
            let left = paused_until.since(self.now());
            let _ = account.pause(left, Trouble::RateLimited).await;
            instance.save_admission(&self.shared.store).await;
        }
    }

    /// This replica's entry, and the version of the fleet's entry that it comes from. They are read under the lock of the
    /// key, because they change one after the other.
    pub(super) async fn entry_and_version(
        &self,
        account: &SharedAccount,
        owner: &Owner,
    ) -> Result<Option<(Arc<Entry>, u64)>, UnreadableEntry> {
        let key = owner.key();
        let _lock = self.shared.key_locks.lock(&key).await;
        match self.shared.store.look_up(&key).await {
            CacheAnswer::Found(entry) => Ok(Some((entry, account.known_version(&owner.subject)))),
            CacheAnswer::Absent => Ok(None),
            CacheAnswer::PictureUnreadable => Err(UnreadableEntry::Picture),
            CacheAnswer::Unreadable | CacheAnswer::Unknown => Err(UnreadableEntry::Whole),
        }
    }

    /// Whether there is an entry, as far as is known without waiting.
    fn may_have(&self, owner: &Owner) -> bool {
        let cached = self.shared.store.get_cached(&owner.key());
        !matches!(cached, CacheAnswer::Absent)
    }

    /// Takes a sibling's entry in place of this replica's. Returns the entry that counts.
    pub(super) async fn adopt_shared(
        &self,
        account: &Arc<SharedAccount>,
        owner: &Owner,
        shared: SharedEntry,
    ) -> Result<Arc<Entry>, NotAdopted> {
        let (key, store) = (owner.key(), &self.shared.store);
        let _lock = self.shared.key_locks.lock(&key).await;
        let cached = store.look_up(&key).await;
        if matches!(cached, CacheAnswer::Unreadable) {
            return Err(NotAdopted::Unreadable);
        }
        let current = cached.entry().cloned();
        if account.is_purged(&owner.subject, shared.version) {
            return Err(NotAdopted::Purged);
        }
        let is_outdated = |entry: &Arc<Entry>| is_outdated(account, owner, entry, &shared);
        if let Some(entry) = current.clone().filter(is_outdated) {
            return Ok(entry);
        }
        let stays = |entry: &Arc<Entry>| entry.is_forgotten(self.now()) || is_newer(entry, &shared);
        if let Some(entry) = current.clone().filter(stays) {
            account.know(&owner.subject, &shared);
            account.record_differing(owner.subject);
            return Ok(entry);
        }
        let is_known = account.known_version(&owner.subject) == shared.version
            && !account.is_differing(&owner.subject);
        if is_known && let Some(entry) = current.clone() {
            // Another task has taken it meanwhile, or this replica has stored it.
            account.know(&owner.subject, &shared);
            return Ok(entry);
        }
        let entry = self
            .assemble(account, owner.subject, current.as_deref(), &shared)
            .await
            .map_err(|EngineFailure| NotAdopted::PictureUnreadable)?;
        let entry = Arc::new(entry.ok_or(NotAdopted::PictureLost)?);
        account.know(&owner.subject, &shared);
        store.put(&key, owner, entry.clone()).await;
        if account.is_purged(&owner.subject, shared.version) {
            // The purge may have come too early to see it.
            store.remove(&key).await;
            return Err(NotAdopted::Purged);
        }
        let shown = current.as_deref();
        self.shared.announce(owner, shown, Some(&entry));
        Ok(entry)
    }

    /// An entry of the fleet with the bytes of its picture: this replica's, or else the fleet's. `None` if neither has
    /// them.
    pub(super) async fn assemble(
        &self,
        account: &Arc<SharedAccount>,
        subject: Subject,
        current: Option<&Entry>,
        shared: &SharedEntry,
    ) -> Result<Option<Entry>, EngineFailure> {
        let picture = match &shared.picture {
            None => None,
            Some(stored) => {
                let picture = self.picture(account, subject, current, stored).await?;
                let Some(picture) = picture else {
                    return Ok(None);
                };
                Some(StoredPicture {
                    picture,
                    link_id: stored.link_id.clone(),
                    changed_at: stored.changed_at,
                    confirmed_at: stored.confirmed_at,
                    from: stored.from.as_deref().map(Arc::from),
                })
            }
        };
        Ok(Some(Entry {
            picture,
            last: shared.last,
        }))
    }

    async fn picture(
        &self,
        account: &Arc<SharedAccount>,
        subject: Subject,
        current: Option<&Entry>,
        shared: &SharedPicture,
    ) -> Result<Option<Picture>, EngineFailure> {
        let own = current.and_then(|entry| entry.picture.as_ref());
        let own = own.and_then(|own| {
            let bytes = own.picture.bytes().clone();
            Picture::from_proof(bytes, &shared.proof)
        });
        if own.is_some() {
            return Ok(own);
        }
        let picture = account.picture(&subject, &shared.proof).await?;
        Ok(picture.map(|picture| self.shared.store.charge(picture)))
    }
}

/// Whether this replica's entry has a newer answer than the fleet's, because Redis did not answer when it was stored. One
/// without a picture, or with an earlier one, never takes the place of one with a picture: this replica may not have had
/// that.
pub(super) fn is_newer(entry: &Entry, shared: &SharedEntry) -> bool {
    let has_newer_answer = entry.last.answer_asked_at > shared.last.answer_asked_at + CLOCKS;
    let has_earlier_picture = match (&entry.picture, &shared.picture) {
        (Some(own), Some(shared)) => {
            let is_other = own.picture.digest() != shared.proof.digest();
            is_other && own.changed_at < shared.changed_at
        }
        (None, Some(_)) => true,
        (_, None) => false,
    };
    has_newer_answer && !has_earlier_picture
}

/// Whether this replica has had a later entry of the fleet than `shared`: that was read before, or a Redis that failed over
/// has lost the later one.
pub(super) fn is_outdated(
    account: &SharedAccount,
    owner: &Owner,
    entry: &Entry,
    shared: &SharedEntry,
) -> bool {
    let known = account.known_version(&owner.subject);
    // The clock of another Redis may be behind, and with it the versions that it makes.
    let has_newer_answer = account.is_ahead_of_clock(known)
        && shared.last.answer_asked_at > entry.last.answer_asked_at + CLOCKS;
    shared.version < known && !has_newer_answer
}
