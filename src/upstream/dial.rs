//! Opens TCP connections, only to addresses that the guard allows. The checked address itself is dialed,
//! so a host that resolves differently a moment later (DNS rebinding) changes nothing.
//!
//! The addresses of a host are tried one after the other, a moment apart, and the first connection that
//! is made is used (RFC 8305 §5): an address family that leads nowhere costs that moment.

use std::{
    future::Future,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Response, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection},
    },
    rt::TokioIo,
};
use tokio::{net::TcpStream, task::JoinSet, time};
use tower_service::Service;

use super::{
    guard::{Guard, GuardError},
    resolver::Resolver,
};

/// The connector under the TLS connector.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    guard: Arc<Guard>,
    resolver: Resolver,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct DialedStream {
    io: TokioIo<TcpStream>,
    has_answered: HasAnswered,
}

/// Whether a request on a connection was answered, so that the next one is sent on a kept connection.
#[derive(Clone, Debug, Default)]
pub(super) struct HasAnswered(Arc<AtomicBool>);

/// The time limit for one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an attempt goes on alone before the next address is tried as well (RFC 8305 §8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

impl Dial {
    pub(super) fn new(guard: Arc<Guard>, resolver: Resolver) -> Self {
        Self { guard, resolver }
    }

    async fn connect(self, uri: Uri) -> io::Result<DialedStream> {
        let host = uri
            .host()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the URL has no host"))?;
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });

        let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        let mut allowed = Vec::new();
        for address in self.resolver.resolve(host).await? {
            match self.guard.check_address(address, is_secure) {
                Ok(()) => allowed.push(SocketAddr::new(address, port)),
                Err(refusal) => {
                    last_error = io::Error::new(io::ErrorKind::PermissionDenied, refusal);
                }
            }
        }
        let stream = connect_to_first(allowed, last_error).await?;
        stream.set_nodelay(true)?;
        Ok(DialedStream {
            io: TokioIo::new(stream),
            has_answered: HasAnswered::default(),
        })
    }
}

/// Connects to the first address that answers. `error` is the result if there is no address.
async fn connect_to_first(
    addresses: Vec<SocketAddr>,
    mut error: io::Error,
) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut addresses = addresses.into_iter();
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)));
        }
        tokio::select! {
            attempt = attempts.join_next() => match attempt {
                Some(Ok(Ok(Ok(stream)))) => return Ok(stream),
                Some(Ok(Ok(Err(refusal)))) => error = refusal,
                Some(_) => error = io::ErrorKind::TimedOut.into(),
                None => return Err(error),
            },
            () = time::sleep(ATTEMPT_DELAY), if addresses.len() > 0 => {}
        }
    }
}

impl Service<Uri> for Dial {
    type Response = DialedStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<DialedStream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(dial.connect(uri))
    }
}

// === impl DialedStream ===

impl Connection for DialedStream {
    fn connected(&self) -> Connected {
        self.io.connected().extra(self.has_answered.clone())
    }
}

impl Read for DialedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for DialedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }
}

// === impl HasAnswered ===

impl HasAnswered {
    /// Records that `response` came over its connection.
    pub(super) fn record<B>(response: &Response<B>) {
        if let Some(HasAnswered(flag)) = response.extensions().get() {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// Whether `error` happened on a connection that had answered a request before.
    pub(super) fn is_set(error: &legacy::Error) -> bool {
        let mut extras = http::Extensions::new();
        if let Some(connected) = error.connect_info() {
            connected.get_extras(&mut extras);
        }
        let flag = extras.get::<HasAnswered>();
        flag.is_some_and(|HasAnswered(flag)| flag.load(Ordering::Relaxed))
    }
}

/// The guard's refusal, if that is the root cause of `error`.
pub(super) fn guard_error(error: &(dyn std::error::Error + 'static)) -> Option<GuardError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<GuardError>() {
            return Some(*refusal);
        }
        // `io::Error::source` skips the wrapped error itself.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn std::error::Error + 'static));
        cause = inner.or_else(|| error.source());
    }
    None
}
