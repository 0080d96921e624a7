//! Looks a face up, and waits for the vendor where the plan says so.

use std::{sync::Arc, time::Duration};

use tokio::time::{self, Instant};

use super::{
    Faces, Instance, ServedFace,
    fetch::{Cause, Fetch, PrefetchedAnswer},
    patience::Patience,
    queue::Wish,
    requester::Requester,
    single_flight::Flight,
    target::Target,
};
use crate::{
    avatar::{Ask, Entry, Forward, Key, Plan, Subject, decide},
    clock::Timestamp,
    limits::{Permit, Priority},
    store::CacheAnswer,
    telemetry::Limit,
    upstream::UnsupportedSubject,
};

/// The next step of a look-up.
enum Step {
    Serve(ServedFace),
    Fetch(Forward),
}

/// How long a fetch waits for the budget if there is no first-paint deadline.
const MAX_BUDGET_WAIT: Duration = Duration::from_secs(60);
/// How often a request waits for another turn of its face. One is usual; other work may take the call.
const MAX_TURNS: u32 = 8;

/// The result of a look-up that does not wait.
#[derive(Debug)]
pub enum LookUp {
    /// The face.
    Ready(ServedFace),
    /// The disk or the vendor has to be waited for, in [`Faces::finish_look_up`].
    Pending(Box<PendingLookUp>),
}

/// A look-up that has to wait.
#[derive(Debug)]
pub struct PendingLookUp {
    instance: Arc<Instance>,
    subject: Subject,
    person: Subject,
    key: Key,
    ask: Ask,
    requester: Requester,
    /// The cache's answer so far.
    cached: CacheAnswer,
    /// Why the vendor is asked, if the cache's answer is known.
    plan: Option<Forward>,
}

/// Why a look-up has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookUpError {
    /// The vendor has no call for the face.
    Unsupported(UnsupportedSubject),
    /// The pictures that are being sent leave no space for this one.
    NoSpace,
}

impl From<UnsupportedSubject> for LookUpError {
    fn from(error: UnsupportedSubject) -> Self {
        LookUpError::Unsupported(error)
    }
}

impl Faces {
    /// Looks up the face of `subject` as `instance` sees it, as far as that needs no waiting. A stale face is served
    /// and refreshed in the background.
    pub fn try_look_up(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
        ask: Ask,
        requester: Requester,
        now: Timestamp,
    ) -> Result<LookUp, UnsupportedSubject> {
        let target = Target::new(instance, subject)?;
        let cached = match instance.has_begun_in_fleet() {
            true => self.shared.store.get_cached(&target.key),
            // The face may be one that was forgotten meanwhile.
            false => CacheAnswer::Unknown,
        };
        let plan = match &cached {
            CacheAnswer::Unknown | CacheAnswer::Unreadable => None,
            known => match self.serve(&target, known, ask, requester, now)? {
                Step::Serve(face) => return Ok(LookUp::Ready(face)),
                Step::Fetch(why) => Some(why),
            },
        };
        Ok(LookUp::Pending(Box::new(PendingLookUp {
            instance: instance.clone(),
            subject: target.subject,
            person: target.person,
            key: target.key,
            ask,
            requester,
            cached,
            plan,
        })))
    }

    /// Waits for the disk and the vendor up to the first-paint deadline, or for as long as `wait` says. Looks
    /// nothing up again that [`Faces::try_look_up`] knew.
    pub async fn finish_look_up(
        &self,
        pending: Box<PendingLookUp>,
        wait: Option<Duration>,
    ) -> Result<ServedFace, LookUpError> {
        let (ask, requester) = (pending.ask, pending.requester);
        let begin_to_wait = || Patience::new(&self.shared.settings, &self.shared.long_waits, wait);
        let target = Target {
            instance: &pending.instance,
            subject: pending.subject,
            person: pending.person,
            key: pending.key,
        };
        if let Some(why) = pending.plan {
            let patience = begin_to_wait();
            let face = self.wait_for_turns(&target, ask, requester, why, pending.cached, &patience);
            return Ok(face.await?);
        }
        let Some(space) = self.shared.store.reserve_space(&target.key).await else {
            Limit::InFlight.report();
            return Err(LookUpError::NoSpace);
        };
        // The wait for space does not count: without any time left for the disk, it would be for nothing.
        let patience = begin_to_wait();
        target.instance.wait_for_fleet(patience.left()).await;
        let reading = self.shared.store.find_uncached(&target.key);
        let cached = patience.bound(reading).await;
        // A picture that was read is charged by itself, and the vendor may take long.
        drop(space);
        let Some(cached) = cached else {
            self.look_up_later(&target, ask, requester)?;
            return Ok(ServedFace::deferred());
        };
        if matches!(cached, CacheAnswer::Unreadable) {
            // The face may be a forgotten one.
            return Ok(ServedFace::unreadable());
        }
        match self.serve(&target, &cached, ask, requester, self.now())? {
            Step::Serve(face) => Ok(face),
            Step::Fetch(why) => {
                let face = self.wait_for_turns(&target, ask, requester, why, cached, &patience);
                Ok(face.await?)
            }
        }
    }

