//! Looks a face up, and waits for the vendor where the plan says so.

use std::{sync::Arc, time::Duration};

use tokio::time::{self, Instant};

use super::{
    Faces, Instance, ServedFace,
    fetch::{Fetch, PrefetchedAnswer},
    single_flight::Flight,
};
use crate::{
    avatar::{Ask, Entry, Forward, Key, Plan, Subject, decide},
    clock::Timestamp,
    limits::Priority,
    store::Cached,
    telemetry::Limit,
    upstream::UnsupportedSubject,
};

/// A face of an instance, with its key in the cache.
pub(super) struct Target<'a> {
    pub(super) instance: &'a Arc<Instance>,
    pub(super) subject: Subject,
    pub(super) key: Key,
}

/// The next step of a look-up.
enum Step {
    Serve(ServedFace),
    Fetch(Forward),
}

/// How long a fetch waits for the budget if there is no first-paint deadline.
const MAX_BUDGET_WAIT: Duration = Duration::from_secs(60);

/// The result of a look-up that does not wait.
#[derive(Debug)]
pub enum LookUp {
    /// The face.
    Ready(ServedFace),
    /// The disk or the vendor has to be waited for, in [`Faces::finish_look_up`].
    Pending(PendingLookUp),
}

/// A look-up that has to wait.
#[derive(Debug)]
pub struct PendingLookUp {
    instance: Arc<Instance>,
    subject: Subject,
    key: Key,
    ask: Ask,
    /// The cache's answer so far.
    cached: Cached,
    /// Why the vendor is asked, if the cache's answer is known.
    plan: Option<Forward>,
}

/// Why a look-up has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUpError {
    /// The vendor has no call for the face.
    Unsupported(UnsupportedSubject),
    /// The pictures that are being sent leave no space for this one.
    NoSpace,
}

impl From<UnsupportedSubject> for LookUpError {
    fn from(error: UnsupportedSubject) -> Self {
        LookUpError::Unsupported(error)
    }
}

impl Faces {
    /// Looks up the face of `subject` as `instance` sees it, as far as that needs no waiting. A stale face
    /// is served and refreshed in the background.
    pub fn try_look_up(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
        ask: Ask,
        now: Timestamp,
    ) -> Result<LookUp, UnsupportedSubject> {
        let target = Target::new(instance, subject)?;
        let cached = self.shared.store.get_cached(&target.key);
        let plan = match &cached {
            Cached::Unknown | Cached::Unreadable => None,
            known => match self.serve(&target, known, ask, now)? {
                Step::Serve(face) => return Ok(LookUp::Ready(face)),
                Step::Fetch(why) => Some(why),
            },
        };
        Ok(LookUp::Pending(PendingLookUp {
            instance: instance.clone(),
            subject: target.subject,
            key: target.key,
            ask,
            cached,
            plan,
        }))
    }

    /// Waits for the disk and the vendor up to the first-paint deadline. Looks nothing up again that
    /// [`Faces::try_look_up`] knew.
    pub async fn finish_look_up(&self, pending: PendingLookUp) -> Result<ServedFace, LookUpError> {
        let ask = pending.ask;
        let target = Target {
            instance: &pending.instance,
            subject: pending.subject,
            key: pending.key,
        };
        if let Some(why) = pending.plan {
            let face = self.wait_for_fetch(&target, ask, why, pending.cached).await;
            return Ok(face?);
        }
        let Some(_space) = self.shared.store.reserve_space(&target.key).await else {
            Limit::InFlight.report();
            return Err(LookUpError::NoSpace);
        };
        let reading = self.shared.store.find_uncached(&target.key);
        // If the disk hangs or refuses to read the entry, the face may be a forgotten one.
        let cached = match self.until_deadline(reading).await {
            None | Some(Cached::Unreadable) => return Ok(ServedFace::unknown()),
            Some(cached) => cached,
        };
        match self.serve(&target, &cached, ask, self.now())? {
            Step::Serve(face) => Ok(face),
            Step::Fetch(why) => Ok(self.wait_for_fetch(&target, ask, why, cached).await?),
        }
    }

