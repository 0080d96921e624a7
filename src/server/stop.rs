//! The server's end, as its connections learn of it. A token's own answer costs a lock that all connections
//! share, and they ask for every request; so they look at a flag, and wait for the token only once.

use std::{
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// The server's end.
#[derive(Debug, Default)]
pub(super) struct Stop {
    has_come: AtomicBool,
    token: CancellationToken,
}

/// Somebody who waits for it among other things.
pub(super) struct Stopped<'s> {
    stop: &'s Stop,
    waiting: Pin<Box<WaitForCancellationFuture<'s>>>,
    /// Who is woken when it comes.
    woken: Option<Waker>,
}

impl Stop {
    /// Now it comes.
    pub(super) fn come(&self) {
        // In this order: whoever is woken looks at the flag.
        self.has_come.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it has come.
    pub(super) fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Acquire)
    }

    /// Returns when it has come.
    pub(super) fn coming(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// To be polled often.
    pub(super) fn stopped(&self) -> Stopped<'_> {
        Stopped {
            stop: self,
            waiting: Box::pin(self.coming()),
            woken: None,
        }
    }
}

impl Stopped<'_> {
    /// Whether it has come; if not, the task is woken when it does.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.stop.has_come() {
            return Poll::Ready(());
        }
        let task = context.waker();
        if self
            .woken
            .as_ref()
            .is_some_and(|woken| woken.will_wake(task))
        {
            return Poll::Pending;
        }
        self.woken = Some(task.clone());
        self.waiting.as_mut().poll(context)
    }
}