    /// Lets a look-up that outlasts the patience of its request go on, and fetches the face if the cache does not
    /// answer.
    fn look_up_later(
        &self,
        target: &Target<'_>,
        ask: Ask,
        requester: Requester,
    ) -> Result<(), UnsupportedSubject> {
        target.instance.check_subject(target.subject)?;
        let cause = Cause::Request {
            priority: priority(ask),
            requester,
            deadline: None,
        };
        let start = |flight| {
            let fetch = Fetch::new(self.shared.clone(), target, ask, cause, flight);
            fetch.run_after_look_up()
        };
        self.shared.single_flight.join(target.key, ask, start);
        Ok(())
    }

    /// Looks a face up, and waits for it: [`Faces::try_look_up`] and [`Faces::finish_look_up`].
    pub async fn look_up(
        &self,
        instance: &Arc<Instance>,
        subject: Subject,
        ask: Ask,
        requester: Requester,
    ) -> Result<ServedFace, LookUpError> {
        match self.try_look_up(instance, subject, ask, requester, self.now())? {
            LookUp::Ready(face) => Ok(face),
            LookUp::Pending(pending) => self.finish_look_up(pending, None).await,
        }
    }

    /// Decides, and serves the face or says why the vendor has to be asked.
    fn serve(
        &self,
        target: &Target<'_>,
        cached: &CacheAnswer,
        ask: Ask,
        requester: Requester,
        now: Timestamp,
    ) -> Result<Step, UnsupportedSubject> {
        let entry = cached.entry();
        let instance = target.instance;
        if instance.has_only_pushed(target.subject, entry.map(|entry| &**entry)) {
            return Ok(Step::Serve(ServedFace::of_push(entry.cloned())));
        }
        if entry.is_some_and(|entry| entry.picture.is_some()) {
            instance.record_shown_picture();
        }
        let plan = decide(entry.map(|entry| &**entry), ask, now, self.policy());
        Ok(match plan {
            Plan::Serve if !instance.is_outdated_in_fleet(&target.person) => {
                Step::Serve(ServedFace::from_cache(entry.cloned()))
            }
            Plan::Serve | Plan::ServeAndRefresh => {
                let cause = Cause::Request {
                    priority: Priority::Background,
                    requester,
                    deadline: None,
                };
                self.join(target, cached.clone(), Ask::View, cause, None)?;
                Step::Serve(ServedFace::while_revalidating(entry.cloned()))
            }
            Plan::Wait(why) => Step::Fetch(why),
        })
    }

