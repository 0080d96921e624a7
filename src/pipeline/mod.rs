//! One face, found or fetched.
//!
//! 1. Look the entry up: memory, then disk.
//! 2. Decide: serve it, refresh it, or wait for the vendor.
//! 3. Join the transaction under way for this face, or start one.
//! 4. Wait for it, but no longer than the browser should.
//!
//! [`Faces::look_up`] is those steps. [`fetch`] has the steps of the call to the vendor.

mod fetch;
mod instance;
mod recent;
mod served;
mod single_flight;
mod warm;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, MutexGuard},
    time::{self, Instant},
};

use fetch::PrefetchedAnswer;
pub use instance::Instance;
use recent::RecentUpdates;
pub use served::{FetchResult, ServedFace};
use single_flight::SingleFlight;
pub use warm::{AlreadyRunning, Job, Progress, Schedule, State, StopReason, Warmups};

use crate::{
    avatar::{Ask, Entry, Forward, Key, Plan, Policy, Subject, decide},
    clock::{Clock, Timestamp},
    limits::Priority,
    store::{Cached, Health, Owner, Store},
    telemetry::Metrics,
    upstream::UnsupportedSubject,
};

/// What the pipeline goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long answers are believed.
    pub policy: Policy,
    /// The first-paint deadline: how long a request waits for the vendor before it gets the
    /// fallback. Zero waits for ever.
    pub first_paint: Duration,
}

/// Finds and fetches faces. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Faces {
    shared: Arc<Shared>,
}

/// Whose faces to purge.
#[derive(Clone, Copy, Debug)]
pub enum PurgeScope<'a> {
    /// One.
    Face(&'a Instance, Subject),
    /// All of an instance's.
    Instance(&'a Instance),
    /// All.
    All,
}

/// What a purge came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgeCounts {
    /// Faces that count for less now.
    pub done: usize,
    /// Faces that do in memory, but not on disk: a restart would bring them back.
    pub failed: usize,
}

/// How thoroughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeMode {
    /// They are asked for again at the next look, and shown meanwhile.
    Soft,
    /// The same, and the vendor is not to answer from its own cache: they are said to have changed.
    Changed,
    /// They are gone.
    Hard,
}

/// What every transaction needs.
#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    single_flight: SingleFlight,
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    turns: Turns,
    recent: RecentUpdates,
}

/// Changes to one entry take turns: each is made to what the one before left, or an older answer
/// could land on a newer one that it never saw. Looking at a face takes no turn.
#[derive(Clone, Debug)]
struct Turns(Arc<[Mutex<()>]>);

/// How long a request waits for the budget where nothing else limits its waiting.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

/// One face of one instance, as asked for.
struct Target<'a> {
    instance: &'a Arc<Instance>,
    subject: Subject,
    key: Key,
}

