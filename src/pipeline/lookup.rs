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
    upstream::UnsupportedSubject,
};

/// A face of an instance, with its key in the cache.
pub(super) struct Target<'a> {
    pub(super) instance: &'a Arc<Instance>,
    pub(super) subject: Subject,
    pub(super) key: Key,
}

/// How long a fetch waits for the budget if there is no first-paint deadline.
const MAX_BUDGET_WAIT: Duration = Duration::from_secs(60);

impl Faces {
    /// The face of `subject` as `instance` sees it, or `None` where finding it out may have to wait for
    /// the disk or for the vendor. A stale face is served and refreshed in the background.
    pub fn try_look_up(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
        ask: Ask,
        now: Timestamp,
    ) -> Result<Option<ServedFace>, UnsupportedSubject> {
        let target = Target::new(instance, subject)?;
        let Cached::Found(entry) = self.shared.store.get_cached(&target.key) else {
            return Ok(None);
        };
        match decide(Some(&entry), ask, now, self.policy()) {
            Plan::Serve => Ok(Some(ServedFace::from_cache(Some(entry)))),
            Plan::ServeAndRefresh => {
                self.refresh_in_background(&target)?;
                Ok(Some(ServedFace::while_revalidating(Some(entry))))
            }
            Plan::Wait(_) => Ok(None),
        }
    }

    /// The face of `subject` as `instance` sees it. Waits for the disk and the vendor up to the
    /// first-paint deadline.
    pub async fn look_up(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
        ask: Ask,
    ) -> Result<ServedFace, UnsupportedSubject> {
        let target = Target::new(instance, subject)?;
        let Some(entry) = self
            .until_deadline(self.shared.store.find(&target.key))
            .await
        else {
            // The disk hangs, so the entry is unknown.
            return Ok(ServedFace::after_fetch(None, Forward::UriMiss, None, false));
        };
        match decide(entry.as_deref(), ask, self.now(), self.policy()) {
            Plan::Serve => Ok(ServedFace::from_cache(entry)),
            Plan::ServeAndRefresh => {
                self.refresh_in_background(&target)?;
                Ok(ServedFace::while_revalidating(entry))
            }
            Plan::Wait(why) => self.wait_for_fetch(&target, ask, why, entry).await,
        }
    }

    /// The cached entry of a face. The vendor is not asked.
    pub async fn entry(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<Option<Arc<Entry>>, UnsupportedSubject> {
        let key = Key::new(instance.name(), &instance.resolve_own(subject)?);
        Ok(self.shared.store.find(&key).await)
    }

    fn refresh_in_background(&self, target: &Target<'_>) -> Result<(), UnsupportedSubject> {
        self.join(target, Ask::View, Priority::Background, None)?;
        Ok(())
    }

    async fn wait_for_fetch(
        &self,
        target: &Target<'_>,
        ask: Ask,
        why: Forward,
        entry: Option<Arc<Entry>>,
    ) -> Result<ServedFace, UnsupportedSubject> {
        let priority = match ask {
            Ask::View => Priority::Interactive,
            Ask::Refresh => Priority::Refresh,
        };
        let (flight, collapsed) = self.join(target, ask, priority, None)?;
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
    /// the request that caused it is cancelled. Returns whether it was joined.
    pub(super) fn join(
        &self,
        target: &Target<'_>,
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
            fetch.run(prefetched)
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
            key: Key::new(instance.name(), &subject),
        })
    }
}
