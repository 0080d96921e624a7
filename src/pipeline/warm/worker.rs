//! One run at work: fetches up to four faces at once and waits when the budget or a pause requires it.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::{DAY, Job, Progress, State, StopReason, lock};
use crate::{
    avatar::{Ask, Outcome, Plan, Subject, Trouble, decide},
    clock::Timestamp,
    limits::Priority,
    pipeline::{Faces, Instance, Target, fetch::PrefetchedAnswer},
    upstream::{ChatList, ClientError, Page, VendorFailure},
};

/// One run.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) faces: Faces,
    pub(super) instance: Arc<Instance>,
    pub(super) progress: Arc<Mutex<Progress>>,
    pub(super) tasks: TaskTracker,
}

type Fetches = JoinSet<Result<(), StopReason>>;

/// Faces at once. The budget sets the pace; this only covers the time that answers take.
const CONCURRENCY: usize = 4;
/// Chats asked for at once: each makes the account ask WhatsApp for a picture, all at the same time.
const PAGE_SIZE: usize = 10;
/// A list that cannot be had is asked for so often.
const LIST_ATTEMPTS: usize = 3;
const RETRY_DELAY: Duration = Duration::from_secs(30);

// === impl Worker ===

impl Worker {
    pub(super) async fn run(self, job: Job) {
        self.faces.noted(&self.instance, Some(&job)).await;
        let started = self.progress().started;
        let ended = tokio::select! {
            ended = self.work(job) => ended,
            () = self.faces.shared.clock.sleep_until(started + DAY) => Err(StopReason::TooLong),
        };
        self.faces.noted(&self.instance, None).await;
        let mut progress = self.progress();
        progress.ended = Some(self.faces.now());
        progress.state = match ended {
            Ok(()) => State::Done,
            Err(stopped) => State::Stopped(stopped),
        };
        tracing::info!(
            instance = %self.instance.name(),
            faces = progress.done,
            outcomes = %Counts(&progress.outcomes),
            stopped = ended.err().map(|stopped| stopped.to_string()),
            "the warm-up ended"
        );
    }

