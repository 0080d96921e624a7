//! One upstream transaction, from the budget to the cache:
//!
//! 1. The budget, and the instance's pause.
//! 2. Resolve: ask the vendor.
//! 3. Download: follow its link, unless the link's name says that the picture is the one we have.
//!    A link that has expired or leads nowhere is asked for once more, past the vendor's cache.
//! 4. Validate: bytes become a picture, or are nothing.
//! 5. Absorb the answer into the entry, and store it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{self, Instant};
use tracing::{Instrument, Span};

use super::{FetchResult, Instance, Shared};
use crate::{
    avatar::{Answer, Ask, Empty, Entry, Key, Outcome, Picture, Report, Subject, Trouble, absorb},
    clock::Timestamp,
    limits::{NotAdmitted, Observation, Priority},
    store::Owner,
    telemetry::traces,
    upstream::{ClientError, Download, Link, Question, VendorAnswer, VendorFailure},
};

/// One transaction, ready to run.
pub(super) struct Fetch {
    pub(super) shared: Arc<Shared>,
    pub(super) instance: Arc<Instance>,
    pub(super) subject: Subject,
    pub(super) key: Key,
    pub(super) ask: Ask,
    pub(super) priority: Priority,
    /// What the vendor said of the face already, unasked.
    pub(super) prefetched: Option<PrefetchedAnswer>,
    /// Until when a person who waits is willing to wait for the budget.
    pub(super) patience: Instant,
}

/// A face that came along with a list, and when that was asked for.
pub(super) struct PrefetchedAnswer {
    pub(super) found: VendorAnswer,
    pub(super) asked: Timestamp,
}

/// Whether the vendor is to bypass its own cache.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    No,
    /// If there is budget for it; an ordinary look is better than none.
    IfLeft,
    /// An ordinary look would bring back what is known to be old.
    Needed,
}

/// The trouble that ended a fetch early.
struct FetchError {
    why: Trouble,
    /// How long the vendor wants to be left alone.
    retry_after: Option<Duration>,
    /// When asking again can succeed, if that is settled already.
    retry_at: Option<Timestamp>,
    detail: String,
}

/// The link leads nowhere any more.
struct Gone;

impl Fetch {
    pub(super) async fn run(mut self) -> FetchResult {
        let entry = self.shared.store.find(&self.key).await;
        let mut status = None;
        let refresh = self.refresh(entry.as_deref());
        if let Some(PrefetchedAnswer { found, asked }) = self.prefetched.take()
            && refresh != Refresh::Needed
        {
            let answer = self.followed(found, entry.as_deref(), &mut status).await;
            return self.settle(entry, asked, answer, status).await;
        }
        let refresh = match self.granted(refresh).await {
            Ok(refresh) => refresh,
            Err(error) => return self.refused(entry, &error),
        };
        let asked_at = self.shared.clock.now();
        let answer = self.answer(entry.as_deref(), refresh, &mut status).await;
        self.settle(entry, asked_at, answer, status).await
    }

    /// When somebody wants a fresh look; and with a vendor that keeps its answers for a day, when the
    /// last one was a null, and when the picture is said to have changed since.
    fn refresh(&self, entry: Option<&Entry>) -> Refresh {
        let last = entry.map(|entry| entry.last);
        let was_unknown = last.is_some_and(|last| last.outcome == Outcome::Empty(Empty::Unknown));
        let is_outdated = last.is_some_and(|last| last.is_outdated);
        let keeps_answers = self.instance.provider().has_answer_cache();
        if self.ask == Ask::Refresh || (is_outdated && keeps_answers) {
            Refresh::Needed
        } else if was_unknown && keeps_answers {
            Refresh::IfLeft
        } else {
            Refresh::No
        }
    }

    /// Takes a call from the budget; waits for it if somebody waits for the face anyway. Returns
    /// whether the vendor may be made to bypass its cache.
    async fn granted(&self, wanted: Refresh) -> Result<bool, FetchError> {
        let mut refresh = wanted != Refresh::No;
        loop {
            let Err(refusal) = self.instance.admission().admit(self.priority, refresh) else {
                self.shared.remember(&self.instance).await;
                return Ok(refresh);
            };
            let is_spent = refusal.why == Trouble::OverBudget;
            if is_spent && refresh && wanted == Refresh::IfLeft {
                refresh = false;
                continue;
            }
            let wake = Instant::now() + refusal.retry_at.since(self.shared.clock.now());
            let waits = is_spent && self.priority != Priority::Background && wake < self.patience;
            if !waits {
                return Err(FetchError::not_admitted(refusal));
            }
            time::sleep_until(wake).await;
        }
    }

