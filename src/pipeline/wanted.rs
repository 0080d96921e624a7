//! The wanted faces of an account, and how long its fetches take. `queue_worker` serves them.

use std::{
    collections::HashMap,
    sync::{Mutex, Weak},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use super::{
    instance::Instance,
    latency::Latency,
    queue::{CallClass, Queue, Wish, WishId},
    shared::Shared,
    single_flight::Flight,
};
use crate::{
    avatar::{Key, Subject},
    clock::{Moment, Timestamp},
    limits::{Admission, Permit, Priority},
    sync::lock,
};

/// The wanted faces of an account. A reload keeps them for as long as the account stays configured.
#[derive(Debug, Default)]
pub struct WantedFaces {
    /// Held for a few instructions, never across an await. The locks of the admission control are taken under it.
    pub(super) state: Mutex<State>,
    /// Wakes the worker.
    pub(super) changed: Notify,
    latency: Mutex<Latency>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queue: Queue,
    /// The wishes whose call failed, each with the time at which it returns to the queue.
    pub(super) failed: HashMap<WishId, (Moment, Wish)>,
    /// When the call began that shows whether a pause has helped. Others wait for its end.
    pub(super) probe: Option<Moment>,
    /// The fetches that wait for their place in the queue.
    pub(super) waiters: HashMap<WishId, oneshot::Sender<Permit>>,
    /// The requests that wait until the queue starts the fetch of a wish. They have more patience than a fetch in the queue.
    pub(super) followers: HashMap<WishId, Vec<oneshot::Sender<Flight>>>,
    /// The pipeline and the instance of the latest configuration. Weak, so that wishes keep no server alive.
    pub(super) owner: (Weak<Shared>, Weak<Instance>),
    /// Whether the worker runs. It ends when nothing is wanted.
    pub(super) is_worked_off: bool,
}

/// Other calls wait no longer for the first one after a pause.
const LONGEST_PROBE: Duration = Duration::from_secs(30);

/// A wanted face that is among the next to be fetched.
#[derive(Clone, Debug)]
pub struct NextFetch {
    /// The face.
    pub subject: Subject,
    /// The urgency of its call.
    pub priority: Priority,
    /// Whether the call makes the vendor bypass its cache.
    pub with_refresh: bool,
    /// When the budget has a call for it, if nothing more urgent is wanted until then.
    pub due: Timestamp,
}

impl WantedFaces {
    /// The wanted faces that are fetched first, in their order, at most `count`.
    pub fn next(&self, admission: &Admission, count: usize) -> Vec<NextFetch> {
        let state = lock(&self.state);
        let first = state.queue.first(count).into_iter();
        let fetches = first.map(|(wish, ahead)| {
            let CallClass {
                priority,
                with_refresh,
            } = wish.class;
            NextFetch {
                subject: wish.subject,
                priority,
                with_refresh,
                due: admission.due(priority, with_refresh, ahead),
            }
        });
        fetches.collect()
    }

    /// The number of wanted faces, without those whose call failed a moment ago.
    pub fn len(&self) -> usize {
        lock(&self.state).queue.len()
    }

    /// Whether no face is wanted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether faces wait for the budget alone, not for the end of trouble.
    pub(super) fn are_due(&self, admission: &Admission) -> bool {
        !lock(&self.state).queue.is_empty() && admission.cooldown().is_none()
    }

    /// Ends the wait for the call that shows whether a pause has helped.
    pub(super) fn end_probe(&self) {
        if lock(&self.state).probe.take().is_some() {
            self.changed.notify_one();
        }
    }

    /// Takes the wishes for a face back. A fetch that waits for its place ends.
    pub(super) fn remove(&self, key: &Key) {
        use crate::avatar::Ask::{Refresh, View};
        let mut state = lock(&self.state);
        for ask in [View, Refresh] {
            state.queue.remove((*key, ask));
            state.failed.remove(&(*key, ask));
            state.end_waiting(&(*key, ask));
        }
    }

    /// The fetch of a wish, once its turn comes. `None` if there is no such wish (any more).
    pub(super) fn follow(&self, id: WishId) -> Option<oneshot::Receiver<Flight>> {
        let mut state = lock(&self.state);
        if !state.queue.contains(id) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let followers = state.followers.entry(id).or_default();
        followers.retain(|follower| !follower.is_closed());
        followers.push(sender);
        Some(receiver)
    }

    /// How long a fetch takes just now; zero if that is not known.
    pub fn latency(&self, now: Moment) -> Duration {
        lock(&self.latency).estimate(now)
    }

    pub(super) fn record_latency(&self, now: Moment, duration: Duration) {
        lock(&self.latency).record(now, duration);
    }

    /// Records that a fetch has taken this long and has not ended, if that is longer than expected.
    pub(super) fn record_delay(&self, now: Moment, so_far: Duration) {
        let mut latency = lock(&self.latency);
        if so_far > latency.estimate(now) {
            latency.record(now, so_far);
        }
    }
}

impl State {
    /// The number of wishes.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.failed.len()
    }

    /// How long a call has to wait because another one shows just now whether a pause has helped.
    pub(super) fn wait_for_probe(&self, admission: &Admission, now: Moment) -> Option<Duration> {
        let ends_at = self.probe? + LONGEST_PROBE;
        let left = ends_at.since(now);
        (admission.is_recovering() && !left.is_zero()).then_some(left)
    }

    /// Returns the failed wishes that are due to the queue. Returns when the next one is due.
    pub(super) fn return_failed(&mut self, now: Moment) -> Option<Moment> {
        let due = self.failed.extract_if(|_, (due, _)| *due <= now);
        for (_, (_, wish)) in due {
            self.queue.insert(wish);
        }
        self.failed.values().map(|(due, _)| *due).min()
    }

    /// Tells the requests that wait for a wish that it has ended.
    pub(super) fn end_waiting(&mut self, id: &WishId) {
        self.waiters.remove(id);
        self.followers.remove(id);
    }
}
