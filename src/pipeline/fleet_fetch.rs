//! A fetch of an account that the replicas of a fleet share.
//!
//! 1. It begins in the fleet: takes a sibling's newer entry, waits for a sibling that asks the vendor just now, or gets
//!    a call of the shared budget and the lease of the face.
//! 2. While Redis does not answer, it takes a call of this replica's reserve instead.
//! 3. It ends in the fleet: if a sibling has stored another entry meanwhile, that one absorbs the answer.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Faces, FetchResult, Instance,
    fetch::{Fetch, Refresh},
    fetch_error::MissedPicture,
    fleet_changes::NotAdopted,
    queue::CallClass,
    take_call::Wait,
};
use crate::{
    avatar::{Entry, Outcome, Report, Trouble, absorb},
    clock::Timestamp,
    fleet::{
        Begin, CallKind, Commit, EngineFailure, Refusal, Seek, SharedAccount, SharedEntry, Take,
    },
    limits::{AdmissionStatus, CallsAhead, NotAdmitted, Permit, Priority, UnspentCall},
    store::CacheAnswer,
    upstream::VendorFailure,
};

/// The time that a lease lasts beyond the time limits of its fetch.
const SLACK: Duration = Duration::from_secs(5);
/// A fetch waits for this many leases of siblings.
const LEASES: u32 = 3;
/// Without a call in the reserve, the next one is looked for after this time.
const RETRY: Duration = Duration::from_secs(1);
/// The most entries of siblings that one answer is absorbed into.
const CONFLICTS: usize = 4;

impl Fetch {
    /// Begins the fetch in the fleet. Returns the entry that it goes on from, with a call of the budget, or the
    /// result, if there is nothing to ask the vendor.
    pub(super) async fn begin_in_fleet(
        &mut self,
        account: &Arc<SharedAccount>,
        mut before: CacheAnswer,
    ) -> Result<CacheAnswer, FetchResult> {
        let limits = self.instance.client.settings();
        // A number with two spellings may be asked for twice.
        let time = limits.call_timeout * 2 + limits.download_timeout + SLACK;
        let give_up_at = Instant::now() + time * LEASES;
        let mut lease = account.lease(self.person);
        let mut permit = None;
        // Also for a refresh: the vendor's answer is absorbed into the fleet's entry, not into an older one of this replica.
        let mut seek = match before.entry() {
            None => Seek::Any,
            Some(_) => Seek::Newer,
        };
        loop {
            let entry = before.entry().cloned();
            let refresh = self.refresh_mode(entry.as_deref());
            let own = permit.take().or_else(|| self.call_at_once(refresh));
            let kind = own.as_ref().map(call_kind);
            let not_admitted = |refusal| FetchResult::not_admitted(entry.clone(), refusal);
            match account.begin(&mut lease, seek, kind, time).await {
                Ok(Begin::Go) => {
                    self.lease = Some(lease);
                    self.granted = own.map(|own| {
                        let call = account.call(call_kind(&own));
                        own.with_shared(call)
                    });
                    return Ok(before);
                }
                Ok(Begin::NoCall) => {
                    permit = Some(self.wait_for_permit(refresh, &before).await?);
                }
                Ok(Begin::Held(left)) => {
                    drop(own);
                    if Instant::now() >= give_up_at {
                        return Err(not_admitted(self.over_budget(RETRY)));
                    }
                    let wait = account.wait_for_sibling(&self.person, left);
                    if self
                        .shared
                        .shutdown
                        .run_until_cancelled(wait)
                        .await
                        .is_none()
                    {
                        return Err(not_admitted(self.over_budget(RETRY)));
                    }
                }
                Ok(Begin::Entry(shared)) => {
                    (permit, seek) = (own, Seek::Newer);
                    let (faces, version) = (self.faces(), shared.version);
                    match faces.adopt_shared(account, &self.owner(), shared).await {
                        Ok(entry) if self.is_answered(&entry) => {
                            return Err(FetchResult::found(entry));
                        }
                        Ok(entry) => {
                            before = CacheAnswer::Found(entry);
                            self.missed_picture = None;
                        }
                        Err(NotAdopted::Purged) => self.missed_picture = None,
                        Err(NotAdopted::PictureLost) => {
                            seek = Seek::After(version);
                            self.missed_picture = Some(MissedPicture::Lost);
                        }
                        Err(NotAdopted::PictureUnreadable) => {
                            seek = Seek::After(version);
                            self.missed_picture = Some(MissedPicture::Unreadable);
                        }
                        Err(NotAdopted::Unreadable) => return Err(FetchResult::aborted()),
                    }
                }
                Ok(Begin::Forgotten(left)) => {
                    let tombstone = self.faces().write_tombstone(&self.owner(), left).await;
                    return Err(FetchResult::found(tombstone));
                }
                Ok(Begin::Refused(Refusal::Paused(left, why))) => {
                    let retry_at = self.instance.admission().pause(left, why);
                    self.want_again(entry.as_deref(), retry_at);
                    return Err(not_admitted(NotAdmitted { why, retry_at }));
                }
                Ok(Begin::Refused(Refusal::OverBudget(waits))) => {
                    // Given back first: the queue of wanted faces is to find it.
                    drop(own);
                    self.instance.admission().defer(waits);
                    permit = Some(self.wait_for_permit(refresh, &before).await?);
                }
                Err(EngineFailure) => {
                    let own = match own {
                        Some(own) => own,
                        None => self.wait_for_permit(refresh, &before).await?,
                    };
                    if let Some(call) = account.take_from_reserve(call_kind(&own)) {
                        self.granted = Some(own.with_shared(call));
                        // Redis may have granted it all the same.
                        self.lease = Some(lease);
                        return Ok(before);
                    }
                    drop(own);
                    self.instance.admission().defer([RETRY; 3]);
                    permit = Some(self.wait_for_permit(refresh, &before).await?);
                }
            }
        }
    }

