//! The queue before the image threads, and the memory that they may take together. Each part of the cost
//! of image work has a bound here:
//!
//! * `work` bytes for all work under way, by its price;
//! * `jobs` that wait, and for each client a quarter of them;
//! * `work` bytes again for the files that those hold while they wait.
//!
//! Work beyond a bound gets no place: its client is sent another image at once.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    sync::lock,
    telemetry::{Limit, Metrics},
};

/// The unit of [`Queue::work`]: a semaphore counts in 32 bits.
const UNIT: u64 = 1024;
/// The share of the queue that one client may take.
const CLIENT_SHARE: usize = 4;

/// Lets work begin in the order in which it came.
pub(super) struct Queue {
    threads: Arc<Semaphore>,
    work: Arc<Semaphore>,
    max_bytes: u64,
    max_jobs: usize,
    waiting: Mutex<QueueLoad>,
    metrics: Metrics,
}

/// The jobs that wait, and the bytes that they hold.
#[derive(Default)]
struct QueueLoad {
    jobs: usize,
    bytes: u64,
    jobs_of_clients: HashMap<IpAddr, usize>,
}

/// A place in the queue. Dropping it frees the place.
pub(super) struct Place {
    queue: Arc<Queue>,
    jobs: usize,
    bytes: u64,
    client: Option<IpAddr>,
}

/// The right to work. Dropping it gives back a thread and the memory.
pub(super) struct Permit {
    _thread: OwnedSemaphorePermit,
    _work: OwnedSemaphorePermit,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(threads: usize, max_bytes: u64, max_jobs: usize, metrics: Metrics) -> Self {
        Self {
            threads: Arc::new(Semaphore::new(threads)),
            work: Arc::new(Semaphore::new(units(max_bytes) as usize)),
            max_bytes,
            max_jobs,
            waiting: Mutex::default(),
            metrics,
        }
    }

    /// Whether work of this price can ever begin.
    pub(super) fn affords(&self, price: u64) -> bool {
        price <= self.max_bytes
    }

    /// The bytes for all work.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Takes a place for a job of `client`, which holds a file of this length.
    pub(super) fn enter(self: &Arc<Self>, client: Option<IpAddr>, bytes: u64) -> Option<Place> {
        let mut waiting = lock(&self.waiting);
        if waiting.jobs >= self.max_jobs || waiting.bytes + bytes > self.max_bytes {
            self.metrics.record_limit_reached(Limit::ImageQueue);
            return None;
        }
        if let Some(client) = client {
            let jobs = waiting.jobs_of_clients.entry(client).or_default();
            if *jobs >= self.max_jobs.div_ceil(CLIENT_SHARE) {
                self.metrics.record_limit_reached(Limit::ImageClient);
                return None;
            }
            *jobs += 1;
        }
        waiting.jobs += 1;
        waiting.bytes += bytes;
        self.metrics.set_image_queue(waiting.jobs);
        Some(self.place(1, bytes, client))
    }

    /// Takes a place for a request that waits for another request's job and holds a file of its own.
    pub(super) fn join(self: &Arc<Self>, bytes: u64) -> Option<Place> {
        let mut waiting = lock(&self.waiting);
        if waiting.bytes + bytes > self.max_bytes {
            self.metrics.record_limit_reached(Limit::ImageQueue);
            return None;
        }
        waiting.bytes += bytes;
        Some(self.place(0, bytes, None))
    }

    fn place(self: &Arc<Self>, jobs: usize, bytes: u64, client: Option<IpAddr>) -> Place {
        Place {
            queue: self.clone(),
            jobs,
            bytes,
            client,
        }
    }

    /// Waits for a thread, and for the memory of work of this price, which [`Queue::affords`].
    pub(super) async fn start(&self, price: u64) -> Permit {
        // Nothing closes the semaphores.
        const OPEN: &str = "the semaphore is open";
        let thread = self.threads.clone().acquire_owned().await.expect(OPEN);
        let work = self.work.clone().acquire_many_owned(units(price));
        Permit {
            _thread: thread,
            _work: work.await.expect(OPEN),
        }
    }
}

/// Bytes in units, rounded up.
fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = lock(&self.queue.waiting);
        waiting.jobs -= self.jobs;
        waiting.bytes -= self.bytes;
        if let Some(client) = self.client
            && let Some(jobs) = waiting.jobs_of_clients.get_mut(&client)
        {
            *jobs -= 1;
            if *jobs == 0 {
                waiting.jobs_of_clients.remove(&client);
            }
        }
        self.queue.metrics.set_image_queue(waiting.jobs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(max_bytes: u64, max_jobs: usize) -> Arc<Queue> {
        Arc::new(Queue::new(1, max_bytes, max_jobs, Metrics::new()))
    }

    fn client(number: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, number]))
    }

    #[test]
    fn one_client_takes_no_more_than_its_share_of_the_queue() {
        let queue = queue(1 << 20, 8);
        let first: Vec<_> = (0..8).filter_map(|_| queue.enter(client(1), 1)).collect();
        assert_eq!(first.len(), 2);
        assert!(queue.enter(client(2), 1).is_some());
        drop(first);
        assert!(queue.enter(client(1), 1).is_some());
        assert!(lock(&queue.waiting).jobs_of_clients.is_empty());
    }

    #[test]
    fn the_queue_holds_a_bounded_number_of_jobs_and_of_bytes() {
        let queue = queue(1000, 8);
        let all: Vec<_> = (0..20).filter_map(|_| queue.enter(None, 1)).collect();
        assert_eq!(all.len(), 8);
        drop(all);
        let large: Vec<_> = (0..8).filter_map(|_| queue.enter(None, 300)).collect();
        assert_eq!(large.len(), 3);
        assert!(queue.join(101).is_none());
        assert!(queue.join(100).is_some());
        drop(large);
        assert_eq!(lock(&queue.waiting).bytes, 0);
    }
}
