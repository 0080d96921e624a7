//! Warm-up: fetches many faces before they are requested, with the background priority of the budget.
//!
//! A run takes its faces from a list, or from the vendor's list of chats. It skips faces with a fresh
//! entry, and waits when the budget is used up or the instance pauses. Its job is saved in the cache
//! directory until it ends, so that the run continues after a restart. Its results are the entries in
//! the cache.

mod job;
mod progress;
mod worker;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use job::{DAY, SavedJob};
pub use job::{Job, Schedule};
pub use progress::{Progress, RunState, StopReason};
use worker::Worker;

use super::{Faces, Instance};
use crate::sync::lock;

/// The runs of all instances, at most one at a time for each. Dropping the last clone ends them.
#[derive(Clone, Debug)]
pub struct Warmups {
    faces: Faces,
    runs: Arc<Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    /// The latest run of each instance. Held for a few instructions, never across an await.
    latest: Mutex<BTreeMap<Arc<str>, Run>>,
    schedules: Mutex<Vec<AbortOnDropHandle<()>>>,
    /// All tasks, so that [`Warmups::stop_and_wait`] can wait for their end.
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Run {
    progress: Arc<Mutex<Progress>>,
    _task: AbortOnDropHandle<()>,
}

/// The instance has a run that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a warm-up of this instance is already running")]
pub struct AlreadyRunning;

// === impl Warmups ===

impl Warmups {
    /// No runs.
    pub fn new(faces: Faces) -> Self {
        Self {
            faces,
            runs: Arc::default(),
        }
    }

    /// Starts a run.
    pub fn start(&self, instance: &Arc<Instance>, job: Job) -> Result<(), AlreadyRunning> {
        let mut latest = self.latest();
        if latest.get(instance.name()).is_some_and(Run::is_running) {
            return Err(AlreadyRunning);
        }
        let worker = Worker {
            faces: self.faces.clone(),
            instance: instance.clone(),
            progress: Arc::new(Mutex::new(Progress::new(&job, self.faces.now()))),
            tasks: self.runs.tasks.clone(),
        };
        let run = Run {
            progress: worker.progress.clone(),
            _task: AbortOnDropHandle::new(self.runs.tasks.spawn(worker.run(job))),
        };
        latest.insert(instance.name().clone(), run);
        Ok(())
    }

    /// Continues the run that the end of the last process interrupted, if there was one.
    pub fn resume(&self, instance: &Arc<Instance>) {
        if let Some(job) = self.saved_job(instance.name()) {
            tracing::info!(instance = %instance.name(), "continuing the interrupted warm-up");
            // No run of the instance has been started yet, so there is no error.
            let _ = self.start(instance, job);
        }
    }

    /// Whether the end of the last process interrupted a run of the instance called `name`.
    pub fn is_interrupted(&self, name: &str) -> bool {
        self.saved_job(name).is_some()
    }

    fn saved_job(&self, name: &str) -> Option<Job> {
        let saved = self.faces.shared.store.load_state(&state_file(name))?;
        let saved = serde_json::from_slice::<Option<SavedJob>>(&saved).ok()?;
        saved?.into_job()
    }

    /// Starts a run every day for each of the `instances` that there are then.
    pub fn daily(
        &self,
        instances: impl Fn() -> Vec<Arc<Instance>> + Send + 'static,
        schedule: Schedule,
    ) {
        let runs = Arc::downgrade(&self.runs);
        let faces = self.faces.clone();
        let task = self.runs.tasks.spawn(async move {
            loop {
                let at = schedule.next(faces.now());
                faces.shared.clock.sleep_until(at).await;
                let Some(runs) = runs.upgrade() else {
                    return;
                };
                let faces = faces.clone();
                let warmups = Warmups { faces, runs };
                for instance in instances() {
                    if !instance.may_warm_up(at).await {
                        continue;
                    }
                    let job = Job::Chats(schedule.top);
                    if let Err(error) = warmups.start(&instance, job) {
                        tracing::warn!(instance = %instance.name(), %error, "skipping the daily warm-up");
                    }
                }
            }
        });
        lock(&self.runs.schedules).push(AbortOnDropHandle::new(task));
    }

    /// The progress of the latest run of each instance.
    pub fn progress(&self) -> Vec<(Arc<str>, Progress)> {
        let latest = self.latest();
        let runs = latest.iter();
        runs.map(|(name, run)| (name.clone(), lock(&run.progress).clone()))
            .collect()
    }

    /// Ends the run of an instance for good. Returns whether one was running.
    pub async fn cancel(&self, instance: &Instance) -> bool {
        let run = self.latest().remove(instance.name());
        let was_running = run.is_some_and(|run| run.is_running());
        if was_running {
            self.faces.save_job(instance, None).await;
        }
        was_running
    }

    /// Ends all runs. Their jobs stay saved, so that they can be resumed.
    pub fn stop(&self) {
        lock(&self.runs.schedules).clear();
        self.latest().clear();
    }

    /// Ends all runs as [`Warmups::stop`] does, and waits for the end of their tasks.
    pub async fn stop_and_wait(&self) {
        self.stop();
        self.runs.tasks.close();
        self.runs.tasks.wait().await;
    }

    /// Waits until the fetches in flight are stored.
    pub async fn wait_idle(&self) {
        self.faces.wait_idle(DAY).await;
    }

    fn latest(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Run>> {
        lock(&self.runs.latest)
    }
}

impl Run {
    fn is_running(&self) -> bool {
        lock(&self.progress).ended_at.is_none()
    }
}

impl Faces {
    /// Saves the job of a run, or `None` at its end.
    async fn save_job(&self, instance: &Instance, job: Option<&Job>) {
        let saved = job.map(SavedJob::new);
        let text = serde_json::to_vec(&saved).unwrap_or_default();
        let name = state_file(instance.name()).into();
        self.shared.store.save_state(name, move || text).await;
    }
}

/// The name of the state file. No instance's name has a dot in it, so it names no other file.
fn state_file(instance: &str) -> String {
    format!("{instance}.warm")
}
