//! Opens TCP connections, only to addresses that the guard admits. The address that was checked is
//! the address that is dialled, so a name that resolves differently a moment later changes nothing.

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

use super::{Forbidden, Guard, Resolver};

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
        /// For one address; a host may have several.
        const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

        let host = uri
            .host()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the URL has no host"))?;
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });

        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.resolver.resolve(host).await? {
            if let Err(forbidden) = self.guard.admits_address(address, is_secure) {
                failed = io::Error::new(io::ErrorKind::PermissionDenied, forbidden);
                continue;
            }
            let connecting = TcpStream::connect(SocketAddr::new(address, port));
            match time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => failed = error,
                Err(_) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failed)
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

/// The guard's verdict, if that is what lies at the bottom of `error`.
pub(super) fn forbidden(error: &(dyn std::error::Error + 'static)) -> Option<Forbidden> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(verdict) = error.downcast_ref::<Forbidden>() {
            return Some(*verdict);
        }
        // `io::Error` hides the error it was made from from `source`.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn std::error::Error + 'static));
        cause = inner.or_else(|| error.source());
    }
    None
}
