//! Follows how much of a response an HTTP/2 client has taken. The socket does not tell: a client whose window is closed leaves
//! it writable, and hyper and the HTTP/2 library keep the response.
//!
//! hyper gets the body in chunks that report when their bytes go to the socket. The task that runs a stream watches them.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{self, Instant};

use super::last_progress::LastProgress;
use crate::{in_flight::InFlight, sync::lock, telemetry::Limit};

tokio::task_local! {
    /// The response that the current task sends.
    static CURRENT: Arc<Delivery>;
}

/// The memory of a stream beside its picture, in bytes.
const STREAM: u64 = 8 * 1024;
/// A stream that makes no progress for this long has to fit into `server.in_flight`.
const GRACE: Duration = Duration::from_secs(1);

/// The response on one stream.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Bytes that hyper has and the socket does not.
    pending: AtomicUsize,
    progress: LastProgress,
    /// That of all streams of the connection.
    connection: Arc<LastProgress>,
    /// Waits for `pending` to become zero.
    waker: Mutex<Option<Waker>>,
}

/// A body that reports its delivery.
pub(super) struct DeliveredBody<B> {
    body: B,
    /// Of the last frame, the bytes that hyper does not have yet.
    rest: Bytes,
    delivery: Arc<Delivery>,
}

/// Bytes that report when they go to the socket.
pub(super) struct Chunk {
    bytes: Bytes,
    delivery: Arc<Delivery>,
}

// === impl Delivery ===

impl Delivery {
    pub(super) fn new(connection: Arc<LastProgress>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            ..Self::default()
        })
    }

    /// Runs `stream`, whose response reports here.
    pub(super) async fn scope<F: Future>(self: Arc<Self>, stream: F) -> F::Output {
        CURRENT.scope(self, stream).await
    }

    /// Returns when the client has taken nothing for `limit`, or nothing for [`GRACE`] while `in_flight` has no space for its
    /// stream. Has to be polled together with the stream.
    pub(super) async fn stalled(&self, limit: Duration, in_flight: &InFlight) {
        loop {
            // Nothing is pending while the handler works. The stream's own polls cause further ones here.
            poll_fn(|_| match self.pending.load(Ordering::Relaxed) {
                0 => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
            let began = Instant::now();
            self.progress.record();
            time::sleep(GRACE.min(limit)).await;
            if self.is_taken() {
                continue;
            }
            let Some(_space) = in_flight.try_reserve(STREAM) else {
                if self.progress.at() > began {
                    continue;
                }
                return Limit::InFlight.report();
            };
            while !self.is_taken() {
                let deadline = self.progress.at() + limit;
                if deadline <= Instant::now() {
                    return Limit::SendTimeout.report();
                }
                time::sleep_until(deadline).await;
            }
        }
    }

    /// Returns when all bytes went to the socket.
    pub(super) async fn taken(&self) {
        poll_fn(|context| {
            *lock(&self.waker) = Some(context.waker().clone());
            if self.is_taken() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    pub(super) fn is_taken(&self) -> bool {
        self.pending.load(Ordering::Acquire) == 0
    }

    fn end(&self, length: usize) {
        if self.pending.fetch_sub(length, Ordering::AcqRel) == length
            && let Some(waker) = lock(&self.waker).take()
        {
            waker.wake();
        }
    }
}

// === impl DeliveredBody ===

impl<B> DeliveredBody<B> {
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            delivery: CURRENT.try_with(Arc::clone).unwrap_or_default(),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for DeliveredBody<B> {
    type Data = Chunk;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, B::Error>>> {
        /// A record of TLS has up to 16 KiB, and the frame's head and often the headers go into the same one.
        const LONGEST: usize = 16 * 1024 - 512;
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            match frame.into_data() {
                Ok(bytes) => self.rest = bytes,
                Err(other) => {
                    let trailers = other.into_trailers().unwrap_or_default();
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
        }
        let bytes = if self.rest.len() > LONGEST {
            self.rest.split_to(LONGEST)
        } else {
            mem::take(&mut self.rest)
        };
        let chunk = Chunk::new(bytes, self.delivery.clone());
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.size_hint().exact() {
            Some(length) => SizeHint::with_exact(length + self.rest.len() as u64),
            None => SizeHint::default(),
        }
    }
}

// === impl Chunk ===

impl Chunk {
    fn new(bytes: Bytes, delivery: Arc<Delivery>) -> Self {
        delivery.pending.fetch_add(bytes.len(), Ordering::AcqRel);
        Self { bytes, delivery }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, length: usize) {
        self.bytes.advance(length);
        let now = Instant::now();
        self.delivery.progress.record_at(now);
        self.delivery.connection.record_at(now);
        self.delivery.end(length);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.delivery.end(self.bytes.len());
        }
    }
}
