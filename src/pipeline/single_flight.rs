//! Single-flight: one fetch per face at a time. Every request for the face waits for the same fetch and
//! gets its result, also if it failed: a failed fetch is not repeated once per waiter.
//!
//! The fetch runs in a task of its own, so a waiter that is cancelled neither stops the fetch nor
//! delays other waiters. If that task panics or is dropped, its waiters get the result of an aborted
//! fetch, and the next request starts a new one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::SetOnce,
    time::{self, Instant},
};
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
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    /// Wakes the waiters in the order in which they began to wait.
    result: Arc<SetOnce<FetchResult>>,
    /// When the vendor was called.
    called_at: Arc<SetOnce<Instant>>,
    /// Whether the entry was removed by a hard purge since the fetch began.
    is_purged: Arc<AtomicBool>,
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
    pub(super) fn join<F>(
        &self,
        key: Key,
        ask: Ask,
        start: impl FnOnce(Flight) -> F,
    ) -> (Flight, bool)
    where
        F: Future<Output = FetchResult> + Send + 'static,
    {
        let (flight, leader) = self.enter(key, ask);
        let Some(leader) = leader else {
            return (flight, true);
        };
        // The span is the one of the request that caused the fetch, which the fetch may outlive.
        let fetch = start(flight.clone()).in_current_span();
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
        let flight = Flight::default();
        in_flight.insert((key, ask), flight.clone());
        let leader = Leader {
            single_flight: self.clone(),
            id: (key, ask),
            flight: flight.clone(),
        };
        (flight, Some(leader))
    }

    /// Tells the fetches in flight that the entry is removed. The caller holds the key lock.
    pub(super) fn record_purge(&self, key: Key) {
        let in_flight = self.in_flight();
        for ask in [Ask::View, Ask::Refresh] {
            if let Some(flight) = in_flight.get(&(key, ask)) {
                flight.is_purged.store(true, Ordering::Release);
            }
        }
    }

    /// Whether there is a fetch of this face.
    pub(super) fn is_in_flight(&self, key: Key) -> bool {
        let in_flight = self.in_flight();
        [Ask::View, Ask::Refresh]
            .iter()
            .any(|ask| in_flight.contains_key(&(key, *ask)))
    }

    /// Whether the process is about to end.
    pub(super) fn is_closing(&self) -> bool {
        self.tasks.is_closed()
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
        // The result is set only here, so this cannot fail.
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

    /// The vendor is called now.
    pub(super) fn record_call(&self) {
        // A fetch may call twice. The first time counts.
        let _ = self.called_at.set(Instant::now());
    }

    /// Whether the entry was removed by a hard purge since the fetch began. The caller holds the key lock.
    pub(super) fn is_purged(&self) -> bool {
        self.is_purged.load(Ordering::Acquire)
    }

    /// How long ago the vendor was called.
    pub(super) fn time_since_call(&self) -> Option<Duration> {
        self.called_at.get().map(Instant::elapsed)
    }

    /// Waits until it is known that the result comes after `deadline`, if a fetch takes `latency`.
    pub(super) async fn wait_until_late(&self, latency: impl Fn() -> Duration, deadline: Instant) {
        let called_at = *self.called_at.wait().await;
        if called_at + latency() < deadline {
            // A fetch of the usual duration would end in time, so only the deadline shows that it is late.
            time::sleep_until(deadline).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
        pin::pin,
        sync::atomic::AtomicUsize,
        task::{Context, Wake, Waker},
    };

    use tokio::{sync::Notify, task::yield_now};

    use super::*;
    use crate::avatar::{Outcome, Trouble};

    fn key() -> Key {
        Key::new("sales", &"628123".parse().unwrap())
    }

    fn picture() -> FetchResult {
        FetchResult {
            outcome: Outcome::Picture,
            ..FetchResult::aborted()
        }
    }

    const ABORTED: Outcome = Outcome::Trouble(Trouble::VendorError);

    /// A fetch that gets its picture once `signal` is notified.
    async fn fetch_after(signal: Arc<Notify>) -> FetchResult {
        signal.notified().await;
        picture()
    }

    #[tokio::test]
    async fn a_thousand_requests_share_one_fetch() {
        let single_flight = SingleFlight::default();
        let (runs, signal) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut requests = Vec::new();
        for _ in 0..1000 {
            let (runs, signal) = (runs.clone(), signal.clone());
            requests.push(single_flight.join(key(), Ask::View, |_| async move {
                runs.fetch_add(1, Ordering::SeqCst);
                fetch_after(signal).await
            }));
        }
        signal.notify_one();
        assert_eq!(requests.iter().filter(|(_, joined)| !joined).count(), 1);
        for (flight, _) in requests {
            assert_eq!(flight.wait().await.outcome, Outcome::Picture);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_shared_by_its_waiters_and_not_repeated() {
        let single_flight = SingleFlight::default();
        let signal = Arc::new(Notify::new());
        let held = signal.clone();
        let (first, _) = single_flight.join(key(), Ask::View, |_| async move {
            held.notified().await;
            FetchResult::aborted()
        });
        let (second, joined) = single_flight.join(key(), Ask::View, |_| async {
            unreachable!("a second fetch")
        });
        signal.notify_one();
        assert!(joined);
        assert_eq!(first.wait().await.outcome, ABORTED);
        assert_eq!(second.wait().await.outcome, ABORTED);
    }

    #[tokio::test]
    async fn a_request_after_the_result_starts_a_new_fetch() {
        let single_flight = SingleFlight::default();
        for _ in 0..2 {
            let (flight, joined) = single_flight.join(key(), Ask::View, |_| async { picture() });
            assert!(!joined);
            flight.wait().await;
        }
    }

    #[tokio::test]
    async fn a_view_joins_a_refresh_and_a_refresh_joins_no_view() {
        let single_flight = SingleFlight::default();
        let hang = |_| std::future::pending::<FetchResult>();
        let (_view, _) = single_flight.join(key(), Ask::View, hang);
        let (_refresh, joined) = single_flight.join(key(), Ask::Refresh, hang);
        assert!(!joined);
        let (_view, joined) = single_flight.join(key(), Ask::View, hang);
        assert!(joined);
    }

    #[tokio::test]
    async fn waiters_are_answered_in_the_order_of_their_arrival() {
        let single_flight = SingleFlight::default();
        let (signal, answered) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
        let mut waiters = Vec::new();
        for place in 0..1000 {
            let signal = signal.clone();
            let (flight, _) = single_flight.join(key(), Ask::View, |_| fetch_after(signal));
            let answered = answered.clone();
            waiters.push(tokio::spawn(async move {
                flight.wait().await;
                lock(&answered).push(place);
            }));
        }
        yield_now().await;
        signal.notify_one();
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert!(lock(&answered).is_sorted());
    }

    // === Cancellation ===

    #[tokio::test]
    async fn cancelling_every_waiter_leaves_the_fetch_running() {
        let single_flight = SingleFlight::default();
        let signal = Arc::new(Notify::new());
        let held = signal.clone();
        let (flight, _) = single_flight.join(key(), Ask::View, |_| fetch_after(held));
        let waiter = tokio::spawn(async move { flight.wait().await });
        yield_now().await;
        waiter.abort();
        assert!(waiter.await.unwrap_err().is_cancelled());
        let (later, joined) = single_flight.join(key(), Ask::View, |_| async {
            unreachable!("a second fetch")
        });
        signal.notify_one();
        assert!(joined);
        assert_eq!(later.wait().await.outcome, Outcome::Picture);
    }

    #[test]
    fn cancelling_a_waiter_keeps_the_order_in_which_the_others_wake() {
        /// Records its place when it is woken.
        struct Place(usize, Arc<Mutex<Vec<usize>>>);

        impl Wake for Place {
            fn wake(self: Arc<Self>) {
                lock(&self.1).push(self.0);
            }
        }

        let single_flight = SingleFlight::default();
        let (flight, leader) = single_flight.enter(key(), Ask::View);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut waiters: Vec<_> = (0..200)
            .map(|place| {
                let mut wait = Box::pin(flight.wait());
                let waker = Waker::from(Arc::new(Place(place, woken.clone())));
                assert!(
                    wait.as_mut()
                        .poll(&mut Context::from_waker(&waker))
                        .is_pending()
                );
                (place, wait)
            })
            .collect();
        waiters.retain(|(place, _)| place % 3 != 0);
        let left: Vec<_> = waiters.iter().map(|(place, _)| *place).collect();
        leader.unwrap().finish(picture());
        assert_eq!(*lock(&woken), left);
    }

    #[tokio::test]
    async fn a_panicking_fetch_frees_its_waiters_and_its_key() {
        let single_flight = SingleFlight::default();
        let (flight, _) = single_flight.join(key(), Ask::View, |_| async { panic!("a bug") });
        assert_eq!(flight.wait().await.outcome, ABORTED);
        let (next, joined) = single_flight.join(key(), Ask::View, |_| async { picture() });
        assert!(!joined);
        assert_eq!(next.wait().await.outcome, Outcome::Picture);
    }

    #[tokio::test]
    async fn a_fetch_that_panics_before_it_starts_frees_its_key() {
        let single_flight = SingleFlight::default();
        let start = |_| -> std::future::Ready<FetchResult> { resume_unwind(Box::new(())) };
        let join = AssertUnwindSafe(|| single_flight.join(key(), Ask::View, start));
        assert!(catch_unwind(join).is_err());
        let (next, joined) = single_flight.join(key(), Ask::View, |_| async { picture() });
        assert!(!joined);
        assert_eq!(next.wait().await.outcome, Outcome::Picture);
    }

    #[tokio::test]
    async fn a_dropped_leader_frees_its_waiters_and_its_key() {
        let single_flight = SingleFlight::default();
        let (flight, leader) = single_flight.enter(key(), Ask::View);
        let waiter = tokio::spawn(async move { flight.wait().await });
        yield_now().await;
        drop(leader);
        assert_eq!(waiter.await.unwrap().outcome, ABORTED);
        assert!(single_flight.in_flight().is_empty());
    }

    // === All interleavings: shuttle runs the same tasks in many orders and reports a deadlock. ===

    /// Schedules per test: some tenths of a second.
    const SCHEDULES: usize = 1_000;

    /// The end of a fetch under shuttle.
    #[derive(Clone, Copy)]
    enum End {
        Picture,
        Panic,
        /// Its task is aborted, now or later.
        Abort,
    }

    #[derive(Default)]
    struct Scene {
        single_flight: SingleFlight,
        running: AtomicUsize,
        started: AtomicUsize,
    }

    impl Scene {
        /// As [`SingleFlight::join`], with shuttle's tasks.
        fn join(self: &Arc<Self>, ask: Ask, end: End) -> Flight {
            let (flight, leader) = self.single_flight.enter(key(), ask);
            let Some(leader) = leader else {
                return flight;
            };
            let lead = leader.lead(self.clone().fetch(end));
            let task = self.single_flight.tasks.track_future(catch_panic(lead));
            let task = shuttle::future::spawn(task);
            if let End::Abort = end {
                shuttle::future::spawn(async move {
                    shuttle::future::yield_now().await;
                    task.abort();
                });
            }
            flight
        }

        async fn fetch(self: Arc<Self>, end: End) -> FetchResult {
            let number = self.started.fetch_add(1, Ordering::SeqCst);
            let running = Running::new(&self.running);
            assert_eq!(running.before, 0, "two fetches of one face at a time");
            shuttle::future::yield_now().await;
            match end {
                End::Picture => numbered(number),
                End::Panic => resume_unwind(Box::new(())),
                End::Abort => {
                    shuttle::future::yield_now().await;
                    numbered(number)
                }
            }
        }
    }

    /// A picture with the number of its fetch as the vendor's status.
    fn numbered(number: usize) -> FetchResult {
        FetchResult {
            status: u16::try_from(number).ok(),
            ..picture()
        }
    }

    /// Counts the fetches that run, also those that end by a panic or are dropped.
    struct Running<'a> {
        count: &'a AtomicUsize,
        before: usize,
    }

    impl<'a> Running<'a> {
        fn new(count: &'a AtomicUsize) -> Self {
            let before = count.fetch_add(1, Ordering::SeqCst);
            Self { count, before }
        }
    }

    impl Drop for Running<'_> {
        fn drop(&mut self) {
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Ends quietly where `work` panics, as a task of tokio does.
    async fn catch_panic(work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        let poll = |context: &mut Context<'_>| {
            let poll = AssertUnwindSafe(|| work.as_mut().poll(context));
            catch_unwind(poll).unwrap_or(std::task::Poll::Ready(()))
        };
        poll_fn(poll).await;
    }

    /// Runs a request for each of `ends`, which is the end of its fetch if it becomes the leader.
    fn check<R>(ends: &'static [End], request: fn(Arc<Scene>, End) -> R)
    where
        R: Future<Output = ()> + Send + 'static,
    {
        shuttle::check_random(
            move || {
                let scene = Arc::new(Scene::default());
                let requests: Vec<_> = ends
                    .iter()
                    .map(|end| shuttle::future::spawn(request(scene.clone(), *end)))
                    .collect();
                shuttle::future::block_on(async {
                    for request in requests {
                        request.await.unwrap();
                    }
                    scene.single_flight.wait_idle().await;
                });
                assert!(scene.single_flight.in_flight().is_empty());
            },
            SCHEDULES,
        );
    }

    #[test]
    fn in_every_order_one_fetch_runs_at_a_time_and_every_waiter_gets_its_result() {
        check(&[End::Picture; 5], |scene, end| async move {
            let result = scene.join(Ask::View, end).wait().await;
            assert_eq!(result.outcome, Outcome::Picture);
        });
    }

    #[test]
    fn in_every_order_a_request_after_a_result_gets_that_of_a_later_fetch() {
        check(&[End::Picture; 4], |scene, end| async move {
            let first = scene.join(Ask::View, end).wait().await;
            let second = scene.join(Ask::View, end).wait().await;
            assert!(first.status < second.status);
        });
    }

    #[test]
    fn in_every_order_a_panicking_or_aborted_fetch_frees_its_waiters() {
        let ends = &[End::Panic, End::Abort, End::Picture, End::Abort, End::Panic];
        check(ends, |scene, end| async move {
            scene.join(Ask::View, end).wait().await;
        });
    }

    #[test]
    fn in_every_order_cancelled_waiters_leave_the_others_their_result() {
        check(&[End::Picture; 5], |scene, end| async move {
            let flight = scene.join(Ask::View, end);
            tokio::select! {
                biased;
                _ = flight.wait() => {}
                () = shuttle::future::yield_now() => {}
            }
            let result = scene.join(Ask::View, end).wait().await;
            assert_eq!(result.outcome, Outcome::Picture);
        });
    }
}
