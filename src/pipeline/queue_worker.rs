//! Serves the wanted faces of an account: says which fetch may call the vendor now and which waits for its turn, and
//! fetches the refused faces as soon as the budget allows, without another request.
//!
//! 1. A fetch asks for a call ([`WantedFaces::ask`]). It gets one if none is ahead of it and the budget has one.
//! 2. Else its face gets a place in the [`Queue`]. If the place comes up in time for the request that waits, it
//!    is kept, and the fetch waits for it.
//! 3. Else the fetch is refused, with the time of its place, and the face stays wanted.
//! 4. The worker sleeps until the budget has a call for the first wish. It gives the call to the fetch that waits
//!    for it, or starts a fetch.

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
        if let Some((retry_at, why)) = admission.cooldown() {
            // Nothing is wanted from a vendor that pauses: its trouble may last.
            return CallAnswer::Refused(NotAdmitted { why, retry_at });
        }
        state.queue.insert(wish);
        let ahead = state.queue.ahead(id);
        if ahead.calls == 0
            && let Ok(permit) = Permit::take(admission, class.priority, class.with_refresh)
        {
            state.queue.remove(id);
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
        if state.queue.len() > shared.settings.max_wanted {
            Limit::WantedFaces.report();
            if let Some(evicted) = state.queue.evict() {
                state.end_waiting(&evicted.id);
            }
        }
        self.work_off(&mut state, shared, instance);
        turn
    }

    /// The refusal of a call, with the time of its place.
    pub(super) fn refusal(&self, instance: &Instance, id: WishId, class: CallClass) -> NotAdmitted {
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
        if !state.queue.is_empty() {
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
        for expired in state
            .queue
            .expire(shared.clock.moment(), shared.settings.wanted_for)
        {
            state.end_waiting(&expired.id);
        }
        let (mut blocked, mut retry_at) = (Vec::new(), None::<Timestamp>);
        while let Some(class) = state.queue.next_class(&blocked) {
            let admission = instance.admission();
            match Permit::take(admission, class.priority, class.with_refresh) {
                Ok(permit) => {
                    if let Some(wish) = state.queue.pop(class) {
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
        match retry_at {
            Some(at) => Pass::Sleep(at.since(shared.clock.now())),
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
        // Without the fetch, they look for it themselves.
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
                    // It may be gone.
                    let _ = follower.send(flight.clone());
                }
            }
        }
    }

    /// The worker ends, because nothing is wanted or nobody is left who could fetch it.
    fn end(&mut self) -> Pass {
        self.queue = Queue::default();
        self.waiters.clear();
        self.followers.clear();
        self.is_worked_off = false;
        Pass::Done
    }
}
