//! The image threads: at most one a core, for work that takes milliseconds of CPU.

use tokio::{
    runtime::{Builder, Runtime},
    task,
};

/// A pool of threads for images, apart from the server's blocking threads: a disk that hangs occupies
/// all of those, and images would take them from the disk.
///
/// Of the Tokio runtime only the blocking pool is used: its queue, its limit of threads, and idle
/// threads that end after ten seconds and so free their scratch buffers. No task ever runs on it.
/// `None` where it could not be built; the server's threads do the work then.
pub(super) struct ImagePool(Option<Runtime>);

impl ImagePool {
    pub(super) fn new(threads: usize) -> Self {
        let runtime = Builder::new_current_thread()
            .thread_name("images")
            .max_blocking_threads(threads)
            .build();
        Self(runtime.ok())
    }

    /// Runs `work` on a thread of the pool, as soon as one is free. A panic ends that work only and
    /// is the handle's error.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> task::JoinHandle<T> {
        match &self.0 {
            Some(runtime) => runtime.spawn_blocking(work),
            None => task::spawn_blocking(work),
        }
    }
}

impl Drop for ImagePool {
    fn drop(&mut self) {
        // The drop may happen in a task, which must not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    #[tokio::test]
    async fn the_pool_runs_no_more_work_at_once_than_it_has_threads() {
        let threads = 2;
        let pool = ImagePool::new(threads);
        let (begun, beginnings) = mpsc::channel();
        let (release, hangs) = mpsc::channel::<()>();
        let hangs = Arc::new(Mutex::new(hangs));
        let work: Vec<_> = (0..threads + 3)
            .map(|_| {
                let (begun, hangs) = (begun.clone(), hangs.clone());
                pool.spawn(move || {
                    begun.send(()).unwrap();
                    let _ = hangs.lock().unwrap().recv();
                })
            })
            .collect();
        for _ in 0..threads {
            beginnings.recv().unwrap();
        }
        assert!(beginnings.try_recv().is_err());
        drop(release);
        for work in work {
            work.await.unwrap();
        }
        assert_eq!(beginnings.try_iter().count(), 3);
    }
}
