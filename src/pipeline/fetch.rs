//! One fetch of a face, from the budget to the cache:
//!
//! 0. If the face is of a LID whose number is known, or the gateway says it now, the fetch of the number takes over
//!    (`identify.rs`).
//! 1. Take a call from the budget, unless the instance pauses.
//! 2. Resolve: ask the vendor for the picture or for its link (`ask_in_spellings.rs`, for a number with two spellings).
//! 3. Download the link, unless it is the stored picture's and nothing demands a look. If the link has
//!    expired or leads nowhere, the vendor is asked once more, past its own cache.
//! 4. Validate: the bytes become a `Picture`, or an error.
//! 5. Absorb the answer into the entry and store it (`settle.rs`).

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::{
    FetchResult, Instance,
    fetch_error::{FetchError, MissedPicture, NotAnswered, NotIdentified},
    other_accounts::OtherAccounts,
    queue::Wish,
    requester::Requester,
    shared::Shared,
    single_flight::Flight,
    take_call::CallGrant,
    target::Target,
};
use crate::{
    avatar::{
        Answer, Ask, Empty, Entry, Key, Outcome, Plan, Spelling, SpellingMemory, Subject, decide,
    },
    clock::Timestamp,
    fleet::Lease,
    limits::{Observation, Permit, Priority},
    store::CacheAnswer,
    telemetry::traces,
    upstream::{ClientError, Download, Link, Question, VendorAnswer, VendorCall, VendorReply},
};

/// One fetch.
pub(super) struct Fetch {
    pub(super) shared: Arc<Shared>,
    pub(super) instance: Arc<Instance>,
    /// The face as the vendor is asked for it.
    pub(super) subject: Subject,
    /// The person, under whose name the face is kept.
    pub(super) person: Subject,
    pub(super) key: Key,
    /// The answers to the spellings of the number: those known at the start, and those of this fetch.
    pub(super) known_spellings: SpellingMemory,
    pub(super) preferred_spelling: Option<Spelling>,
    pub(super) asked_spellings: Vec<(Spelling, Outcome)>,
    /// The answers of other accounts, where this one has no picture.
    pub(super) others: OtherAccounts,
    /// The status of the vendor's latest reply.
    pub(super) vendor_status: Option<u16>,
    pub(super) ask: Ask,
    pub(super) cause: Cause,
    /// A call that the budget, and in a fleet the shared one, has granted.
    pub(super) granted: Option<Permit>,
    /// The lease of the face in the fleet.
    pub(super) lease: Option<Lease>,
    /// Why this fetch does not have the picture of the fleet's entry, so that only another picture may take its place.
    pub(super) missed_picture: Option<MissedPicture>,
    /// How the vendor's answer counts for the detector of soft throttling.
    pub(super) seen: Option<Observation>,
    pub(super) flight: Flight,
}

/// What caused a fetch.
pub(super) enum Cause {
    /// A request. It waits for the budget up to the deadline, if it waits at all.
    Request {
        priority: Priority,
        requester: Requester,
        deadline: Option<Instant>,
    },
    /// The queue of wanted faces, with the call that it took for this wish.
    Wish { wish: Wish, permit: Option<Permit> },
    /// A warm-up, which repeats a refused fetch itself.
    WarmUp,
    /// A picture that came without a question: from a webhook event, or pushed. The vendor is never called.
    Outside,
}

/// An answer about a face that came with a list of chats.
pub(super) struct PrefetchedAnswer {
    pub(super) answer: VendorAnswer,
    /// When the list was asked for.
    pub(super) asked_at: Timestamp,
}

/// Whether the vendor is to bypass its own cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    No,
    /// If the budget has a refresh left. Otherwise, a plain look-up is better than none.
    IfAvailable,
    /// A plain look-up would return an answer that is known to be outdated.
    Required,
}

/// The result of steps 3 and 4.
pub(super) enum Retrieval {
    Answer(Answer),
    /// The link has expired or leads nowhere.
    LinkGone,
}

