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
pub(super) struct Shutdown {
    is_triggered: AtomicBool,
    token: CancellationToken,
}

/// Somebody who waits for it among other things.
pub(super) struct ShutdownWaiter<'s> {
    stop: &'s Shutdown,
    waiting: Pin<Box<WaitForCancellationFuture<'s>>>,
    /// Who is woken when it comes.
    woken: Option<Waker>,
}

impl Shutdown {
    /// Now it comes.
    pub(super) fn trigger(&self) {
        // In this order: whoever is woken looks at the flag.
        self.is_triggered.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it has come.
    pub(super) fn is_triggered(&self) -> bool {
        self.is_triggered.load(Ordering::Acquire)
    }

    /// Returns when it has come.
    pub(super) fn triggered(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// To be polled often.
    pub(super) fn waiter(&self) -> ShutdownWaiter<'_> {
        ShutdownWaiter {
            stop: self,
            waiting: Box::pin(self.triggered()),
            woken: None,
        }
    }
}

impl ShutdownWaiter<'_> {
    /// Whether it has come; if not, the task is woken when it does.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.stop.is_triggered() {
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
