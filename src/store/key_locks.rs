//! Striped locks: one lock for every key, out of a fixed number of mutexes. Keys that share a stripe
//! share its mutex.
//!
//! A task that holds the lock of one key must not take the lock of another key of the same table: both
//! keys may share a stripe. The order between tables is in the documentation of [`store`](super).

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

use crate::avatar::Key;

/// A table of striped locks.
#[derive(Debug)]
pub struct KeyLocks {
    stripes: Box<[Arc<Mutex<()>>]>,
}

impl KeyLocks {
    /// A table of `stripes` mutexes. With many more stripes than locks held at once, unrelated keys
    /// seldom wait for each other.
    pub fn new(stripes: usize) -> Self {
        Self {
            stripes: (0..stripes.max(1)).map(|_| Arc::default()).collect(),
        }
    }

    /// Waits for the lock of `key`, in the order of the calls. The guard may move to another thread.
    pub async fn lock(&self, key: &Key) -> OwnedMutexGuard<()> {
        self.stripe(key).clone().lock_owned().await
    }

    /// The lock of `key`, if it is free.
    pub fn try_lock(&self, key: &Key) -> Option<MutexGuard<'_, ()>> {
        self.stripe(key).try_lock().ok()
    }

    /// Waits until every lock that is held or waited for now was released.
    pub async fn wait_idle(&self) {
        for stripe in &self.stripes {
            drop(stripe.lock().await);
        }
    }

    fn stripe(&self, key: &Key) -> &Arc<Mutex<()>> {
        let [high, low, ..] = *key.as_bytes();
        // Keys are hashes, so their first bytes are spread evenly.
        &self.stripes[usize::from(u16::from_be_bytes([high, low])) % self.stripes.len()]
    }
}

/// The table under shuttle, which runs the same tasks in many orders and reports a deadlock. It
/// switches tasks wherever a task waits or yields, and takes each operation of tokio's mutex as one
/// step.
#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Mutex as StdMutex};

    use shuttle::future::{self, yield_now};

    use super::*;
    use crate::sync::lock;

    /// Schedules per test: some tenths of a second.
    const SCHEDULES: usize = 500;

    fn key(number: usize) -> Key {
        Key::new("sales", &format!("1{number}").parse().unwrap())
    }

    /// Runs one task of `work` for each of `keys`, in many orders.
    fn check<Work>(keys: &'static [usize], stripes: usize, work: fn(Arc<Scene>, usize) -> Work)
    where
        Work: Future<Output = ()> + Send + 'static,
    {
        shuttle::check_random(
            move || {
                let scene = Arc::new(Scene {
                    locks: KeyLocks::new(stripes),
                    holders: StdMutex::default(),
                });
                let tasks: Vec<_> = keys
                    .iter()
                    .map(|key| future::spawn(work(scene.clone(), *key)))
                    .collect();
                future::block_on(async {
                    for task in tasks {
                        task.await.unwrap();
                    }
                    // A released table is idle: this ends only if no guard is left.
                    scene.locks.wait_idle().await;
                });
                assert!(lock(&scene.holders).values().all(|count| *count == 0));
            },
            SCHEDULES,
        );
    }

    struct Scene {
        locks: KeyLocks,
        /// How many tasks are inside the lock of each key.
        holders: StdMutex<HashMap<usize, usize>>,
    }

    impl Scene {
        async fn work_alone_on(&self, number: usize) {
            let before = std::mem::replace(lock(&self.holders).entry(number).or_default(), 1);
            assert_eq!(before, 0, "two tasks hold the lock of key {number}");
            yield_now().await;
            lock(&self.holders).insert(number, 0);
        }
    }

    #[test]
    fn at_most_one_task_holds_the_lock_of_a_key_and_every_task_gets_it() {
        for stripes in [1, 2, 64] {
            check(&[1, 1, 1, 2, 2], stripes, |scene, number| async move {
                let _guard = scene.locks.lock(&key(number)).await;
                scene.work_alone_on(number).await;
            });
        }
    }

    #[test]
    fn a_lock_tried_without_waiting_excludes_and_is_excluded() {
        check(&[1, 1, 1, 1], 4, |scene, number| async move {
            match scene.locks.try_lock(&key(number)) {
                Some(_guard) => scene.work_alone_on(number).await,
                None => {
                    let _guard = scene.locks.lock(&key(number)).await;
                    scene.work_alone_on(number).await;
                }
            }
        });
    }

    #[test]
    fn a_task_that_gives_up_while_it_waits_wakes_the_next_one() {
        check(&[1, 1, 1, 1], 1, |scene, number| async move {
            let own_key = key(number);
            tokio::select! {
                biased;
                _guard = scene.locks.lock(&own_key) => scene.work_alone_on(number).await,
                () = yield_now() => {}
            }
            let _guard = scene.locks.lock(&key(number)).await;
            scene.work_alone_on(number).await;
        });
    }

    #[test]
    fn two_tables_taken_in_one_order_never_deadlock() {
        shuttle::check_random(
            || {
                // As the pipeline and the store: the same keys, few stripes and many.
                let tables = Arc::new((KeyLocks::new(2), KeyLocks::new(3)));
                let tasks: Vec<_> = (0..5)
                    .map(|number| {
                        let tables = tables.clone();
                        future::spawn(async move {
                            let _outer = tables.0.lock(&key(number)).await;
                            yield_now().await;
                            let _inner = tables.1.lock(&key(number)).await;
                            yield_now().await;
                        })
                    })
                    .collect();
                future::block_on(async {
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            },
            SCHEDULES,
        );
    }

    #[test]
    fn waiting_for_an_idle_table_outlasts_the_locks_held_before_it() {
        shuttle::check_random(
            || {
                let locks = Arc::new(KeyLocks::new(3));
                let finished = Arc::new(StdMutex::new(0));
                let guards: Vec<_> = (0..3)
                    .filter_map(|n| locks.stripes[n].clone().try_lock_owned().ok())
                    .collect();
                for guard in guards {
                    let finished = finished.clone();
                    future::spawn(async move {
                        yield_now().await;
                        *lock(&finished) += 1;
                        drop(guard);
                    });
                }
                future::block_on(locks.wait_idle());
                assert_eq!(*lock(&finished), 3);
            },
            SCHEDULES,
        );
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn shuttle_would_report_two_keys_locked_in_opposite_orders() {
        shuttle::check_random(
            || {
                let locks = Arc::new(KeyLocks::new(64));
                let tasks = [(1, 2), (2, 1)].map(|(first, second)| {
                    let locks = locks.clone();
                    future::spawn(async move {
                        let _first = locks.lock(&key(first)).await;
                        yield_now().await;
                        let _second = locks.lock(&key(second)).await;
                    })
                });
                future::block_on(async {
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            },
            SCHEDULES,
        );
    }
}
