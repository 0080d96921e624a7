//! Opens TCP connections, only to addresses that the guard allows. The checked address itself is dialed,
//! so a host that resolves differently a moment later (DNS rebinding) changes nothing.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time};
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

impl Dial {
    pub(super) fn new(guard: Arc<Guard>, resolver: Resolver) -> Self {
        Self { guard, resolver }
    }

    async fn connect(self, uri: Uri) -> io::Result<TcpStream> {
        /// Per address; a host may have several.
        const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

        let host = uri
            .host()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the URL has no host"))?;
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });

        let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.resolver.resolve(host).await? {
            if let Err(refusal) = self.guard.check_address(address, is_secure) {
                last_error = io::Error::new(io::ErrorKind::PermissionDenied, refusal);
                continue;
            }
            let connecting = TcpStream::connect(SocketAddr::new(address, port));
            match time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last_error = error,
                Err(_) => last_error = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last_error)
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move { dial.connect(uri).await.map(TokioIo::new) })
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
