//! Serves the wanted faces of an account: says which fetch may call the vendor now and which waits for its turn, and
//! fetches the refused faces as soon as the budget allows, without another request.
//!
//! 1. A fetch asks for a call ([`WantedFaces::ask`]). It gets one if none is ahead of it and the budget has one.
//! 2. Else its face gets a place in the [`Queue`]. If the place comes up in time for the request that waits, it
//!    is kept, and the fetch waits for it.
//! 3. Else the fetch is refused, with the time of its place, and the face stays wanted. So it is during a pause.
//! 4. The worker sleeps until the budget has a call for the first wish. It gives the call to the fetch that waits
//!    for it, or starts a fetch.
//! 5. After a pause, one call shows whether the account works again before the next ones are made.
//! 6. A face without a picture whose call failed returns to the queue when it may be asked for again.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    faces::Faces,
    instance::Instance,
    queue::{CallClass, Queue, Wish, WishId},
    shared::Shared,
    target::Target,
    wanted::{State, WantedFaces},
};
use crate::{
    avatar::Trouble,
    clock::{Clock, Timestamp},
    limits::{CallsAhead, NotAdmitted, Permit},
    sync::lock,
    telemetry::Limit,
};

/// The answer to a fetch that asks for a call.
pub(super) enum CallAnswer {
    /// The call may be made.
    Now(Permit),
    /// The fetch waits for its place.
    Later(oneshot::Receiver<Permit>),
    Refused(NotAdmitted),
}

/// The end of one pass of the worker.
enum Pass {
    /// Nothing can be fetched for so long.
    Sleep(Duration),
    /// Nothing is wanted.
    Done,
}

/// How long the worker sleeps at most before it looks at the budget again.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// A face whose call failed returns to the queue no sooner, also if the time of day was set meanwhile.
const SHORTEST_RETRY: Duration = Duration::from_secs(5);

// === impl WantedFaces ===

impl WantedFaces {
    /// Asks for a call for a wish. `patience` is how long the fetch can wait for it, if a request waits for the
    /// fetch.
    pub(super) fn ask(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        instance: &Arc<Instance>,
        wish: Wish,
        patience: Option<Duration>,
    ) -> CallAnswer {
        let (id, class, admission) = (wish.id, wish.class, instance.admission());
        let mut state = lock(&self.state);
        state.failed.remove(&id);
        state.queue.insert(wish);
        if let Some((retry_at, why)) = admission.cooldown() {
            self.keep_within_limit(&mut state, shared);
            self.work_off(&mut state, shared, instance);
            return CallAnswer::Refused(NotAdmitted { why, retry_at });
        }
        let ahead = state.queue.ahead(id);
        let now = shared.clock.moment();
        if ahead.calls == 0
            && state.wait_for_probe(admission, now).is_none()
            && let Ok(permit) = Permit::take(admission, class.priority, class.with_refresh)
        {
            state.queue.remove(id);
            state.probe = admission.is_recovering().then_some(now);
            return CallAnswer::Now(permit);
        }
        let refusal = over_budget(instance, class, ahead);
        let wait = refusal.retry_at.since(shared.clock.now());
        let turn = if patience.is_some_and(|patience| wait <= patience) {
            let (sender, receiver) = oneshot::channel();
            state.queue.keep_place(id);
            state.waiters.insert(id, sender);
            CallAnswer::Later(receiver)
        } else {
            CallAnswer::Refused(refusal)
        };
        self.keep_within_limit(&mut state, shared);
        self.work_off(&mut state, shared, instance);
        turn
    }

    /// Keeps a wish whose call failed. The face is fetched again at `retry_at`, without another request.
    pub(super) fn keep_failed(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        instance: &Arc<Instance>,
        wish: Wish,
        retry_at: Timestamp,
    ) {
        let now = shared.clock.moment();
        let mut state = lock(&self.state);
        let is_expired = now.since(wish.wanted_at) > shared.settings.wanted_for;
        if is_expired || state.queue.contains(wish.id) {
            return;
        }
        let due = now + retry_at.since(shared.clock.now()).max(SHORTEST_RETRY);
        state.failed.insert(wish.id, (due, wish));
        self.keep_within_limit(&mut state, shared);
        self.work_off(&mut state, shared, instance);
    }

    fn keep_within_limit(&self, state: &mut State, shared: &Shared) {
        if state.len() > shared.settings.max_wanted {
            Limit::WantedFaces.report();
            let failed = state.failed.values().min_by_key(|(due, _)| *due);
            let failed = failed.map(|(_, wish)| wish.id);
            let evicted = match failed {
                Some(id) => state.failed.remove(&id).map(|(_, wish)| wish),
                None => state.queue.evict(),
            };
            if let Some(evicted) = evicted {
                state.end_waiting(&evicted.id);
            }
        }
    }

    /// The refusal of a call, with the time of its place.
    pub(super) fn refusal(&self, instance: &Instance, id: WishId, class: CallClass) -> NotAdmitted {
        if let Some((retry_at, why)) = instance.admission().cooldown() {
            return NotAdmitted { why, retry_at };
        }
        let ahead = lock(&self.state).queue.ahead(id);
        over_budget(instance, class, ahead)
    }