impl Fetch {
    pub(super) fn new(
        shared: Arc<Shared>,
        target: &Target<'_>,
        ask: Ask,
        cause: Cause,
        flight: Flight,
    ) -> Self {
        Self {
            shared,
            instance: target.instance.clone(),
            subject: target.subject,
            person: target.person,
            key: target.key,
            known_spellings: SpellingMemory::default(),
            preferred_spelling: None,
            asked_spellings: Vec::new(),
            others: OtherAccounts::default(),
            vendor_status: None,
            ask,
            cause,
            granted: None,
            lease: None,
            missed_picture: None,
            seen: None,
            flight,
        }
    }

    /// Looks the face up, however long the disk takes, and fetches it if the cache does not answer.
    pub(super) async fn run_after_look_up(mut self) -> FetchResult {
        let cached = self.shared.store.look_up(&self.key).await;
        let entry = cached.entry();
        let stored = entry.map(|entry| &**entry);
        if self.instance.has_only_pushed(self.subject, stored) {
            return FetchResult::of_push(entry.cloned());
        }
        if self.plan(stored) == Plan::ServeAndRefresh
            && let Cause::Request { priority, .. } = &mut self.cause
        {
            *priority = Priority::Background;
        }
        self.run(cached, None).await
    }

    /// Fetches the face. A prefetched answer takes the place of steps 1 and 2.
    /// `before` is the look-up that led to this fetch; an earlier fetch may have stored another entry since.
    pub(super) async fn run(
        self,
        before: CacheAnswer,
        prefetched: Option<PrefetchedAnswer>,
    ) -> FetchResult {
        let wanted = self.instance.wanted().clone();
        let result = self.run_steps(before, prefetched).await;
        // Also if nothing was asked.
        wanted.end_probe();
        result
    }

    async fn run_steps(
        mut self,
        before: CacheAnswer,
        mut prefetched: Option<PrefetchedAnswer>,
    ) -> FetchResult {
        if let Some(flight) = self.forward(&mut prefetched) {
            return flight.wait().await;
        }
        let before = self.shared.store.look_up_again(&self.key, &before).await;
        let before = self.adopt_other_names(before).await;
        if matches!(before, CacheAnswer::Unreadable) {
            return FetchResult::aborted();
        }
        if let Some(tombstone) = self.earlier_tombstone(&before).await {
            let outcome = tombstone.last.outcome;
            let store = &self.shared.store;
            let owner = self.owner();
            store.put(&self.key, &owner, tombstone.clone()).await;
            let shown = before.entry().map(|entry| &**entry);
            self.shared.announce(&owner, shown, Some(&tombstone));
            return FetchResult::settled(Some(tombstone), outcome, None, false);
        }
        let before = self.compare_with_fleet(before).await;
        if let Some(entry) = before.entry()
            && prefetched.is_none()
            && self.is_answered(entry)
        {
            return FetchResult::found(entry.clone());
        }
        if prefetched.is_none()
            && let Some(lid) = self.unidentified()
        {
            match self.identify(lid).await {
                Ok(()) => {}
                Err(NotIdentified::Refused(refusal)) => {
                    return FetchResult::not_admitted(before.entry().cloned(), refusal);
                }
                Err(NotIdentified::Failed(asked_at, error)) => {
                    return self.settle(before, asked_at, Err(error)).await;
                }
            }
            if let Some(flight) = self.forward(&mut prefetched) {
                return flight.wait().await;
            }
        }
        let before = match self.instance.shared().cloned() {
            Some(account) if prefetched.is_none() => {
                match self.begin_in_fleet(&account, before).await {
                    Ok(before) => before,
                    Err(result) => return result,
                }
            }
            _ => before,
        };
        let entry = before.entry().map(|entry| &**entry);
        // A request that demands a refresh needs the bytes to be downloaded.
        let known_link = match self.ask {
            Ask::View => entry.and_then(link_id),
            Ask::Refresh => None,
        };
        let refresh = self.refresh_mode(entry);
        self.choose_spelling(entry);
        let has_call = self.has_call();
        let (asked_at, answer) = match prefetched {
            _ if !has_call => (self.shared.clock.now(), Ok(Answer::Empty(Empty::Unknown))),
            Some(prefetched) if refresh != Refresh::Required => {
                self.flight.record_call();
                let answer = self.follow(prefetched.answer, known_link).await;
                (prefetched.asked_at, answer)
            }
            _ => {
                let with_refresh = match self.take_needed_call(refresh, &before).await {
                    Ok(CallGrant::Call { with_refresh }) => with_refresh,
                    Ok(CallGrant::Unneeded(entry)) => return FetchResult::found(entry),
                    Err(refusal) => {
                        return FetchResult::not_admitted(before.entry().cloned(), refusal);
                    }
                };
                let asked_at = self.shared.clock.now();
                match self.ask_in_spellings(with_refresh, known_link).await {
                    Ok(answer) => (asked_at, Ok(answer)),
                    Err(NotAnswered::Failed(error)) => (asked_at, Err(error)),
                    Err(NotAnswered::Refused(refusal)) => {
                        let entry = self.settle_refused(before).await;
                        return FetchResult::not_admitted(entry, refusal);
                    }
                }
            }
        };
        if let Some(duration) = self.flight.time_since_call() {
            let now = self.shared.clock.moment();
            self.instance.wanted().record_latency(now, duration);
        }
        let answer = match has_call {
            true => self.confirm(asked_at, answer).await,
            false => answer,
        };
        self.ask_others(&answer).await;
        self.settle(before, asked_at, answer).await
    }