    async fn work(&self, job: Job) -> Result<(), StopReason> {
        let mut fetches = JoinSet::new();
        match job {
            Job::List(subjects) => {
                for subject in subjects {
                    self.spawn(&mut fetches, subject, None).await?;
                }
            }
            Job::Chats(top) => self.chats(&mut fetches, top).await?,
        }
        while let Some(done) = fetches.join_next().await {
            done.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    async fn chats(&self, fetches: &mut Fetches, top: usize) -> Result<(), StopReason> {
        let (mut seen, mut offset) = (HashSet::new(), 0);
        while seen.len() < top {
            let limit = PAGE_SIZE.min(top - seen.len());
            let (asked, list, is_paged) = self.list(Page { offset, limit }).await?;
            // Chats move while pages are turned: the same one may come again.
            for chat in list.chats {
                let subject = Subject::Chat(chat.jid);
                if seen.len() < top && seen.insert(subject) {
                    let prefetched = chat.face.map(|found| PrefetchedAnswer { found, asked });
                    self.spawn(fetches, subject, prefetched).await?;
                }
            }
            offset += list.rows;
            if !is_paged || list.rows < limit {
                break;
            }
        }
        self.progress().total = seen.len();
        Ok(())
    }

    /// A page of the vendor's list, and when it was asked for.
    async fn list(&self, page: Page) -> Result<(Timestamp, ChatList, bool), StopReason> {
        let provider = self.instance.provider();
        let lister = provider.chat_lister().ok_or(StopReason::NoChats)?;
        for _ in 0..LIST_ATTEMPTS {
            let list = lister.chat_list_call(self.instance.account(), page);
            for _ in 0..list.cost {
                self.admitted().await?;
            }
            self.faces.shared.remember(&self.instance).await;
            let asked = self.faces.now();
            let reply = self.instance.client.call(list.call).await;
            let failure = match reply.map(|reply| lister.read_chat_list(&reply)) {
                Ok(Ok(chats)) => return Ok((asked, chats, list.is_paged)),
                Ok(Err(failure)) => failure,
                Err(failed) => self.unreachable(&failed),
            };
            self.troubled(&failure).await?;
        }
        Err(StopReason::NoList)
    }

    fn unreachable(&self, failed: &ClientError) -> VendorFailure {
        tracing::warn!(instance = %self.instance.name(), error = %failed, "the vendor cannot be reached");
        VendorFailure::new(Trouble::VendorError, "the vendor cannot be reached")
    }

    /// Tells of trouble with the list, and waits until it can be over.
    async fn troubled(&self, failure: &VendorFailure) -> Result<(), StopReason> {
        let vendor = self.instance.vendor().as_str();
        self.faces
            .shared
            .metrics
            .asked(vendor, failure.why.as_str());
        tracing::warn!(
            instance = %self.instance.name(),
            outcome = failure.why.as_str(),
            detail = failure.detail,
            "asking the vendor for its chats brought no answer"
        );
        let admission = self.instance.admission();
        let paused = admission.record_trouble(failure.why, failure.retry_after);
        self.faces.shared.remember(&self.instance).await;
        let until = paused.unwrap_or(self.faces.now() + RETRY_DELAY);
        self.wait(until, failure.why).await
    }

    /// Takes a call from the budget, as soon as there is one.
    async fn admitted(&self) -> Result<(), StopReason> {
        while let Err(refusal) = self.instance.admission().admit(Priority::Background, false) {
            self.wait(refusal.retry_at, refusal.why).await?;
        }
        Ok(())
    }

    /// Fetches a face in a task of its own, as soon as fewer than `CONCURRENCY` run.
    async fn spawn(
        &self,
        fetches: &mut Fetches,
        subject: Subject,
        prefetched: Option<PrefetchedAnswer>,
    ) -> Result<(), StopReason> {
        while fetches.len() >= CONCURRENCY {
            if let Some(done) = fetches.join_next().await {
                done.unwrap_or(Ok(()))?;
            }
        }
        let worker = self.clone();
        let fetch = async move { worker.fetch(subject, prefetched).await };
        fetches.spawn(self.tasks.track_future(fetch));
        Ok(())
    }

    async fn fetch(
        &self,
        subject: Subject,
        mut prefetched: Option<PrefetchedAnswer>,
    ) -> Result<(), StopReason> {
        let Ok(target) = Target::new(&self.instance, subject) else {
            self.settled("unsupported");
            return Ok(());
        };
        let faces = &self.faces;
        loop {
            let entry = faces.shared.store.find(&target.key).await;
            let plan = decide(entry.as_deref(), Ask::View, faces.now(), faces.policy());
            if matches!(plan, Plan::Serve) {
                self.settled("known");
                return Ok(());
            }
            let joined = faces.join(&target, Ask::View, Priority::Background, prefetched.take());
            let Ok((flight, _)) = joined else {
                self.settled("unsupported");
                return Ok(());
            };
            let result = flight.wait().await;
            match (result.outcome, result.retry_at) {
                (
                    Outcome::Trouble(
                        why @ (Trouble::OverBudget
                        | Trouble::RateLimited
                        | Trouble::SessionDown
                        | Trouble::Auth),
                    ),
                    Some(until),
                ) => self.wait(until, why).await?,
                (outcome, _) => {
                    self.settled(outcome.as_str());
                    return Ok(());
                }
            }
        }
    }

    async fn wait(&self, until: Timestamp, why: Trouble) -> Result<(), StopReason> {
        if why == Trouble::Auth {
            return Err(StopReason::Refused);
        }
        self.is_now(State::Waiting(until, why));
        self.faces.shared.clock.sleep_until(until).await;
        self.is_now(State::Running);
        Ok(())
    }

    /// A fetch may still be in flight after the run has ended.
    fn is_now(&self, state: State) {
        let mut progress = self.progress();
        if progress.ended.is_none() {
            progress.state = state;
        }
    }

    fn settled(&self, outcome: &'static str) {
        let mut progress = self.progress();
        progress.done += 1;
        *progress.outcomes.entry(outcome).or_default() += 1;
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }
}

struct Counts<'a>(&'a BTreeMap<&'static str, usize>);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (outcome, count)) in self.0.iter().enumerate() {
            let glue = if index == 0 { "" } else { ", " };
            write!(f, "{glue}{count} {outcome}")?;
        }
        Ok(())
    }
}