    async fn answer(
        &self,
        entry: Option<&Entry>,
        refresh: bool,
        status: &mut Option<u16>,
    ) -> Result<Answer, FetchError> {
        let first = self.resolve(refresh, status).await?;
        self.followed(first, entry, status).await
    }

    /// The answer that `first` leads to; if that is a link which leads nowhere, the vendor's second.
    async fn followed(
        &self,
        first: VendorAnswer,
        entry: Option<&Entry>,
        status: &mut Option<u16>,
    ) -> Result<Answer, FetchError> {
        let known = entry.and_then(|entry| entry.picture.as_ref()?.name.as_deref());
        match self.fetch(first, known).await? {
            Ok(answer) => Ok(answer),
            Err(Gone) => {
                self.instance
                    .admission()
                    .admit(Priority::Refresh, true)
                    .map_err(|_| {
                        FetchError::by_vendor("the link has expired, and no refresh is left")
                    })?;
                self.shared.remember(&self.instance).await;
                let second = self.resolve(true, status).await?;
                self.fetch(second, known)
                    .await?
                    .map_err(|Gone| FetchError::by_vendor("the link is expired or gone, even anew"))
            }
        }
    }

    async fn resolve(
        &self,
        refresh: bool,
        status: &mut Option<u16>,
    ) -> Result<VendorAnswer, FetchError> {
        let question = Question {
            subject: self.subject,
            refresh,
        };
        let call = self
            .instance
            .call(self.subject, refresh)
            .map_err(|unsupported| FetchError::by_vendor(unsupported.to_string()))?;
        let began = Instant::now();
        let span = self.span("api");
        let reply = self
            .instance
            .client
            .call(call)
            .instrument(span.clone())
            .await;
        self.took("api", began, reply.as_ref().err());
        let reply = reply?;
        span.record(
            "http.response.status_code",
            i64::from(reply.status.as_u16()),
        );
        *status = Some(reply.status.as_u16());
        Ok(self.instance.provider().read_picture(&question, &reply)?)
    }

    /// From what the vendor found to an answer. `Gone` for a link that leads nowhere any more.
    async fn fetch(
        &self,
        found: VendorAnswer,
        known: Option<&str>,
    ) -> Result<Result<Answer, Gone>, FetchError> {
        let link = match found {
            VendorAnswer::Empty(empty) => return Ok(Ok(Answer::Empty(empty))),
            VendorAnswer::Bytes(bytes) => return Ok(Ok(Answer::Picture(validated(bytes)?, None))),
            VendorAnswer::Link(text) => Link::parse(&text).map_err(ClientError::BadLink)?,
        };
        if let Some(name) = known.filter(|known| link.name() == Some(known)) {
            return Ok(Ok(Answer::Unchanged(name.to_owned())));
        }
        let now = self.shared.clock.now();
        if link.expires().is_some_and(|expires| expires <= now) {
            return Ok(Err(Gone));
        }
        let began = Instant::now();
        let download = self.instance.client.download(&link);
        let downloaded = download.instrument(self.span("cdn")).await;
        self.took("cdn", began, downloaded.as_ref().err());
        Ok(match downloaded? {
            Download::Bytes(bytes) => Ok(Answer::Picture(
                validated(bytes)?,
                link.name().map(str::to_owned),
            )),
            Download::Gone => Err(Gone),
        })
    }

    fn span(&self, hop: &'static str) -> Span {
        traces::call(self.instance.vendor().as_str(), hop)
    }

    fn took(&self, hop: &'static str, began: Instant, failed: Option<&ClientError>) {
        let metrics = &self.shared.metrics;
        metrics.called(self.instance.vendor().as_str(), hop, began.elapsed());
        if let Some(ClientError::Forbidden(_)) = failed {
            metrics.blocked();
        }
    }

