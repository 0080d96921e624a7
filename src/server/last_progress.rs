//! The time of the last progress of a stream or a connection, to the millisecond. Tasks share it without a lock.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{self, Instant};

/// The time of the last progress.
#[derive(Debug)]
pub(super) struct LastProgress(AtomicU64);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl LastProgress {
    /// Records progress now.
    pub(super) fn record(&self) {
        self.record_at(Instant::now());
    }

    /// Records progress at this time.
    pub(super) fn record_at(&self, time: Instant) {
        let since_start = time.saturating_duration_since(*START);
        let millis = since_start.as_millis() as u64;
        self.0.store(millis, Ordering::Relaxed);
    }

    /// The time of the last progress.
    pub(super) fn at(&self) -> Instant {
        *START + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// Returns when there was no progress for `limit`.
    pub(super) async fn wait_for_stall(&self, limit: Duration) {
        loop {
            let deadline = self.at() + limit;
            if deadline <= Instant::now() {
                return;
            }
            time::sleep_until(deadline).await;
        }
    }
}

impl Default for LastProgress {
    fn default() -> Self {
        let progress = Self(AtomicU64::new(0));
        progress.record();
        progress
    }
}