    /// Absorbs the report into the entry, and stores the result in the fleet, if the account is shared. Returns the entry
    /// before and after.
    pub(super) async fn absorb(
        &mut self,
        mut current: Option<Arc<Entry>>,
        report: &Report,
        is_kept: bool,
        from: Option<Arc<str>>,
    ) -> (Option<Arc<Entry>>, Option<Entry>) {
        let (mut conflicts, mut removed) = (0, 0);
        loop {
            let policy = &self.shared.settings.policy;
            let next = absorb(current.as_deref(), report.clone(), policy).filter(|_| !is_kept);
            let outcome = report.answer.outcome();
            let next = next.map(|entry| self.note_others(entry, outcome, from.clone()));
            let (Some(account), Some(entry)) = (self.instance.shared().cloned(), &next) else {
                if conflicts > 0
                    && let Some(account) = self.instance.shared()
                {
                    // This replica has not stored the sibling's entry.
                    account.record_differing(self.person);
                }
                return (current, next);
            };
            if self.missed_picture == Some(MissedPicture::Lost) && outcome != Outcome::Picture {
                // This replica's picture may be an older one than the siblings have.
                return (current, next);
            }
            // The store may lack the picture of an entry that Redis has not taken.
            let is_new = self.missed_picture.is_some()
                || account.is_differing(&self.person)
                || has_other_picture(current.as_deref(), entry);
            let commit = match &mut self.lease {
                Some(lease) => lease.commit(entry, is_new, self.seen).await,
                None => {
                    let base = account.known_version(&self.person).max(removed);
                    let commit = account.commit(&self.person, base, entry, is_new, self.seen);
                    commit.await
                }
            };
            match commit {
                Ok(Commit::Conflict(shared)) if conflicts < CONFLICTS => {
                    conflicts += 1;
                    let faces = self.faces();
                    let assembled =
                        faces.assemble(&account, self.person, current.as_deref(), &shared);
                    let is_late = is_late(report, &shared);
                    match assembled.await {
                        // The sibling's is stored here as any other, when this replica hears of it.
                        Ok(Some(entry)) if is_late => return (Some(Arc::new(entry)), None),
                        Ok(None) | Err(EngineFailure) if is_late => return (current, None),
                        Ok(Some(entry)) => current = Some(Arc::new(entry)),
                        Ok(None) => {
                            self.missed_picture = Some(MissedPicture::Lost);
                            if outcome != Outcome::Picture {
                                continue;
                            }
                        }
                        Err(EngineFailure) if outcome == Outcome::Picture => {
                            self.missed_picture = Some(MissedPicture::Unreadable);
                        }
                        Err(EngineFailure) => return (current, None),
                    }
                    account.know(&self.person, &shared);
                }
                Ok(Commit::Removed(version)) if conflicts < CONFLICTS => {
                    conflicts += 1;
                    (current, removed) = (None, version);
                    self.missed_picture = None;
                }
                Ok(Commit::Forgotten(left)) => {
                    let faces = self.faces();
                    let (tombstone, _) = faces.replace_by_tombstone(&self.owner(), left).await;
                    return (Some(tombstone), None);
                }
                Ok(Commit::Conflict(_) | Commit::Removed(_)) => {
                    account.record_differing(self.person);
                    return (current, next);
                }
                Ok(Commit::Stored | Commit::Foreign | Commit::PictureMissing)
                | Err(EngineFailure) => {
                    return (current, next);
                }
            }
        }
    }