    /// Looks a face up, and waits for it: [`Faces::try_look_up`] and [`Faces::finish_look_up`].
    pub async fn look_up(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
        ask: Ask,
    ) -> Result<ServedFace, LookUpError> {
        match self.try_look_up(instance, subject, ask, self.now())? {
            LookUp::Ready(face) => Ok(face),
            LookUp::Pending(pending) => self.finish_look_up(pending).await,
        }
    }

    /// Decides, and serves the face or says why the vendor has to be asked.
    fn serve(
        &self,
        target: &Target<'_>,
        cached: &Cached,
        ask: Ask,
        now: Timestamp,
    ) -> Result<Step, UnsupportedSubject> {
        let entry = cached.entry();
        let plan = decide(entry.map(|entry| &**entry), ask, now, self.policy());
        Ok(match plan {
            Plan::Serve => Step::Serve(ServedFace::from_cache(entry.cloned())),
            Plan::ServeAndRefresh => {
                let background = Priority::Background;
                self.join(target, cached.clone(), Ask::View, background, None)?;
                Step::Serve(ServedFace::while_revalidating(entry.cloned()))
            }
            Plan::Wait(why) => Step::Fetch(why),
        })
    }

    /// The cached entry of a face. The vendor is not asked.
    pub async fn entry(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<Option<Arc<Entry>>, UnsupportedSubject> {
        let key = instance.owner(instance.resolve_own(subject)?).key();
        Ok(self.shared.store.find(&key).await)
    }

    async fn wait_for_fetch(
        &self,
        target: &Target<'_>,
        ask: Ask,
        why: Forward,
        cached: Cached,
    ) -> Result<ServedFace, UnsupportedSubject> {
        let priority = match ask {
            Ask::View => Priority::Interactive,
            Ask::Refresh => Priority::Refresh,
        };
        let entry = cached.entry().cloned();
        let (flight, collapsed) = self.join(target, cached, ask, priority, None)?;
        if collapsed {
            self.shared.metrics.record_collapsed();
        }
        let result = self.until_deadline(flight.wait()).await;
        let fetched = result.as_ref().and_then(|result| result.entry.clone());
        Ok(ServedFace::after_fetch(
            fetched.or(entry),
            why,
            result,
            collapsed,
        ))
    }

    /// Joins the fetch in flight for `target`, or starts one in a task of its own, which continues when
    /// the request that caused it is cancelled. `cached` is the look-up that led to it. Returns whether it
    /// was joined.
    pub(super) fn join(
        &self,
        target: &Target<'_>,
        cached: Cached,
        ask: Ask,
        priority: Priority,
        prefetched: Option<PrefetchedAnswer>,
    ) -> Result<(Flight, bool), UnsupportedSubject> {
        // A face that the vendor cannot be asked for is an error here, so that it never gets an entry.
        target.instance.call(target.subject, false)?;
        let budget_deadline = self
            .deadline()
            .unwrap_or_else(|| Instant::now() + MAX_BUDGET_WAIT);
        let start = || {
            let fetch = Fetch::new(self.shared.clone(), target, ask, priority, budget_deadline);
            fetch.run(cached, prefetched)
        };
        Ok(self.shared.single_flight.join(target.key, ask, start))
    }

    /// The result of `work`, or `None` if the first-paint deadline comes first.
    async fn until_deadline<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.deadline() {
            Some(deadline) => time::timeout_at(deadline, work).await.ok(),
            None => Some(work.await),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let first_paint = self.shared.settings.first_paint;
        (!first_paint.is_zero()).then(|| Instant::now() + first_paint)
    }
}

impl<'a> Target<'a> {
    pub(super) fn new(
        instance: &'a Arc<Instance>,
        subject: Subject,
    ) -> Result<Self, UnsupportedSubject> {
        let subject = instance.resolve_own(subject)?;
        Ok(Self {
            instance,
            subject,
            key: instance.owner(subject).key(),
        })
    }
}
