//! The pipeline: looks a face up in the cache, and fetches it from the vendor where necessary.
//!
//! 1. Look the entry up: memory, then disk.
//! 2. Decide: serve it, refresh it, or wait for the vendor.
//! 3. Join the fetch in flight for this face, or start one (single-flight).
//! 4. Wait for its result, up to the first-paint deadline.
//!
//! A fetch that the budget refuses leaves its face wanted (`queue.rs`), and the worker of its account fetches it
//! when the budget allows (`queue_worker.rs`).
//!
//! [`Faces::look_up`] is those steps, and `Fetch::run` in `fetch.rs` the steps of one fetch.
//!
//! # Lock order
//!
//! The key lock of the pipeline (`Shared::key_locks`) serializes the changes of one entry: the end of a
//! fetch, a purge, a removal. It is taken before every lock of the store; the order continues in
//! [`store`](crate::store). Look-ups do not take it. The other locks of this room and of `limits` are held
//! for a few instructions, never across an await, and no lock is taken under them, except that `warm`
//! takes the lock of a run's progress under the lock of the list of runs, and `queue_worker` the locks of the
//! admission control and of single-flight under that of the wanted faces.

mod copies;
mod events;
mod fetch;
mod instance;
mod latency;
mod lookup;
mod purge;
mod queue;
mod queue_worker;
mod recent;
mod rename;
mod served_face;
mod settle;
mod single_flight;
mod turn;
mod warm;

use std::{path::Path, sync::Arc, time::Duration};

use tokio::time;
use tokio_util::task::TaskTracker;

use copies::Copies;
pub use events::EventCounts;
pub use instance::{Instance, Instances};
use lookup::Target;
pub use lookup::{LookUp, LookUpError, PendingLookUp};
pub use purge::{PurgeCounts, PurgeMode, PurgeScope};
pub use queue_worker::Wanted;
use recent::RecentUpdates;
pub use rename::{RenameCounts, RenameError};
pub use served_face::{FetchResult, ServedFace};
use single_flight::SingleFlight;
pub use warm::{AlreadyRunning, Job, Progress, RunState, Schedule, StopReason, Warmups};

use crate::{
    avatar::{Digest, Policy},
    clock::{Clock, Timestamp},
    store::{Health, KeyLocks, Store},
    telemetry::Metrics,
};

/// The settings of the pipeline.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long answers are valid.
    pub policy: Policy,
    /// The first-paint deadline: how long a request waits for the vendor before it gets a placeholder.
    /// Zero means no deadline.
    pub first_paint: Duration,
    /// The most faces of an instance that are wanted and wait for the budget.
    pub max_wanted: usize,
    /// How long a face stays wanted after it was last requested.
    pub wanted_for: Duration,
    /// How old the last answer about a face has to be for a hint to expire it.
    pub hint_after: Duration,
}

/// Looks faces up and fetches them. Clones share all state.
#[derive(Clone, Debug)]
pub struct Faces {
    shared: Arc<Shared>,
}

/// The parts that every look-up and every fetch uses.
#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    single_flight: SingleFlight,
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    /// Striped locks for the changes of entries. Without them, two changes could both start from the same
    /// version of an entry, and an older answer could overwrite a newer one.
    key_locks: Arc<KeyLocks>,
    recent: RecentUpdates,
    copies: Copies,
    /// The downloads that events caused.
    event_tasks: TaskTracker,
}

/// The stripes of [`Shared::key_locks`]: more than there usually are changes at once.
const STRIPES: usize = 64;

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
                key_locks: Arc::new(KeyLocks::new(STRIPES)),
                recent: RecentUpdates::default(),
                copies: Copies::default(),
                event_tasks: TaskTracker::new(),
            }),
        }
    }

    /// The same pipeline with other settings. It shares the store, the fetches in flight and the locks.
    pub fn with_settings(&self, settings: Settings) -> Self {
        let shared = &self.shared;
        Self {
            shared: Arc::new(Shared {
                store: shared.store.clone(),
                single_flight: shared.single_flight.clone(),
                settings,
                clock: shared.clock.clone(),
                metrics: shared.metrics.clone(),
                key_locks: shared.key_locks.clone(),
                recent: shared.recent.clone(),
                copies: shared.copies.clone(),
                event_tasks: shared.event_tasks.clone(),
            }),
        }
    }

    /// Sets how copies of a picture are removed from memory, outside of the store.
    pub fn on_removal(&self, remove: impl Fn(&Digest) + Send + Sync + 'static) {
        self.shared.copies.set(remove);
    }

    /// How long answers are valid.
    pub fn policy(&self) -> &Policy {
        &self.shared.settings.policy
    }

    /// The current time, by the clock of the pipeline.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The cache directory.
    pub fn cache_dir(&self) -> &Path {
        self.shared.store.dir()
    }

    /// The health of the disk tier.
    pub fn health(&self) -> Health {
        self.shared.store.health()
    }

    /// Runs the maintenance of the cache without its pauses, to its end.
    pub async fn run_maintenance(&self) {
        self.shared.store.run_maintenance().await;
    }

    /// Lifts the pause of `instance`, and saves that for the next process. Returns whether there was one.
    pub async fn lift_pause(&self, instance: &Arc<Instance>) -> bool {
        let was_paused = instance.admission().lift_pause();
        if was_paused {
            tracing::warn!(instance = %instance.name(), "the operator lifted the pause");
            self.shared.save_admission(instance).await;
        }
        was_paused
    }

    /// Hands the faces that are wanted of `instance` over to this pipeline, after a reload.
    pub fn take_over_wanted(&self, instance: &Arc<Instance>) {
        instance.wanted().hand_over(&self.shared, instance);
    }

    /// Waits until the fetches in flight have finished and are stored, for at most `limit`. Used before
    /// the process ends: a picture that has already cost a call should not be lost.
    pub async fn wait_idle(&self, limit: Duration) {
        let idle = async {
            self.shared.single_flight.wait_idle().await;
            self.shared.event_tasks.close();
            self.shared.event_tasks.wait().await;
            self.shared.store.wait_idle().await;
        };
        if time::timeout(limit, idle).await.is_err() {
            tracing::warn!(
                "some fetches did not finish in time; their pictures are fetched again later"
            );
        }
    }
}

impl Shared {
    /// Saves the admission state of `instance`. This happens before a granted call is made: a crash
    /// in between must not refund the call.
    async fn save_admission(&self, instance: &Arc<Instance>) {
        let instance = instance.clone();
        let name = instance.name().clone();
        let state = move || serde_json::to_vec(&instance.admission().save()).unwrap_or_default();
        self.store.save_state(name, state).await;
    }
}
