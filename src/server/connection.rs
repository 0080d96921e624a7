//! One connection: HTTP/1.1 with its timers, ended gracefully when the server shuts down.

use std::convert::Infallible;

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::http1,
    service::Service,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Caps, listen::Stream};

/// Serves `service` on `stream` until the client leaves or the server drains.
pub(super) async fn serve<S, B>(stream: Stream, service: S, caps: &Caps, watcher: Watcher)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match stream {
        Stream::Tcp(stream) => http1(stream, service, caps, watcher).await,
        Stream::Unix(stream) => http1(stream, service, caps, watcher).await,
    }
}

async fn http1<I, S, B>(stream: I, service: S, caps: &Caps, watcher: Watcher)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(caps.header_read)
        .max_header_size(caps.header_bytes)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        // A client that leaves early is everyday; nothing here is ours to mend.
        tracing::debug!(%error, "connection ended early");
    }
}
