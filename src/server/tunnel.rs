//! A connection that has switched protocols, such as to WebSocket (RFC 9110 §7.8): from then on, bytes go both ways
//! between the client and another server.

use std::{
    any::Any,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio_util::sync::CancellationToken;

use super::last_progress::LastProgress;
use crate::sync::lock;

/// The other server's side of a switched connection. It is an extension of the response with status 101.
#[derive(Clone)]
pub struct Tunnel(Arc<Mutex<Option<OtherSide>>>);

pub(super) struct OtherSide {
    stream: TokioIo<Upgraded>,
    idle: Duration,
    /// Dropped when the tunnel ends.
    _guard: Box<dyn Any + Send>,
}

/// A stream that records when bytes arrive.
struct MonitoredStream<'a, S> {
    stream: S,
    progress: &'a LastProgress,
}

impl Tunnel {
    /// A tunnel to `stream` that ends when nothing arrives for `idle`, and then drops `guard`.
    pub fn new(stream: Upgraded, idle: Duration, guard: impl Any + Send) -> Self {
        Self(Arc::new(Mutex::new(Some(OtherSide {
            stream: TokioIo::new(stream),
            idle,
            _guard: Box::new(guard),
        }))))
    }

    pub(super) fn take(&self) -> Option<OtherSide> {
        lock(&self.0).take()
    }
}

impl OtherSide {
    /// Copies both ways until both sides have ended, one has failed, nothing arrives for too long, or the server stops.
    pub(super) async fn join(
        self,
        client: impl AsyncRead + AsyncWrite + Unpin,
        shutdown: &CancellationToken,
    ) -> io::Result<()> {
        let progress = LastProgress::default();
        let mut client = MonitoredStream {
            stream: client,
            progress: &progress,
        };
        let mut other = MonitoredStream {
            stream: self.stream,
            progress: &progress,
        };
        let copied = pin!(copy_bidirectional(&mut client, &mut other));
        tokio::select! {
            copied = copied => copied.map(|_| ()),
            () = progress.wait_for_stall(self.idle) => Ok(()),
            () = shutdown.cancelled() => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MonitoredStream<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.progress.record();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MonitoredStream<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