impl Faces {
    /// A pipeline over `store`.
    pub fn new(store: Arc<Store>, settings: Settings, clock: Clock, metrics: Metrics) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                single_flight: SingleFlight::default(),
                settings,
                clock,
                metrics,
                turns: Turns::new(),
                recent: RecentUpdates::default(),
            }),
        }
    }

    /// The same pipeline with other settings: what is under way and what is known stays.
    pub fn with_settings(&self, settings: Settings) -> Self {
        let shared = &self.shared;
        Self {
            shared: Arc::new(Shared {
                store: shared.store.clone(),
                single_flight: shared.single_flight.clone(),
                settings,
                clock: shared.clock.clone(),
                metrics: shared.metrics.clone(),
                turns: shared.turns.clone(),
                recent: shared.recent.clone(),
            }),
        }
    }

    /// How long answers are believed.
    pub fn policy(&self) -> &Policy {
        &self.shared.settings.policy
    }

    /// The time the pipeline goes by.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The face of `subject` as `instance` sees it, if it is in memory and can be served so at `now`.
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
            Plan::Wait(_) => Ok(None),
            Plan::Serve => Ok(Some(ServedFace::from_cache(Some(entry)))),
            Plan::ServeAndRefresh => {
                self.join(&target, Ask::View, Priority::Background, None)?;
                Ok(Some(ServedFace::while_revalidating(Some(entry))))
            }
        }
    }

    /// The face of `subject` as `instance` sees it.
    pub async fn look_up(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
        ask: Ask,
    ) -> Result<ServedFace, UnsupportedSubject> {
        let target = Target::new(instance, subject)?;
        let Some(entry) = self.in_time(self.shared.store.find(&target.key)).await else {
            // A disk that hangs; whether the face is there, nobody knows.
            return Ok(ServedFace::after_fetch(None, Forward::UriMiss, None, false));
        };
        match decide(entry.as_deref(), ask, self.now(), self.policy()) {
            Plan::Serve => Ok(ServedFace::from_cache(entry)),
            Plan::ServeAndRefresh => {
                self.join(&target, Ask::View, Priority::Background, None)?;
                Ok(ServedFace::while_revalidating(entry))
            }
            Plan::Wait(why) => self.wait(&target, ask, why, entry).await,
        }
    }

    /// How the disk tier is.
    pub fn health(&self) -> Health {
        self.shared.store.health()
    }

    /// Tends the cache without pausing, and returns when that is done.
    pub async fn run_maintenance(&self) {
        self.shared.store.run_maintenance().await;
    }

    /// What is known of a face, without asking anybody.
    pub async fn entry(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<Option<Arc<Entry>>, UnsupportedSubject> {
        let key = Key::new(instance.name(), &instance.aliased(subject)?);
        Ok(self.shared.store.find(&key).await)
    }

    /// Lets what is known of faces count for less: of one, of an instance's, of all.
    pub async fn purge(
        &self,
        which: PurgeScope<'_>,
        how: PurgeMode,
    ) -> Result<PurgeCounts, UnsupportedSubject> {
        let owners = match which {
            PurgeScope::Face(instance, subject) => vec![Owner {
                instance: instance.name().clone(),
                subject: instance.aliased(subject)?,
            }],
            PurgeScope::Instance(instance) => {
                let name = instance.name().clone();
                self.shared.store.owners(Some(name)).await
            }
            PurgeScope::All => self.shared.store.owners(None).await,
        };
        let mut purged = PurgeCounts::default();
        for owner in owners {
            match self.purge_one(&owner, how).await {
                Some(true) => purged.done += 1,
                Some(false) => purged.failed += 1,
                None => {}
            }
        }
        Ok(purged)
    }

    /// Returns whether that is on disk; nothing, where there was nothing to purge.
    async fn purge_one(&self, owner: &Owner, how: PurgeMode) -> Option<bool> {
        let store = &self.shared.store;
        let key = Key::new(&owner.instance, &owner.subject);
        let _turn = self.shared.turns.of(&key).await;
        let entry = store.find(&key).await?;
        let now = self.now();
        Some(match how {
            // A tombstone is a promise, and no purge breaks it.
            PurgeMode::Hard if !entry.is_forgotten(now) => {
                self.shared.recent.remove(owner);
                store.remove(&key).await
            }
            PurgeMode::Changed => {
                let outdated = Entry::clone(&entry).mark_outdated(now, self.policy().ttl);
                store.put(&key, owner, Arc::new(outdated)).await
            }
            _ => {
                let expired = Entry::clone(&entry).expire(now, self.policy().ttl);
                store.put(&key, owner, Arc::new(expired)).await
            }
        })
    }

    /// Forgets a face: its bytes go, unless another face has the same, and for the policy's time
    /// it is not asked for again. A fetch under way brings nothing back. Returns whether that is
    /// on disk.
    pub async fn forget(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<bool, UnsupportedSubject> {
        let subject = instance.aliased(subject)?;
        let now = self.now();
        let tombstone = Entry::tombstone(now, now + self.policy().forget_for);
        let owner = Owner {
            instance: instance.name().clone(),
            subject,
        };
        let key = Key::new(instance.name(), &subject);
        let _turn = self.shared.turns.of(&key).await;
        self.shared.recent.remove(&owner);
        let forgotten = self.shared.store.forget(&key, &owner, Arc::new(tombstone));
        Ok(forgotten.await)
    }

    /// Returns when the fetches in flight have finished, or after `limit`: a picture that was
    /// paid for should not be lost to a restart.
    pub async fn wait_idle(&self, limit: Duration) {
        let idle = async {
            self.shared.single_flight.wait_idle().await;
            self.shared.store.wait_idle().await;
        };
        if time::timeout(limit, idle).await.is_err() {
            tracing::warn!("some pictures were still being fetched and will be fetched again");
        }
    }

    async fn wait(
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
            self.shared.metrics.collapsed();
        }
        let result = self.in_time(flight.wait()).await;
        let entry = match &result {
            Some(result) => result.entry.clone().or(entry),
            None => entry,
        };
        Ok(ServedFace::after_fetch(entry, why, result, collapsed))
    }

    /// The transaction under way for this face, or a new one in a task of its own: it goes on when
    /// the client that caused it goes away.
    fn join(
        &self,
        target: &Target<'_>,
        ask: Ask,
        priority: Priority,
        prefetched: Option<PrefetchedAnswer>,
    ) -> Result<(single_flight::Flight, bool), UnsupportedSubject> {
        // Refused before it becomes a flight: a face that can never be asked for has no entry.
        target.instance.call(target.subject, false)?;
        let fetch = fetch::Fetch {
            shared: self.shared.clone(),
            instance: target.instance.clone(),
            subject: target.subject,
            key: target.key,
            ask,
            priority,
            prefetched,
            patience: self
                .deadline()
                .unwrap_or_else(|| Instant::now() + LONGEST_PATIENCE),
        };
        Ok(self
            .shared
            .single_flight
            .join(target.key, ask, || fetch.run()))
    }

    /// What `work` brings, if it does by the first-paint deadline.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
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
    fn new(instance: &'a Arc<Instance>, subject: Subject) -> Result<Self, UnsupportedSubject> {
        let subject = instance.aliased(subject)?;
        Ok(Self {
            instance,
            subject,
            key: Key::new(instance.name(), &subject),
        })
    }
}

impl Shared {
    /// Writes down what an instance has used up, before it is used: a crash must not give it back.
    async fn remember(&self, instance: &Arc<Instance>) {
        let instance = instance.clone();
        let name = instance.name().clone();
        let note = move || serde_json::to_vec(&instance.admission().save()).unwrap_or_default();
        self.store.save_state(name, note).await;
    }
}

impl Turns {
    /// More than there are changes at once, most of the time.
    const COUNT: usize = 64;

    fn new() -> Self {
        Self((0..Self::COUNT).map(|_| Mutex::new(())).collect())
    }

    async fn of(&self, key: &Key) -> MutexGuard<'_, ()> {
        let [first, ..] = *key.as_bytes();
        self.0[usize::from(first) % Self::COUNT].lock().await
    }
}