    /// Whether the cache answers now: another fetch may have ended, or the face may have been forgotten,
    /// between the decision to fetch and the start of this fetch.
    pub(super) fn is_answered(&self, entry: &Entry) -> bool {
        self.plan(Some(entry)) == Plan::Serve
    }

    fn plan(&self, entry: Option<&Entry>) -> Plan {
        let now = self.shared.clock.now();
        decide(entry, self.ask, now, &self.shared.settings.policy)
    }

    /// A vendor that caches its answers for a day has to bypass its cache in two more cases: when the
    /// picture is reported to have changed, and, if possible, when the last answer was a bare null.
    pub(super) fn refresh_mode(&self, entry: Option<&Entry>) -> Refresh {
        let last = entry.map(|entry| entry.last);
        let was_unknown = last.is_some_and(|last| last.outcome == Outcome::Empty(Empty::Unknown));
        let is_outdated = last.is_some_and(|last| last.is_outdated);
        let has_answer_cache = self.instance.provider().keeps_answers;
        if self.ask == Ask::Refresh || (is_outdated && has_answer_cache) {
            Refresh::Required
        } else if was_unknown && has_answer_cache {
            Refresh::IfAvailable
        } else {
            Refresh::No
        }
    }

    pub(super) async fn ask_vendor(
        &mut self,
        with_refresh: bool,
        known_link: Option<&str>,
    ) -> Result<Answer, FetchError> {
        let answer = self.resolve(with_refresh).await?;
        self.follow(answer, known_link).await
    }

    /// Turns the vendor's reply into an answer. If its link is gone, asks the vendor once more, past its
    /// own cache.
    async fn follow(
        &mut self,
        answer: VendorAnswer,
        known_link: Option<&str>,
    ) -> Result<Answer, FetchError> {
        if let Retrieval::Answer(answer) = self.retrieve(answer, known_link).await? {
            return Ok(answer);
        }
        let refresh = self.instance.take_call(Priority::Refresh, true).await;
        if refresh.is_err() {
            return Err(FetchError::vendor_error(
                "the link has expired, and the budget has no refresh left",
            ));
        }
        self.instance.save_admission(&self.shared.store).await;
        let answer = self.resolve(true).await?;
        match self.retrieve(answer, known_link).await? {
            Retrieval::Answer(answer) => Ok(answer),
            Retrieval::LinkGone => Err(FetchError::vendor_error(
                "the link has expired or is gone, also after a refresh",
            )),
        }
    }

