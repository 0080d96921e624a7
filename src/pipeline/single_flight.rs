//! One transaction per face at a time. Everybody who asks meanwhile waits for that one, and all
//! wake with its result, a failure included: it is not tried once per waiter.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::SetOnce;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::FetchResult;
use crate::avatar::{Ask, Key, Outcome, Trouble};

/// The transactions under way.
#[derive(Clone, Debug, Default)]
pub(super) struct SingleFlight {
    /// Held for a look-up, never across an await.
    in_flight: Arc<Mutex<HashMap<(Key, Ask), Flight>>>,
    tasks: TaskTracker,
}

/// A place in a transaction under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    /// Wakes who waits in the order of their coming: of a crowd, nobody waits for those who came later.
    result: Arc<SetOnce<FetchResult>>,
}

/// Removes the flight when its task ends, even by a panic, and wakes its waiters.
struct Leader {
    single_flight: SingleFlight,
    id: (Key, Ask),
    flight: Flight,
}

// === impl SingleFlight ===

impl SingleFlight {
    /// Joins the transaction under way for `key`, or starts `transaction` in a task of its own.
    /// Returns whether it was joined.
    ///
    /// A view is content with a refresh that is under way; a refresh is not with a view, which the
    /// vendor may answer from its own cache.
    pub(super) fn join<F>(
        &self,
        key: Key,
        ask: Ask,
        transaction: impl FnOnce() -> F,
    ) -> (Flight, bool)
    where
        F: Future<Output = FetchResult> + Send + 'static,
    {
        let mut in_flight = self.in_flight();
        let running = [Ask::Refresh, ask]
            .into_iter()
            .find_map(|ask| in_flight.get(&(key, ask)));
        if let Some(flight) = running {
            return (flight.clone(), true);
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
        // Traced as a part of the request that caused it, though it may outlive that.
        let transaction = transaction().in_current_span();
        self.tasks.spawn(async move {
            leader.finish(transaction.await);
        });
        (flight, false)
    }

    /// Returns when every transaction under way has landed.
    pub(super) async fn wait_idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn in_flight(&self) -> MutexGuard<'_, HashMap<(Key, Ask), Flight>> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Leader ===

impl Leader {
    fn finish(&self, result: FetchResult) {
        // Removed before the waiters wake: a later request starts a flight of its own.
        self.single_flight.in_flight().remove(&self.id);
        // It lands once.
        let _ = self.flight.result.set(result);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.flight.result.initialized() {
            // A transaction that died without a result was a bug; those who wait are told that it failed.
            self.finish(crash_result());
        }
    }
}

// === impl Flight ===

impl Flight {
    /// The result, as soon as there is one.
    pub(super) async fn wait(&self) -> FetchResult {
        self.result.wait().await.clone()
    }
}

#[cold]
fn crash_result() -> FetchResult {
    FetchResult {
        entry: None,
        outcome: Outcome::Trouble(Trouble::VendorError),
        status: None,
        stored: false,
        retry_at: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn key() -> Key {
        Key::new("sales", &"628123".parse().unwrap())
    }

    fn landed() -> FetchResult {
        FetchResult {
            outcome: Outcome::Picture,
            ..crash_result()
        }
    }

    #[tokio::test]
    async fn a_thousand_askers_share_one_transaction() {
        let single_flight = SingleFlight::default();
        let (runs, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut waiting = Vec::new();
        for _ in 0..1000 {
            let (runs, gate) = (runs.clone(), gate.clone());
            waiting.push(single_flight.join(key(), Ask::View, || async move {
                runs.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                landed()
            }));
        }
        gate.notify_one();
        assert_eq!(waiting.iter().filter(|(_, joined)| !joined).count(), 1);
        for (flight, _) in waiting {
            assert_eq!(flight.wait().await.outcome, Outcome::Picture);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn who_came_first_is_answered_first() {
        let single_flight = SingleFlight::default();
        let (gate, answered) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
        let mut waiting = Vec::new();
        for place in 0..1000 {
            let held = gate.clone();
            let (flight, _) = single_flight.join(key(), Ask::View, || async move {
                held.notified().await;
                landed()
            });
            let answered = answered.clone();
            waiting.push(tokio::spawn(async move {
                flight.wait().await;
                answered.lock().unwrap().push(place);
            }));
        }
        // Each waits in its place.
        tokio::task::yield_now().await;
        gate.notify_one();
        for asker in waiting {
            asker.await.unwrap();
        }
        assert!(answered.lock().unwrap().is_sorted());
    }

    #[tokio::test]
    async fn a_transaction_goes_on_when_its_asker_leaves() {
        let single_flight = SingleFlight::default();
        let gate = Arc::new(Notify::new());
        let held = gate.clone();
        let (flight, _) = single_flight.join(key(), Ask::View, || async move {
            held.notified().await;
            landed()
        });
        drop(flight);
        let (other, joined) = single_flight.join(key(), Ask::View, || async { unreachable!() });
        gate.notify_one();
        assert!(joined);
        assert_eq!(other.wait().await.outcome, Outcome::Picture);
    }

    #[tokio::test]
    async fn a_transaction_that_dies_frees_its_face_and_its_waiters() {
        let single_flight = SingleFlight::default();
        let (flight, _) = single_flight.join(key(), Ask::View, || async { panic!("a bug") });
        assert_eq!(
            flight.wait().await.outcome,
            Outcome::Trouble(Trouble::VendorError)
        );
        let (next, joined) = single_flight.join(key(), Ask::View, || async { landed() });
        assert!(!joined);
        assert_eq!(next.wait().await.outcome, Outcome::Picture);
    }

    #[tokio::test]
    async fn a_view_rides_on_a_refresh_but_not_the_other_way_round() {
        let single_flight = SingleFlight::default();
        let waits = || std::future::pending::<FetchResult>();
        let (_view, _) = single_flight.join(key(), Ask::View, waits);
        let (_refresh, joined) = single_flight.join(key(), Ask::Refresh, waits);
        assert!(!joined);
        let (_another, joined) = single_flight.join(key(), Ask::View, waits);
        assert!(joined);
    }
}
