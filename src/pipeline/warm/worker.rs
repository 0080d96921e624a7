//! The task of one run: fetches up to [`CONCURRENCY`] faces at once, and waits when the budget or a
//! pause requires it.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::{
    job::{DAY, Job},
    progress::{Progress, RunState, StopReason},
};
use crate::{
    avatar::{Ask, Outcome, Plan, Subject, Trouble, decide},
    clock::Timestamp,
    limits::Priority,
    pipeline::{
        Faces, FetchResult, Instance,
        fetch::{Cause, PrefetchedAnswer},
        target::Target,
    },
    sync::lock,
    upstream::{ChatList, Page, VendorCall, VendorFailure},
};

/// The worker of one run.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) faces: Faces,
    pub(super) instance: Arc<Instance>,
    pub(super) progress: Arc<Mutex<Progress>>,
    pub(super) tasks: TaskTracker,
}

/// The fetches of a run. Dropping it ends them.
type Fetches = JoinSet<Result<(), StopReason>>;

/// A page of the vendor's list of chats.
struct ChatPage {
    chats: ChatList,
    asked_at: Timestamp,
    is_paged: bool,
    /// The most rows that the page could have.
    limit: usize,
}

/// The end of one attempt to fetch a face.
enum Attempt {
    /// The face is finished, with the outcome for [`Progress::outcomes`].
    Done(&'static str),
    /// The instance may not be asked before `until`.
    Blocked { until: Timestamp, why: Trouble },
}

/// Fetches at once. The budget sets the pace; this number covers the duration of a fetch.
const CONCURRENCY: usize = 4;
/// Chats per call. The account asks WhatsApp for the pictures of all chats of a page at once.
const PAGE_SIZE: usize = 10;
/// Attempts to get a page of the list, and the delay between them.
const LIST_ATTEMPTS: usize = 3;
const RETRY_DELAY: Duration = Duration::from_secs(30);

// === impl Worker ===

impl Worker {
    pub(super) async fn run(self, job: Job) {
        self.faces.save_job(&self.instance, Some(&job)).await;
        let started_at = self.progress().started_at;
        let clock = &self.faces.shared.clock;
        let end = tokio::select! {
            end = self.fetch_all(job) => end,
            () = clock.sleep_until(started_at + DAY) => Err(StopReason::TimeLimit),
        };
        self.faces.save_job(&self.instance, None).await;
        let mut progress = self.progress();
        progress.ended_at = Some(self.faces.now());
        progress.state = match end {
            Ok(()) => RunState::Done,
            Err(reason) => RunState::Stopped(reason),
        };
        tracing::info!(
            instance = %self.instance.name(),
            faces = progress.done,
            outcomes = %Counts(&progress.outcomes),
            stopped = end.err().map(|reason| reason.to_string()),
            "the warm-up ended"
        );
    }

    async fn fetch_all(&self, job: Job) -> Result<(), StopReason> {
        let mut fetches = JoinSet::new();
        match job {
            Job::List(subjects) => {
                for subject in subjects {
                    self.spawn(&mut fetches, subject, None).await?;
                }
            }
            Job::Chats(top) => self.fetch_chats(&mut fetches, top).await?,
        }
        while !fetches.is_empty() {
            join_next(&mut fetches).await?;
        }
        Ok(())
    }

    /// Fetches the faces of the `top` latest chats, page by page.
    async fn fetch_chats(&self, fetches: &mut Fetches, top: usize) -> Result<(), StopReason> {
        let (mut seen, mut offset, mut cursor) = (HashSet::new(), 0, None);
        while seen.len() < top {
            let limit = PAGE_SIZE.min(top - seen.len());
            let page = self
                .chat_page(Page {
                    offset,
                    limit,
                    cursor,
                })
                .await?;
            cursor = page.chats.cursor;
            for (lid, number) in page.chats.same {
                let faces = &self.faces;
                faces.note_number(&self.instance, lid, Some(number)).await;
            }
            // Chats move between two calls, so a chat may be on two pages.
            for chat in page.chats.chats {
                let subject = Subject::Chat(chat.jid);
                if seen.len() < top && seen.insert(subject) {
                    let prefetched = chat.face.map(|answer| PrefetchedAnswer {
                        answer,
                        asked_at: page.asked_at,
                    });
                    self.spawn(fetches, subject, prefetched).await?;
                }
            }
            offset += page.chats.rows;
            if !page.is_paged || page.chats.rows < page.limit {
                break;
            }
        }
        self.progress().total = seen.len();
        Ok(())
    }

    /// A page of the vendor's list. Waits for the budget, and tries again after trouble.
    async fn chat_page(&self, page: Page) -> Result<ChatPage, StopReason> {
        for _ in 0..LIST_ATTEMPTS {
            let provider = self.instance.provider();
            let list = provider.chat_list_call(self.instance.account(), &page);
            let list = list.ok_or(StopReason::NoChatList)?;
            for _ in 0..list.cost {
                self.take_call().await?;
            }
            self.instance.save_admission(&self.faces.shared.store).await;
            let (asked_at, is_paged) = (self.faces.now(), list.is_paged);
            let limit = list.limit;
            match self.call_list(list.call).await {
                Ok(chats) => {
                    return Ok(ChatPage {
                        chats,
                        asked_at,
                        is_paged,
                        limit,
                    });
                }
                Err(failure) => self.wait_after(&failure).await?,
            }
        }
        Err(StopReason::ListUnavailable)
    }

