//! How long a request waits for the vendor: until the first-paint deadline, or longer if it says so. The number of
//! requests that wait longer is bounded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{self, Instant};

use super::settings::Settings;
use crate::telemetry::Limit;

/// How long one request waits.
#[derive(Debug)]
pub(super) struct Patience {
    /// `None` if it waits until the fetch ends.
    pub(super) deadline: Option<Instant>,
    /// The place of a request that waits for longer than others.
    long_wait: Option<LongWait>,
}

/// The requests that wait for longer than `first_paint`. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(super) struct LongWaits(Arc<AtomicUsize>);

/// A request that waits for longer than `first_paint`.
#[derive(Debug)]
struct LongWait(LongWaits);

impl Patience {
    /// The patience of a request that begins now. `wait` is how long it says that it waits.
    pub(super) fn new(settings: &Settings, waits: &LongWaits, wait: Option<Duration>) -> Self {
        let first_paint = settings.first_paint;
        let longest = settings.longest_wait;
        let wait = wait.filter(|_| !longest.is_zero());
        let wait = wait.map(|wait| wait.min(longest));
        let is_long = wait.is_some_and(|wait| wait > first_paint && !first_paint.is_zero());
        let long_wait = match is_long {
            true => waits.begin(settings.max_waiting),
            false => None,
        };
        let wait = wait.filter(|_| !is_long || long_wait.is_some());
        let wait = wait.or((!first_paint.is_zero()).then_some(first_paint));
        Self {
            deadline: wait.map(|wait| Instant::now() + wait),
            long_wait,
        }
    }

    /// Whether the request also waits for a place in the queue that is further behind.
    pub(super) fn is_long(&self) -> bool {
        self.long_wait.is_some()
    }

    /// The result of `work`, or `None` if the deadline comes first.
    pub(super) async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self.deadline {
            Some(deadline) => time::timeout_at(deadline, work).await.ok(),
            None => Some(work.await),
        }
    }

    /// The time that is left.
    pub(super) fn left(&self) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.deadline.map_or(Duration::MAX, left)
    }
}

impl LongWaits {
    fn begin(&self, max: usize) -> Option<LongWait> {
        let more = |waiting| (waiting < max).then_some(waiting + 1);
        let begun = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if begun.is_err() {
            Limit::Waiting.report();
            return None;
        }
        Some(LongWait(self.clone()))
    }
}

impl Drop for LongWait {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
