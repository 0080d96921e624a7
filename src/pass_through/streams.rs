//! The bodies of requests and answers on their way. Each ends when nothing moves for a time.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{self, Instant, Sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{
    http::access_log::StreamLog,
    server::{BoxError, RequestBody},
    sync::lock,
};

/// The progress of a request's body, as the forwarding sees it.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    moved_at: Instant,
    /// Whether the next part has to come from the client. The vendor is not waited for then.
    waits_for_client: bool,
    failure: Option<UploadFailure>,
}

/// Why a request's body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadFailure {
    TooLong,
    Idle,
    Aborted,
}

/// The body of a request on its way to the vendor.
pub(super) struct Upload {
    body: RequestBody,
    left: u64,
    idle: IdleTimer,
    progress: Progress,
}

/// The body of an answer on its way to the client.
pub(super) struct Download {
    body: Incoming,
    idle: IdleTimer,
    /// Completes when the body has to end although the vendor goes on.
    end: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Writes the request's line in the access log when the body ends.
    log: StreamLog,
    _permit: OwnedSemaphorePermit,
}

/// Fires when nothing moves for a time.
struct IdleTimer {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

// === impl Progress ===

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            moved_at: Instant::now(),
            waits_for_client: false,
            failure: None,
        })))
    }

    pub(super) fn failure(&self) -> Option<UploadFailure> {
        lock(&self.0).failure
    }

    /// Returns when the vendor has neither taken a part of the body nor begun to answer for `limit`.
    pub(super) async fn vendor_is_late(&self, limit: Duration) {
        loop {
            let (moved_at, waits_for_client) = {
                let state = lock(&self.0);
                (state.moved_at, state.waits_for_client)
            };
            let deadline = match waits_for_client {
                true => Instant::now() + limit,
                false if moved_at + limit <= Instant::now() => return,
                false => moved_at + limit,
            };
            time::sleep_until(deadline).await;
        }
    }

    fn moved(&self) {
        let mut state = lock(&self.0);
        state.moved_at = Instant::now();
        state.waits_for_client = false;
    }

    fn fail(&self, failure: UploadFailure) -> BoxError {
        lock(&self.0).failure = Some(failure);
        "the body of the request ended early".into()
    }
}

// === impl Upload ===

impl Upload {
    pub(super) fn new(
        body: RequestBody,
        longest: u64,
        idle: Duration,
        progress: &Progress,
    ) -> Self {
        Self {
            body,
            left: longest,
            idle: IdleTimer::new(idle),
            progress: progress.clone(),
        }
    }

    /// Whether the body says that it is longer than allowed.
    pub(super) fn is_too_long(&self) -> bool {
        self.body.size_hint().lower() > self.left
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending if self.idle.is_over(context) => {
                return Poll::Ready(Some(Err(self.progress.fail(UploadFailure::Idle))));
            }
            Poll::Pending => {
                lock(&self.progress.0).waits_for_client = true;
                return Poll::Pending;
            }
        };
        self.progress.moved();
        self.idle.restart();
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match self.left.checked_sub(length) {
                    Some(left) => {
                        self.left = left;
                        Some(Ok(frame))
                    }
                    None => Some(Err(self.progress.fail(UploadFailure::TooLong))),
                }
            }
            Some(Err(_)) => Some(Err(self.progress.fail(UploadFailure::Aborted))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Download ===

impl Download {
    pub(super) fn new(
        body: Incoming,
        idle: Duration,
        end: Option<WaitForCancellationFutureOwned>,
        log: StreamLog,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            body,
            idle: IdleTimer::new(idle),
            end: end.map(Box::pin),
            log,
            _permit: permit,
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending if self.idle.is_over(context) => {
                return Poll::Ready(Some(Err("the gateway sent nothing for too long".into())));
            }
            Poll::Pending => return Poll::Pending,
        };
        self.idle.restart();
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            self.log
                .add_bytes(frame.data_ref().map_or(0, Bytes::len) as u64);
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl IdleTimer ===

impl IdleTimer {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: Box::pin(time::sleep(limit)),
        }
    }

    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.sleep.as_mut().poll(context).is_ready()
    }

    fn restart(&mut self) {
        let deadline = Instant::now() + self.limit;
        self.sleep.as_mut().reset(deadline);
    }
}
