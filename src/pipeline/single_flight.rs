//! Single-flight: one fetch per face at a time. Every request for the face waits for the same fetch and
//! gets its result, also if it failed: a failed fetch is not repeated once per waiter.
//!
//! The fetch runs in a task of its own, so a waiter that is cancelled neither stops the fetch nor
//! delays other waiters. If that task panics or is dropped, its waiters get the result of an aborted
//! fetch, and the next request starts a new one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::SetOnce;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::FetchResult;
use crate::{
    avatar::{Ask, Key},
    sync::lock,
};

/// The fetches in flight. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct SingleFlight {
    /// Held for a few instructions, never across an await.
    in_flight: Arc<Mutex<HashMap<(Key, Ask), Flight>>>,
    tasks: TaskTracker,
}

/// A fetch in flight, for its waiters.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    /// Wakes the waiters in the order in which they began to wait.
    result: Arc<SetOnce<FetchResult>>,
}

/// The right to run the fetch of a flight. Dropping it finishes the flight.
struct Leader {
    single_flight: SingleFlight,
    id: (Key, Ask),
    flight: Flight,
}

// === impl SingleFlight ===

impl SingleFlight {
    /// Joins the fetch in flight for `key`, or starts the fetch that `start` returns. The result says
    /// whether a flight was joined.
    ///
    /// A view joins a refresh in flight. A refresh does not join a view, which the vendor may answer
    /// from its own cache.
    pub(super) fn join<F>(&self, key: Key, ask: Ask, start: impl FnOnce() -> F) -> (Flight, bool)
    where
        F: Future<Output = FetchResult> + Send + 'static,
    {
        let (flight, leader) = self.enter(key, ask);
        let Some(leader) = leader else {
            return (flight, true);
        };
        // The span is the one of the request that caused the fetch, which the fetch may outlive.
        let fetch = start().in_current_span();
        self.tasks.spawn(leader.lead(fetch));
        (flight, false)
    }

    /// The flight to wait for. The caller that gets a [`Leader`], too, has to run its fetch.
    fn enter(&self, key: Key, ask: Ask) -> (Flight, Option<Leader>) {
        let mut in_flight = self.in_flight();
        let joined = [Ask::Refresh, ask]
            .into_iter()
            .find_map(|ask| in_flight.get(&(key, ask)));
        if let Some(flight) = joined {
            return (flight.clone(), None);
        }
        let flight = Flight {
            result: Arc::default(),
        };
        in_flight.insert((key, ask), flight.clone());
        let leader = Leader {
            single_flight: self.clone(),
            id: (key, ask),
            flight: flight.clone(),
        };
        (flight, Some(leader))
    }

    /// Waits until no fetch is in flight.
    pub(super) async fn wait_idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn in_flight(&self) -> MutexGuard<'_, HashMap<(Key, Ask), Flight>> {
        lock(&self.in_flight)
    }
}

// === impl Leader ===

impl Leader {
    async fn lead(self, fetch: impl Future<Output = FetchResult>) {
        self.finish(fetch.await);
    }

    fn finish(&self, result: FetchResult) {
        // Removed before the waiters wake: a request that comes from now on starts a flight of its own.
        self.single_flight.in_flight().remove(&self.id);
        // It is set once, here.
        let _ = self.flight.result.set(result);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.flight.result.initialized() {
            self.finish(FetchResult::aborted());
        }
    }
}

// === impl Flight ===

impl Flight {
    /// Waits for the result.
    pub(super) async fn wait(&self) -> FetchResult {
        self.result.wait().await.clone()
    }
}