    /// Step 2: one call to the vendor.
    async fn resolve(&mut self, with_refresh: bool) -> Result<VendorAnswer, FetchError> {
        let question = Question {
            subject: self.subject,
            refresh: with_refresh,
        };
        let call = self
            .instance
            .call(self.subject, with_refresh)
            .map_err(|unsupported| FetchError::vendor_error(unsupported.to_string()))?;
        let (started, span) = (Instant::now(), self.span("api", &call.method));
        let result = self
            .call(&call, with_refresh)
            .instrument(span.clone())
            .await;
        self.record_hop("api", started, result.as_ref().err());
        let reply = result?;
        let status = reply.status.as_u16();
        span.record("http.response.status_code", i64::from(status));
        self.vendor_status = Some(status);
        let account = self.instance.account();
        Ok(self
            .instance
            .provider()
            .read_picture(account, &question, &reply)?)
    }

    /// Calls the vendor. If the vendor closes a kept connection instead of answering, calls once more, if
    /// the budget has another call.
    pub(super) async fn call(
        &self,
        call: &VendorCall,
        with_refresh: bool,
    ) -> Result<VendorReply, ClientError> {
        let result = self.instance.client.call(call).await;
        if !matches!(result, Err(ClientError::KeptConnectionClosed)) {
            return result;
        }
        let another = self.instance.take_call(self.priority(), with_refresh);
        if another.await.is_err() {
            return result;
        }
        self.instance.save_admission(&self.shared.store).await;
        self.instance.client.call_unpooled(call).await
    }

    /// Steps 3 and 4: downloads and validates the picture, if there is one.
    pub(super) async fn retrieve(
        &self,
        answer: VendorAnswer,
        known_link: Option<&str>,
    ) -> Result<Retrieval, FetchError> {
        let link = match answer {
            VendorAnswer::Empty(empty) => return Ok(Retrieval::Answer(Answer::Empty(empty))),
            VendorAnswer::Bytes(bytes) => {
                return self.picture(bytes, None).await;
            }
            VendorAnswer::Link(text) => Link::parse(&text).map_err(ClientError::BadLink)?,
        };
        let link_id = link.picture_id();
        let admission = self.instance.admission();
        if admission.is_default_picture(&link_id, link.file_name()) {
            return Ok(Retrieval::Answer(Answer::Empty(Empty::Unknown)));
        }
        if known_link == Some(&*link_id) {
            return Ok(Retrieval::Answer(Answer::Unchanged(link_id)));
        }
        let now = self.shared.clock.now();
        if link.expires().is_some_and(|expires| expires <= now) {
            return Ok(Retrieval::LinkGone);
        }
        let started = Instant::now();
        let download = self.instance.client.download(&link);
        let result = download.instrument(self.span("cdn", &Method::GET)).await;
        self.record_hop("cdn", started, result.as_ref().err());
        match result? {
            Download::Bytes(bytes) => self.picture(bytes, Some(link_id)).await,
            Download::Gone => Ok(Retrieval::LinkGone),
        }
    }

    /// Step 4.
    async fn picture(
        &self,
        bytes: Bytes,
        link_id: Option<String>,
    ) -> Result<Retrieval, FetchError> {
        let picture = self.shared.thumbnailer.accept(bytes).await;
        let picture = picture.map_err(FetchError::vendor_error)?;
        let picture = self.shared.store.charge(picture);
        Ok(Retrieval::Answer(Answer::Picture(picture, link_id)))
    }

    fn span(&self, hop: &'static str, method: &Method) -> Span {
        traces::call_span(&self.instance.provider().name, hop, method)
    }

    pub(super) fn record_hop(
        &self,
        hop: &'static str,
        started: Instant,
        error: Option<&ClientError>,
    ) {
        let metrics = &self.shared.metrics;
        metrics.record_call(self.instance.label(), hop, started.elapsed());
        if let Some(ClientError::Forbidden(..)) = error {
            metrics.record_blocked();
        }
    }
}

/// The identity of the link of the stored picture.
fn link_id(entry: &Entry) -> Option<&str> {
    entry.picture.as_ref()?.link_id.as_deref()
}
