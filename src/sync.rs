//! One way to lock a mutex, for every module.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a thread panicked while it held the lock: every value behind a mutex here
/// is valid between two statements, so a panic leaves it usable.
///
/// In a unit test that runs under shuttle, this is a point where the scheduler may switch to another
/// task.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(test)]
    if shuttle::current::try_get_current_task().is_some() {
        return lock_under_shuttle(mutex);
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shuttle runs its tasks by turns on one thread, so a task that finds the mutex locked has to give
/// way to the lock holder instead of blocking that thread.
#[cfg(test)]
fn lock_under_shuttle<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    use std::sync::TryLockError;
    loop {
        shuttle::thread::yield_now();
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(error)) => return error.into_inner(),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{panic, sync::Arc, thread};

    use super::*;

    #[test]
    fn a_mutex_is_usable_after_its_lock_holder_panicked() {
        let mutex = Arc::new(Mutex::new(1));
        let theirs = mutex.clone();
        let panicked = thread::spawn(move || {
            let _guard = lock(&theirs);
            panic::resume_unwind(Box::new(()));
        });
        assert!(panicked.join().is_err());
        assert_eq!(*lock(&mutex), 1);
    }

    #[test]
    fn shuttle_switches_tasks_between_two_locks() {
        let seen = Arc::new(Mutex::new([false; 2]));
        let all = seen.clone();
        shuttle::check_random(
            move || {
                let count = Arc::new(Mutex::new(0));
                // Reads, and writes later: an increment of the other task in between is lost.
                let increment = |count: &Mutex<i32>| {
                    let read = *lock(count);
                    *lock(count) = read + 1;
                };
                let other = shuttle::thread::spawn({
                    let count = count.clone();
                    move || increment(&count)
                });
                increment(&count);
                other.join().unwrap();
                let lost = *lock(&count) == 1;
                lock(&all)[usize::from(lost)] = true;
            },
            200,
        );
        assert_eq!(*lock(&seen), [true; 2]);
    }
}
