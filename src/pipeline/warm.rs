//! Warm-up: many faces fetched before anybody looks at them, in the background priority of the budget.
//!
//! A run has its faces from a list, or from the vendor's own list of chats. It skips those that are
//! known, and waits wherever the budget or a pause tells it to. What it is to do is noted in the
//! cache directory until it is done, so that it goes on after a restart; what it did, the cache knows.

mod job;
mod worker;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use job::Note;
pub use job::{Job, Schedule};
use worker::Worker;

use super::{Faces, Instance};
use crate::{avatar::Trouble, clock::Timestamp};

/// A run takes no longer, and the schedule begins one so often.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The runs of all instances, one at a time for each. They end when this is dropped.
#[derive(Clone, Debug)]
pub struct Warmups {
    faces: Faces,
    shared: Arc<Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    /// Held for a look, never across an await.
    runs: Mutex<BTreeMap<Arc<str>, Run>>,
    schedules: Mutex<Vec<AbortOnDropHandle<()>>>,
    /// Every task, so that their end can be waited for.
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Run {
    progress: Arc<Mutex<Progress>>,
    _task: AbortOnDropHandle<()>,
}

/// How a run is getting on.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What it does now.
    pub state: State,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Faces, as far as that is known.
    pub total: usize,
    /// Faces that are settled.
    pub done: usize,
    /// Of those, how many ended how: an outcome, `known` for faces that had not to be asked for, and
    /// `unsupported` for those that the vendor cannot be asked for.
    pub outcomes: BTreeMap<&'static str, usize>,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It fetches.
    Running,
    /// It waits for the budget, or for the end of a pause.
    Waiting(Timestamp, Trouble),
    /// Every face is settled.
    Done,
    /// It gave up.
    Stopped(StopReason),
}

/// Why a run gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The vendor does not say which chats there are.
    #[error("this vendor's API has no list of chats; give a list of JIDs instead")]
    NoChats,
    /// The credential is refused.
    #[error("the vendor refuses the credential; check this instance's token")]
    Refused,
    /// The list of chats could not be had.
    #[error("the vendor's list of chats could not be had; the log says why")]
    NoList,
    /// It took too long.
    #[error("it took longer than a day; raise the instance's lookups, or ask for fewer faces")]
    TooLong,
}

/// A run of this instance is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this instance is being warmed already")]
pub struct AlreadyRunning;

// === impl Warmups ===

impl Warmups {
    /// No runs yet.
    pub fn new(faces: Faces) -> Self {
        Self {
            faces,
            shared: Arc::default(),
        }
    }

    /// Begins a run.
    pub fn start(&self, instance: &Arc<Instance>, job: Job) -> Result<(), AlreadyRunning> {
        let mut runs = self.runs();
        if runs.get(instance.name()).is_some_and(Run::is_running) {
            return Err(AlreadyRunning);
        }
        let worker = Worker {
            faces: self.faces.clone(),
            instance: instance.clone(),
            progress: Arc::new(Mutex::new(Progress::of(&job, self.faces.now()))),
            tasks: self.shared.tasks.clone(),
        };
        let run = Run {
            progress: worker.progress.clone(),
            _task: AbortOnDropHandle::new(self.shared.tasks.spawn(worker.run(job))),
        };
        runs.insert(instance.name().clone(), run);
        Ok(())
    }

    /// Goes on with the run that was under way when the process before ended, if there was one.
    pub fn resume(&self, instance: &Arc<Instance>) {
        let note = self.faces.shared.store.load_state(&note_name(instance));
        let note: Option<Note> = note.and_then(|note| serde_json::from_slice(&note).ok());
        if let Some(job) = note.and_then(Note::job) {
            tracing::info!(instance = %instance.name(), "the warm-up that was under way goes on");
            // Nothing is under way at the start.
            let _ = self.start(instance, job);
        }
    }

    /// Begins a run every day.
    pub fn daily(&self, instance: &Arc<Instance>, schedule: Schedule) {
        let (warmups, instance) = (Arc::downgrade(&self.shared), instance.clone());
        let faces = self.faces.clone();
        let task = self.shared.tasks.spawn(async move {
            loop {
                let at = schedule.next(faces.now());
                faces.shared.clock.sleep_until(at).await;
                let Some(shared) = warmups.upgrade() else {
                    return;
                };
                let faces = faces.clone();
                let begun = Warmups { faces, shared }.start(&instance, Job::Chats(schedule.top));
                if let Err(error) = begun {
                    tracing::warn!(instance = %instance.name(), %error, "the daily warm-up was left out");
                }
            }
        });
        let mut schedules = lock(&self.shared.schedules);
        schedules.push(AbortOnDropHandle::new(task));
    }

    /// How the newest run of each instance is getting on.
    pub fn progress(&self) -> Vec<(Arc<str>, Progress)> {
        let runs = self.runs();
        let copy = |(name, run): (&Arc<str>, &Run)| (name.clone(), lock(&run.progress).clone());
        runs.iter().map(copy).collect()
    }

    /// Ends an instance's run for good, and returns whether there was one.
    pub async fn cancel(&self, instance: &Instance) -> bool {
        let run = self.runs().remove(instance.name());
        let was_running = run.is_some_and(|run| run.is_running());
        if was_running {
            self.faces.noted(instance, None).await;
        }
        was_running
    }

    /// Ends all runs, so that others can go on with them.
    pub fn stop(&self) {
        lock(&self.shared.schedules).clear();
        self.runs().clear();
    }

    /// Ends all runs, and returns when they have ended.
    pub async fn stop_and_wait(&self) {
        self.stop();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Returns when what the runs fetched has landed.
    pub async fn wait_idle(&self) {
        self.faces.wait_idle(DAY).await;
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Run>> {
        lock(&self.shared.runs)
    }
}

impl Run {
    fn is_running(&self) -> bool {
        lock(&self.progress).ended.is_none()
    }
}

impl Faces {
    /// Notes what a run of `instance` is to do; nothing, once it is done.
    async fn noted(&self, instance: &Instance, job: Option<&Job>) {
        let note = job.map(Note::of);
        let text = serde_json::to_vec(&note).unwrap_or_default();
        let name = note_name(instance).into();
        self.shared.store.save_state(name, move || text).await;
    }
}

/// No instance's name has a dot in it.
fn note_name(instance: &Instance) -> String {
    format!("{}.warm", instance.name())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Progress ===

impl Progress {
    fn of(job: &Job, now: Timestamp) -> Self {
        Self {
            state: State::Running,
            started: now,
            ended: None,
            total: match job {
                Job::List(subjects) => subjects.len(),
                Job::Chats(top) => *top,
            },
            done: 0,
            outcomes: BTreeMap::new(),
        }
    }
}