    /// The cached entry of a face. The vendor is not asked.
    pub async fn entry(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<Option<Arc<Entry>>, UnsupportedSubject> {
        let key = instance.owner(instance.resolve_own(subject)?).key();
        Ok(self.shared.store.find(&key).await)
    }

    /// Waits for the fetch. A request with a long patience that the budget refuses also waits for the fetch that
    /// the queue of wanted faces starts, if the place in it comes up in time.
    async fn wait_for_turns(
        &self,
        target: &Target<'_>,
        ask: Ask,
        requester: Requester,
        why: Forward,
        cached: CacheAnswer,
        patience: &Patience,
    ) -> Result<ServedFace, UnsupportedSubject> {
        let mut face = self
            .wait_for_fetch(target, ask, requester, why, cached, patience)
            .await?;
        let mut turns = 0;
        while patience.is_long() && face.is_over_budget() && turns < MAX_TURNS {
            let latest = self.now() + patience.left();
            if face.retry_at().is_none_or(|place| place > latest) {
                break;
            }
            turns += 1;
            let flight = match target.instance.wanted().follow((target.key, ask)) {
                Some(turn) => tokio::select! {
                    turn = patience.bound(turn) => match turn {
                        Some(flight) => flight.ok(),
                        None => break,
                    },
                    () = self.shutdown().cancelled() => break,
                },
                // The wish is not in the queue any more: it has got its call.
                None => None,
            };
            face = match flight {
                Some(flight) => {
                    let result = patience.bound(flight.wait()).await;
                    let fetched = result.as_ref().and_then(|result| result.entry.clone());
                    ServedFace::after_fetch(fetched.or(face.entry), why, result, true)
                }
                None => {
                    let cached = CacheAnswer::Unknown;
                    self.wait_for_fetch(target, ask, requester, why, cached, patience)
                        .await?
                }
            };
        }
        Ok(face)
    }

    async fn wait_for_fetch(
        &self,
        target: &Target<'_>,
        ask: Ask,
        requester: Requester,
        why: Forward,
        cached: CacheAnswer,
        patience: &Patience,
    ) -> Result<ServedFace, UnsupportedSubject> {
        let entry = cached.entry().cloned();
        let deadline = patience.deadline;
        let budget_wait = match self.shared.settings.first_paint {
            Duration::ZERO => MAX_BUDGET_WAIT,
            first_paint => first_paint,
        };
        // Other requests may join the fetch, which keeps its place in the queue for them. They wait no longer than
        // this.
        let budget_deadline = Instant::now() + budget_wait.min(patience.left());
        let cause = Cause::Request {
            priority: priority(ask),
            requester,
            deadline: Some(budget_deadline),
        };
        let (flight, collapsed) = self.join(target, cached, ask, cause, None)?;
        if collapsed {
            self.shared.metrics.record_collapsed();
        }
        let result = match deadline {
            None => Some(flight.wait().await),
            Some(deadline) => {
                let wanted = target.instance.wanted();
                let latency = || wanted.latency(self.clock().moment());
                let result = tokio::select! {
                    biased;
                    result = flight.wait() => Some(result),
                    () = flight.wait_until_late(latency, deadline) => None,
                    () = time::sleep_until(deadline) => None,
                };
                // Records that the vendor is slow, so that the next faces do not wait in vain.
                let first_paint = self.shared.settings.first_paint;
                let is_late = result.is_none() && !collapsed;
                let delay = flight.time_since_call().filter(|_| is_late);
                if let Some(delay) = delay.filter(|delay| *delay >= first_paint / 2) {
                    // The fetch will take longer than it has taken so far.
                    let slack = first_paint / 20;
                    wanted.record_delay(self.clock().moment(), delay + slack);
                }
                result
            }
        };
        let fetched = result.as_ref().and_then(|result| result.entry.clone());
        Ok(ServedFace::after_fetch(
            fetched.or(entry),
            why,
            result,
            collapsed,
        ))
    }

    /// Joins the fetch in flight for `target`, or starts one in a task of its own, which continues when
    /// the request that caused it is cancelled. `cached` is the look-up that led to it. Returns whether it
    /// was joined.
    pub(super) fn join(
        &self,
        target: &Target<'_>,
        cached: CacheAnswer,
        ask: Ask,
        cause: Cause,
        prefetched: Option<PrefetchedAnswer>,
    ) -> Result<(Flight, bool), UnsupportedSubject> {
        // A face that the vendor cannot be asked for is an error here, so that it never gets an entry.
        target.instance.check_subject(target.subject)?;
        let start = |flight| {
            let fetch = Fetch::new(self.shared.clone(), target, ask, cause, flight);
            fetch.run(cached, prefetched)
        };
        Ok(self.shared.single_flight.join(target.key, ask, start))
    }

    /// Starts the fetch of a wish whose turn has come. If the face is being fetched, drops the permit.
    pub(super) fn fetch_wish(
        &self,
        target: &Target<'_>,
        wish: Wish,
        permit: Permit,
    ) -> Result<Flight, UnsupportedSubject> {
        let (_, ask) = wish.id;
        let permit = Some(permit);
        let cause = Cause::Wish { wish, permit };
        let (flight, _) = self.join(target, CacheAnswer::Unknown, ask, cause, None)?;
        Ok(flight)
    }
}

/// The urgency of a call for a request that waits for it.
fn priority(ask: Ask) -> Priority {
    match ask {
        Ask::View => Priority::Interactive,
        Ask::Refresh => Priority::Refresh,
    }
}