    /// Tells the siblings of a pause that the vendor's answer has caused.
    pub(super) async fn share_pause(&self, before: &AdmissionStatus) {
        let admission = self.instance.admission();
        if let (Some(account), Some((until, why))) = (self.instance.shared(), admission.cooldown())
            && admission.status() != *before
        {
            let left = until.since(self.shared.clock.now());
            // Without Redis, each replica learns of it from the vendor, within its reserve.
            let _ = account.pause(left, why).await;
        }
    }

    /// A call of the own budget, for which the face waits for its turn in the queue. The result, if there is no call, or
    /// the entry has become an answer during the wait.
    async fn wait_for_permit(
        &self,
        refresh: Refresh,
        before: &CacheAnswer,
    ) -> Result<Permit, FetchResult> {
        let refused = |refusal| FetchResult::not_admitted(before.entry().cloned(), refusal);
        let (permit, wait) = self.wait_for_turn(refresh).await.map_err(refused)?;
        match wait {
            Wait::InQueue => match self.answer_since(before).await {
                Some(entry) => Err(FetchResult::found(entry)),
                None => Ok(permit),
            },
            Wait::None => Ok(permit),
        }
    }

    /// A call that the budget has now, without a place in the queue of wanted faces.
    fn call_at_once(&mut self, refresh: Refresh) -> Option<Permit> {
        let class = CallClass {
            priority: self.priority(),
            with_refresh: self.with_refresh(refresh),
        };
        let granted = self.granted_call(refresh);
        granted.or_else(|| {
            let wanted = self.instance.wanted();
            wanted.take_behind(&self.instance, class).ok()
        })
    }

    fn over_budget(&self, wait: Duration) -> NotAdmitted {
        NotAdmitted {
            why: Trouble::OverBudget,
            retry_at: self.shared.clock.now() + wait,
        }
    }

    fn faces(&self) -> Faces {
        Faces {
            shared: self.shared.clone(),
        }
    }
}

impl Instance {
    /// Records trouble with the account, and tells the siblings of the pause that it causes. Returns the end of that pause.
    pub(super) async fn share_trouble(
        &self,
        failure: &VendorFailure,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let paused_until = self.record_trouble(failure.why, failure.retry_after);
        if let (Some(account), Some(until)) = (self.shared(), paused_until) {
            // Without Redis, each replica learns of it from the vendor, within its reserve.
            let _ = account.pause(until.since(now), failure.why).await;
        }
        paused_until
    }