    /// Takes a call for work that wants no place in the queue. Whatever is wanted goes first.
    pub(super) fn take_behind(
        &self,
        instance: &Instance,
        class: CallClass,
    ) -> Result<Permit, NotAdmitted> {
        let admission = instance.admission();
        let state = lock(&self.state);
        if !state.queue.is_empty() && admission.cooldown().is_none() {
            return Err(over_budget(instance, class, state.queue.all()));
        }
        Permit::take(admission, class.priority, class.with_refresh)
    }

    /// Hands the wishes over to the pipeline and the instance of another configuration.
    pub(super) fn hand_over(self: &Arc<Self>, shared: &Arc<Shared>, instance: &Arc<Instance>) {
        let mut state = lock(&self.state);
        if state.len() > 0 {
            self.work_off(&mut state, shared, instance);
        }
    }

    /// Wakes the worker, or starts it.
    fn work_off(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        instance: &Arc<Instance>,
    ) {
        state.owner = (Arc::downgrade(shared), Arc::downgrade(instance));
        if state.is_worked_off {
            self.changed.notify_one();
        } else {
            state.is_worked_off = true;
            let (clock, shutdown) = (shared.clock.clone(), shared.shutdown.clone());
            tokio::spawn(self.clone().run_worker(clock, shutdown));
        }
    }

    async fn run_worker(self: Arc<Self>, clock: Clock, shutdown: CancellationToken) {
        while let Pass::Sleep(wait) = self.serve_wishes() {
            // A wait that ended a fraction of a millisecond too early must not make this loop spin. A long one ends at the
            // next day, whose begin moves when the time of day is set.
            let wait = wait.clamp(Duration::from_millis(1), LONGEST_SLEEP);
            tokio::select! {
                () = clock.sleep(wait) => {}
                () = self.changed.notified() => {}
                // The next pass is the last one.
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Serves the wishes for which the budget has a call now.
    fn serve_wishes(&self) -> Pass {
        let mut state = lock(&self.state);
        let owner = (state.owner.0.upgrade(), state.owner.1.upgrade());
        let (Some(shared), Some(instance)) = owner else {
            return state.end();
        };
        if shared.single_flight.is_closing() || shared.shutdown.is_cancelled() {
            return state.end();
        }
        let now = shared.clock.moment();
        let next_failed = state.return_failed(now);
        for expired in state.queue.expire(now, shared.settings.wanted_for) {
            state.end_waiting(&expired.id);
        }
        let admission = instance.admission();
        if admission.cooldown().is_some() {
            // The requests that wait for their place are answered. Their faces stay wanted.
            state.waiters.clear();
        }
        let (mut blocked, mut retry_at) = (Vec::new(), None::<Timestamp>);
        while let Some(class) = state.queue.next_class(&blocked) {
            if let Some(wait) = state.wait_for_probe(admission, now) {
                retry_at = Some(shared.clock.now() + wait);
                break;
            }
            match Permit::take(admission, class.priority, class.with_refresh) {
                Ok(permit) => {
                    if let Some(wish) = state.queue.pop(class) {
                        state.probe = admission.is_recovering().then_some(now);
                        state.serve(&shared, &instance, wish, permit);
                    }
                }
                Err(refusal) => {
                    blocked.push(class);
                    retry_at =
                        Some(retry_at.map_or(refusal.retry_at, |at| at.min(refusal.retry_at)));
                }
            }
        }
        let wait = retry_at.map(|at| at.since(shared.clock.now()));
        let wait_for_failed = next_failed.map(|due| due.since(now));
        match wait.into_iter().chain(wait_for_failed).min() {
            Some(wait) => Pass::Sleep(wait),
            None => state.end(),
        }
    }
}

fn over_budget(instance: &Instance, class: CallClass, ahead: CallsAhead) -> NotAdmitted {
    let admission = instance.admission();
    NotAdmitted {
        why: Trouble::OverBudget,
        retry_at: admission.due(class.priority, class.with_refresh, ahead),
    }
}

// === impl State ===

impl State {
    /// Gives the call to the fetch that waits for it, or else starts a fetch.
    fn serve(
        &mut self,
        shared: &Arc<Shared>,
        instance: &Arc<Instance>,
        wish: Wish,
        permit: Permit,
    ) {
        // If no fetch starts here, the senders are dropped, and the followers look for a fetch in flight themselves.
        let followers = self.followers.remove(&wish.id).unwrap_or_default();
        let permit = match self.waiters.remove(&wish.id) {
            Some(waiter) => match waiter.send(permit) {
                Ok(()) => return,
                Err(permit) => permit,
            },
            None => permit,
        };
        // The face was supported when it was wanted. If the configuration has changed since, the permit is
        // dropped, and so the call refunded.
        if let Ok(target) = Target::new(instance, wish.subject) {
            let faces = Faces {
                shared: shared.clone(),
            };
            if let Ok(flight) = faces.fetch_wish(&target, wish, permit) {
                for follower in followers {
                    // The request may be cancelled.
                    let _ = follower.send(flight.clone());
                }
            }
        }
    }

    /// The worker ends, because nothing is wanted or nobody is left who could fetch it.
    fn end(&mut self) -> Pass {
        self.queue = Queue::default();
        self.failed.clear();
        self.waiters.clear();
        self.followers.clear();
        self.is_worked_off = false;
        Pass::Done
    }
}
