//! The pipeline as the rest of the program sees it. Each step adds its own functions, in the file of that step.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::time;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    changes::Changes,
    faces_in_trouble::{FaceInTrouble, FacesInTrouble},
    instance::Instance,
    memory_copies::Copies,
    patience::LongWaits,
    recent_updates::RecentUpdates,
    settings::Settings,
    shared::Shared,
    single_flight::SingleFlight,
};
use crate::{
    avatar::{Digest, Policy},
    clock::{Clock, Timestamp},
    fleet::Fleet,
    images::Thumbnailer,
    store::{Health, KeyLocks, Owner, Store},
    telemetry::Metrics,
};

/// Looks faces up and fetches them. Clones share all state.
#[derive(Clone, Debug)]
pub struct Faces {
    pub(super) shared: Arc<Shared>,
}

/// The stripes of [`Shared::key_locks`]: more than there usually are changes at once.
const STRIPES: usize = 64;

impl Faces {
    /// A pipeline over `store`.
    pub fn new(
        store: Arc<Store>,
        fleet: Option<Fleet>,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        thumbnailer: Thumbnailer,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                fleet,
                single_flight: SingleFlight::default(),
                settings,
                clock,
                metrics,
                thumbnailer,
                key_locks: Arc::new(KeyLocks::new(STRIPES)),
                recent: RecentUpdates::default(),
                in_trouble: FacesInTrouble::default(),
                copies: Copies::default(),
                changes: Changes::default(),
                event_tasks: TaskTracker::new(),
                unsent: Arc::default(),
                long_waits: LongWaits::default(),
                shutdown: CancellationToken::new(),
            }),
        }
    }

    /// The same pipeline with other settings. It shares the store, the fetches in flight and the locks.
    pub fn with_settings(&self, settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                ..Shared::clone(&self.shared)
            }),
        }
    }

    /// Sets how copies of a picture are removed from memory, outside of the store.
    pub fn on_removal(&self, remove: impl Fn(&Digest) + Send + Sync + 'static) {
        self.shared.copies.set(remove);
    }

    /// Cancelled when the process is about to end. The owner of the process cancels it.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shared.shutdown
    }

    /// How long answers are valid.
    pub fn policy(&self) -> &Policy {
        &self.shared.settings.policy
    }

    /// The clock of the pipeline.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
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

    /// The fleet, if this replica is a member of one.
    pub fn fleet(&self) -> Option<&Fleet> {
        self.shared.fleet.as_ref()
    }

    /// Runs the maintenance of the cache without its pauses, to its end.
    pub async fn run_maintenance(&self) {
        self.shared.store.run_maintenance().await;
    }

    /// The faces that changed last, newest first. The first call adds those from before the start.
    pub async fn recent_updates(&self) -> Vec<(Owner, Timestamp)> {
        self.shared.recent.all(&self.shared.store).await
    }

    /// The faces whose last fetch ended in trouble since the start, newest first.
    pub fn in_trouble(&self) -> Vec<FaceInTrouble> {
        self.shared.in_trouble.all()
    }

    /// Lifts the pause of `instance`, and saves that for the next process. Returns whether there was one.
    pub async fn lift_pause(&self, instance: &Arc<Instance>) -> bool {
        let now = self.now();
        // First: the fleet would pause this replica again.
        self.share_lifted_pause(instance).await;
        let was_paused = instance.admission().lift_pause(now);
        if was_paused {
            tracing::warn!(instance = %instance.name(), "the operator lifted the pause");
            instance.save_admission(&self.shared.store).await;
        }
        was_paused
    }

    /// Hands the wanted faces of `instance` over to this pipeline, after a reload.
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