    /// Takes a call from the budget, also from the one that the fleet shares.
    pub(super) async fn take_call(
        &self,
        priority: Priority,
        with_refresh: bool,
    ) -> Result<(), NotAdmitted> {
        let permit = Permit::take(self.admission(), priority, with_refresh)?;
        let permit = self.take_shared_call(permit).await?;
        permit.spend();
        Ok(())
    }

    /// Takes `count` calls from the budget, also from the one that the fleet shares, or none.
    pub(super) async fn take_calls(
        &self,
        priority: Priority,
        count: usize,
    ) -> Result<(), NotAdmitted> {
        let permits = (0..count).map(|_| Permit::take(self.admission(), priority, false));
        let permits: Vec<_> = permits.collect::<Result<_, _>>()?;
        let kind = CallKind {
            priority,
            with_refresh: false,
        };
        self.take_shared(kind, count).await?;
        permits.into_iter().for_each(Permit::spend);
        Ok(())
    }

    /// Takes the call of a permit from the budget that the fleet shares, too, if the account is shared.
    pub(super) async fn take_shared_call(&self, permit: Permit) -> Result<Permit, NotAdmitted> {
        Ok(match self.take_shared(call_kind(&permit), 1).await? {
            Some(call) => permit.with_shared(call),
            None => permit,
        })
    }

    /// The most calls that the budget grants at once.
    pub(super) fn burst(&self) -> u64 {
        let burst = self.admission().burst();
        let shared = self.shared().map(|account| account.burst());
        shared.map_or(burst, |shared| burst.min(shared))
    }

    /// Takes calls from the budget that the fleet shares, if the account is shared.
    async fn take_shared(
        &self,
        kind: CallKind,
        count: usize,
    ) -> Result<Option<Box<dyn UnspentCall>>, NotAdmitted> {
        let Some(account) = self.shared() else {
            return Ok(None);
        };
        let admission = self.admission();
        let waits = match account.take(kind, count).await {
            Ok(Take::Go) => return Ok(Some(account.call(kind))),
            Ok(Take::Refused(Refusal::Paused(left, why))) => {
                let retry_at = admission.pause(left, why);
                return Err(NotAdmitted { why, retry_at });
            }
            Ok(Take::Refused(Refusal::OverBudget(waits))) => waits,
            // A reserve is for faces, each of which costs one call.
            Err(EngineFailure) if count == 1 => match account.take_from_reserve(kind) {
                Some(call) => return Ok(Some(call)),
                None => [RETRY; 3],
            },
            Err(EngineFailure) => [RETRY; 3],
        };
        let retry_at = self.shared_retry_at(kind, count, waits);
        Err(NotAdmitted {
            why: Trouble::OverBudget,
            retry_at,
        })
    }

    /// When the shared budget may have `count` calls. A single call defers those of the own budget, too; where more are
    /// wanted, others may get one before.
    fn shared_retry_at(&self, kind: CallKind, count: usize, waits: [Duration; 3]) -> Timestamp {
        let admission = self.admission();
        let due = || admission.due(kind.priority, kind.with_refresh, CallsAhead::default());
        if count == 1 {
            admission.defer(waits);
            return due();
        }
        let wait = waits.into_iter().max().unwrap_or_default();
        due() + wait
    }
}

fn call_kind(permit: &Permit) -> CallKind {
    CallKind {
        priority: permit.priority(),
        with_refresh: permit.with_refresh(),
    }
}

/// Whether the vendor was asked before it gave the answer of the fleet's entry.
fn is_late(report: &Report, shared: &SharedEntry) -> bool {
    match report.answer.outcome() {
        Outcome::Trouble(_) => report.asked_at < shared.last.asked_at,
        _ => report.asked_at < shared.last.answer_asked_at,
    }
}

fn has_other_picture(current: Option<&Entry>, next: &Entry) -> bool {
    let digest = |entry: &Entry| entry.picture.as_ref().map(|stored| stored.picture.digest());
    digest(next).is_some() && current.and_then(digest) != digest(next)
}