    async fn settle(
        &self,
        entry: Option<Arc<Entry>>,
        asked: Timestamp,
        answer: Result<Answer, FetchError>,
        status: Option<u16>,
    ) -> FetchResult {
        let now = self.shared.clock.now();
        let _turn = self.shared.turns.of(&self.key).await;
        // Another transaction may have landed meanwhile.
        let current = self.shared.store.find(&self.key).await.or(entry);
        let standing = self.instance.admission().status();
        let answer = match answer {
            Ok(answer) => self.believed(answer, current.as_deref()),
            Err(error) => {
                self.report(&error);
                let paused = self
                    .instance
                    .admission()
                    .record_trouble(error.why, error.retry_after);
                Answer::Trouble {
                    why: error.why,
                    retry_at: paused.or(error.retry_at),
                }
            }
        };
        let outcome = answer.outcome();
        let provider = self.instance.vendor().as_str();
        self.shared.metrics.asked(provider, outcome.as_str());
        let report = Report {
            asked_at: asked,
            answered_at: now,
            answer,
            jitter: jitter(),
        };
        let policy = &self.shared.settings.policy;
        let Some(next) = absorb(current.as_deref(), report, policy) else {
            self.shared.remember(&self.instance).await;
            return landed(current, outcome, status, false);
        };
        let is_new = |next: &Entry| {
            let digest = |entry: &Entry| entry.picture.as_ref().map(|kept| kept.picture.digest());
            let known = current.as_deref().and_then(digest);
            digest(next).is_some_and(|digest| known != Some(digest))
        };
        let is_new = is_new(&next);
        let next = Arc::new(next);
        let owner = Owner {
            instance: self.instance.name().clone(),
            subject: self.subject,
        };
        if is_new {
            self.shared.recent.record(&owner, now);
        }
        let noted = async {
            // A picture of an account that is as well as before teaches nothing that could not wait
            // for the next call's note.
            if outcome != Outcome::Picture || self.instance.admission().status() != standing {
                self.shared.remember(&self.instance).await;
            }
        };
        let put = self.shared.store.put(&self.key, &owner, next.clone());
        let (stored, ()) = tokio::join!(put, noted);
        landed(
            Some(next),
            outcome,
            status,
            stored && outcome == Outcome::Picture,
        )
    }

    /// The answer, unless it is one of too many empty ones: then it is a rate limit.
    fn believed(&self, answer: Answer, entry: Option<&Entry>) -> Answer {
        let had_picture = entry.is_some_and(|entry| entry.picture.is_some());
        let observation = match &answer {
            Answer::Picture(..) | Answer::Unchanged(_) => Observation::Picture,
            Answer::Empty(Empty::NotFound) | Answer::Trouble { .. } => return answer,
            Answer::Empty(_) if had_picture => Observation::Lost,
            Answer::Empty(_) => Observation::Empty,
        };
        match self
            .instance
            .admission()
            .record_answer(self.key, observation)
        {
            Ok(()) => answer,
            Err(retry_at) => {
                let error = FetchError {
                    why: Trouble::RateLimited,
                    ..FetchError::by_vendor("too many empty answers at once: visual rate limiting")
                };
                self.report(&error);
                Answer::Trouble {
                    why: error.why,
                    retry_at,
                }
            }
        }
    }

    /// No call was made, so there is nothing to absorb.
    fn refused(&self, entry: Option<Arc<Entry>>, error: &FetchError) -> FetchResult {
        FetchResult {
            retry_at: error.retry_at,
            ..landed(entry, Outcome::Trouble(error.why), None, false)
        }
    }

    fn report(&self, error: &FetchError) {
        tracing::warn!(
            instance = %self.instance.name(),
            provider = self.instance.vendor().as_str(),
            outcome = error.why.as_str(),
            detail = error.detail,
            "asking the vendor brought no answer"
        );
    }
}

fn landed(
    entry: Option<Arc<Entry>>,
    outcome: Outcome,
    status: Option<u16>,
    stored: bool,
) -> FetchResult {
    FetchResult {
        retry_at: entry.as_ref().map(|entry| entry.last.retry_at),
        entry,
        outcome,
        status,
        stored,
    }
}

fn validated(bytes: Bytes) -> Result<Picture, FetchError> {
    Picture::validate(bytes).map_err(|rejected| FetchError::by_vendor(rejected.to_string()))
}

/// A number from 0 to 1. Without randomness, retries only come back together.
fn jitter() -> f64 {
    getrandom::u32().map_or(0.0, |number| f64::from(number) / f64::from(u32::MAX))
}

// === impl FetchError ===

impl FetchError {
    fn by_vendor(detail: impl Into<String>) -> Self {
        Self {
            why: Trouble::VendorError,
            retry_after: None,
            retry_at: None,
            detail: detail.into(),
        }
    }

    fn not_admitted(refusal: NotAdmitted) -> Self {
        Self {
            why: refusal.why,
            retry_at: Some(refusal.retry_at),
            ..Self::by_vendor("the vendor was not asked")
        }
    }
}

impl From<ClientError> for FetchError {
    fn from(failed: ClientError) -> Self {
        FetchError::by_vendor(failed.to_string())
    }
}

impl From<VendorFailure> for FetchError {
    fn from(failure: VendorFailure) -> Self {
        Self {
            why: failure.why,
            retry_after: failure.retry_after,
            ..FetchError::by_vendor(failure.detail)
        }
    }
}