    async fn call_list(&self, call: VendorCall) -> Result<ChatList, VendorFailure> {
        match self.instance.client.call(&call).await {
            Ok(reply) => self.instance.provider().read_chat_list(&reply),
            Err(error) => {
                let message = "the vendor cannot be reached";
                tracing::warn!(instance = %self.instance.name(), %error, "{message}");
                Err(VendorFailure::new(Trouble::VendorError, message))
            }
        }
    }

    /// Records the trouble with the list, and waits until it may be over.
    async fn wait_after(&self, failure: &VendorFailure) -> Result<(), StopReason> {
        let account = self.instance.label();
        let shared = &self.faces.shared;
        shared
            .metrics
            .record_transaction(account, failure.why.as_str());
        tracing::warn!(
            instance = %self.instance.name(),
            outcome = failure.why.as_str(),
            detail = %failure.detail,
            "the vendor did not return its list of chats"
        );
        let paused_until = self.instance.share_trouble(failure, self.faces.now()).await;
        self.instance.save_admission(&shared.store).await;
        let until = paused_until.unwrap_or(self.faces.now() + RETRY_DELAY);
        self.wait(until, failure.why).await
    }

    /// Takes a call from the budget, and waits for it if necessary.
    async fn take_call(&self) -> Result<(), StopReason> {
        while let Err(refusal) = self.instance.take_call(Priority::Background, false).await {
            self.wait(refusal.retry_at, refusal.why).await?;
        }
        Ok(())
    }

    /// Fetches a face in a task of its own, as soon as fewer than [`CONCURRENCY`] run.
    async fn spawn(
        &self,
        fetches: &mut Fetches,
        subject: Subject,
        prefetched: Option<PrefetchedAnswer>,
    ) -> Result<(), StopReason> {
        while fetches.len() >= CONCURRENCY {
            join_next(fetches).await?;
        }
        let worker = self.clone();
        let fetch = async move { worker.fetch(subject, prefetched).await };
        fetches.spawn(self.tasks.track_future(fetch));
        Ok(())
    }

    /// Fetches a face, however often the instance has to be waited for.
    async fn fetch(
        &self,
        subject: Subject,
        mut prefetched: Option<PrefetchedAnswer>,
    ) -> Result<(), StopReason> {
        loop {
            match self.try_fetch(subject, prefetched.take()).await {
                Attempt::Done(outcome) => {
                    self.count(outcome);
                    return Ok(());
                }
                Attempt::Blocked { until, why } => self.wait(until, why).await?,
            }
        }
    }

    async fn try_fetch(&self, subject: Subject, prefetched: Option<PrefetchedAnswer>) -> Attempt {
        let faces = &self.faces;
        let Ok(target) = Target::new(&self.instance, subject) else {
            return Attempt::Done("unsupported");
        };
        let cached = faces.shared.store.look_up(&target.key).await;
        let entry = cached.entry().map(|entry| &**entry);
        let plan = decide(entry, Ask::View, faces.now(), faces.policy());
        if plan == Plan::Serve {
            return Attempt::Done("known");
        }
        match faces.join(&target, cached, Ask::View, Cause::WarmUp, prefetched) {
            Ok((flight, _)) => Attempt::after(&flight.wait().await),
            Err(_) => Attempt::Done("unsupported"),
        }
    }

    async fn wait(&self, until: Timestamp, why: Trouble) -> Result<(), StopReason> {
        if why == Trouble::Auth {
            return Err(StopReason::BadCredential);
        }
        self.set_state(RunState::Waiting { until, why });
        let wait = until.since(self.faces.now());
        self.faces.shared.clock.sleep(wait).await;
        self.set_state(RunState::Running);
        Ok(())
    }

    /// Sets the state of a run that has not ended. A fetch may outlive its run by a moment.
    fn set_state(&self, state: RunState) {
        let mut progress = self.progress();
        if progress.ended_at.is_none() {
            progress.state = state;
        }
    }

    fn count(&self, outcome: &'static str) {
        let mut progress = self.progress();
        progress.done += 1;
        *progress.outcomes.entry(outcome).or_default() += 1;
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }
}

/// Waits for the end of one fetch. A fetch that panicked does not end the run.
async fn join_next(fetches: &mut Fetches) -> Result<(), StopReason> {
    match fetches.join_next().await {
        Some(Ok(end)) => end,
        Some(Err(_)) | None => Ok(()),
    }
}

impl Attempt {
    fn after(result: &FetchResult) -> Self {
        match (result.outcome, result.retry_at) {
            (Outcome::Trouble(why), Some(until)) if blocks_instance(why) => {
                Attempt::Blocked { until, why }
            }
            (outcome, _) => Attempt::Done(outcome.as_str()),
        }
    }
}

/// Whether the trouble concerns every face of the instance.
fn blocks_instance(why: Trouble) -> bool {
    match why {
        Trouble::OverBudget | Trouble::RateLimited | Trouble::SessionDown | Trouble::Auth => true,
        Trouble::VendorError => false,
    }
}

/// The outcomes of a run, for the log.
struct Counts<'a>(&'a BTreeMap<&'static str, usize>);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (outcome, count)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{count} {outcome}")?;
        }
        Ok(())
    }
}
