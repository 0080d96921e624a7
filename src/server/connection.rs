//! One connection: TLS where it is wanted, then HTTP/2 or HTTP/1.1 with their timers, ended gracefully
//! when the server shuts down. HTTP/1.1 begins on the fast path.
//!
//! Over TLS, ALPN says which HTTP it is; in the clear, the client's first bytes do (RFC 9113 §3.3). No
//! client may take longer over either than over a request's head.

use std::{convert::Infallible, pin::pin, time::Duration};

use hyper::{
    Response,
    body::Body,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time,
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;

use super::{
    Limits, Tls,
    fast_path::{self, End, FastPath},
    listen::Stream,
    rewind::Rewind,
    sendfile_cache::{SendfileCache, SocketAccess},
    shutdown::Shutdown,
};

/// What an HTTP/2 client with prior knowledge begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

/// Serves `service` on `stream` until the client leaves or the server drains.
pub(super) async fn serve<S, B>(
    stream: Stream,
    service: S,
    limits: &Limits,
    tls: Option<&Tls>,
    files: &SendfileCache,
    stop: &Shutdown,
) where
    S: FastPath<Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match (stream, tls) {
        (Stream::Tcp(stream), Some(tls)) => {
            // Boxed, for connections in the clear have none of its state.
            let secured = async move {
                if let Some((version, stream)) = handshake(stream, limits.header_read, tls).await {
                    speak(version, stream, service, limits, files, stop).await;
                }
            };
            Box::pin(secured).await;
        }
        (Stream::Tcp(stream), None) => {
            if let Ok(version) = time::timeout(limits.header_read, told(&stream)).await {
                speak(version, stream, service, limits, files, stop).await;
            }
        }
        (Stream::Unix(stream), _) => {
            speak(Version::Http1, stream, service, limits, files, stop).await;
        }
    }
}

async fn handshake(
    stream: TcpStream,
    limit: Duration,
    tls: &Tls,
) -> Option<(Version, TlsStream<TcpStream>)> {
    let accepted = time::timeout(limit, tls.acceptor.accept(stream)).await;
    let Ok(Ok(stream)) = accepted else {
        tracing::debug!("a TLS handshake failed or took too long");
        return None;
    };
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::Http2,
        _ => Version::Http1,
    };
    Some((version, stream))
}

/// Looks at a client's first bytes without taking them. Nearly all clients differ from the preface
/// in the first byte, so this is one look.
async fn told(stream: &TcpStream) -> Version {
    let mut first = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut first).await {
            Ok(seen) if seen > 0 && PREFACE.starts_with(&first[..seen]) => {
                if seen == PREFACE.len() {
                    return Version::Http2;
                }
                // The rest is on its way, and `peek` would return at once with what there is.
                time::sleep(time::Duration::from_millis(1)).await;
            }
            _ => return Version::Http1,
        }
    }
}

async fn speak<I, S, B>(
    version: Version,
    stream: I,
    service: S,
    limits: &Limits,
    files: &SendfileCache,
    stop: &Shutdown,
) where
    I: SocketAccess + AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: FastPath<Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // A client that stops reading would hold its connection for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.send));
    let mut stream = Box::pin(stream);
    // hyper's state is large, and most connections never have any, so it is boxed.
    match version {
        Version::Http1 => {
            let sent = match fast_path::serve(&mut stream, &service, limits, files, stop).await {
                Ok(End::Fallback(sent)) => sent,
                Ok(End::Closed) => {
                    // A client that is gone already needs no farewell.
                    let _ = stream.shutdown().await;
                    return;
                }
                Err(error) => return tracing::debug!(%error, "connection ended early"),
            };
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_read)
                .max_header_size(limits.header_bytes)
                .serve_connection(TokioIo::new(Rewind::new(sent, stream)), service);
            Box::pin(ended(connection, stop)).await;
        }
        Version::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.streams)
                .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
                // A client that is gone without a word is found out within this time.
                .keep_alive_interval(limits.header_read)
                .keep_alive_timeout(limits.header_read)
                .serve_connection(TokioIo::new(stream), service);
            Box::pin(ended(connection, stop)).await;
        }
    }
}

/// Returns when the connection has ended, gracefully if the server stops.
async fn ended<C>(connection: C, stop: &Shutdown)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.triggered() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A client that leaves early is everyday; nothing here is ours to mend.
        tracing::debug!(%error, "connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Empty;
    use tokio::net::TcpListener;

    use super::*;
    use crate::server::HyperOnly;

    #[tokio::test]
    async fn ten_thousand_connections_wait_in_a_few_megabytes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stream = Stream::Tcp(accepted.unwrap().0);
        let service = HyperOnly(|_| async { Ok(Response::new(Empty::<Bytes>::new())) });
        let (limits, files, stop) = (Limits::default(), SendfileCache::new(), Shutdown::default());
        // What it needs later is in boxes of its own.
        let connection = serve(stream, service, &limits, None, &files, &stop);
        assert!(size_of_val(&connection) <= 2048);
    }
}
