//! Serves one connection: TLS if there is a certificate, then HTTP/2 or HTTP/1.1 with their time limits, until the client
//! leaves or the server shuts down. HTTP/1.1 begins on the fast path.
//!
//! Over TLS, ALPN selects the version; in cleartext, the client's first bytes do (RFC 9113 §3.3). A client may take as
//! long over either as over a request's head.

use std::{pin::pin, time::Duration};

use hyper::server::conn::{http1, http2};
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
use tokio_util::sync::CancellationToken;

use super::{
    Handler, Shared, Tls,
    fast_path::{self, End},
    listen::Stream,
    rewind::Rewind,
    sendfile_cache::SocketAccess,
};

/// The first bytes of an HTTP/2 client that knows the server (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

/// Serves `handler` on `stream` until the client leaves or the server shuts down.
pub(super) async fn serve(
    stream: Stream,
    handler: impl Handler,
    server: &Shared,
    shutdown: &CancellationToken,
) {
    let limit = server.settings.limits.header_read;
    match (stream, &server.tls) {
        (Stream::Tcp(stream), Some(tls)) => {
            // The state of TLS is boxed, because connections in cleartext do not need it.
            let encrypted = async move {
                if let Some((version, stream)) = handshake(stream, limit, tls).await {
                    serve_http(version, stream, handler, server, shutdown).await;
                }
            };
            Box::pin(encrypted).await;
        }
        (Stream::Tcp(stream), None) => {
            if let Ok(version) = time::timeout(limit, detect_version(&stream)).await {
                serve_http(version, stream, handler, server, shutdown).await;
            }
        }
        (Stream::Unix(stream), _) => {
            serve_http(Version::Http1, stream, handler, server, shutdown).await;
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

/// Looks at the client's first bytes and leaves them in the socket. Nearly all clients differ from the preface in the first
/// byte, so one look is enough.
async fn detect_version(stream: &TcpStream) -> Version {
    let mut first = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut first).await {
            Ok(seen) if seen > 0 && PREFACE.starts_with(&first[..seen]) => {
                if seen == PREFACE.len() {
                    return Version::Http2;
                }
                // More bytes will come, but `peek` returns at once while there are any.
                time::sleep(time::Duration::from_millis(1)).await;
            }
            _ => return Version::Http1,
        }
    }
}

async fn serve_http<I>(
    version: Version,
    stream: I,
    handler: impl Handler,
    server: &Shared,
    shutdown: &CancellationToken,
) where
    I: SocketAccess + AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = &server.settings;
    let limits = &settings.limits;
    // Without a time limit, a client that stops reading would hold its connection for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.send));
    let mut stream = Box::pin(stream);
    // hyper's state is large, and most connections never have any, so it is boxed.
    match version {
        Version::Http1 => {
            let mut received = Vec::new();
            if settings.fast_path {
                let sendfile = server.sendfile.as_deref();
                match fast_path::serve(&mut stream, &handler, limits, sendfile, shutdown).await {
                    Ok(End::Fallback(unanswered)) => received = unanswered,
                    Ok(End::Closed) => {
                        // The client may have closed the connection before.
                        let _ = stream.shutdown().await;
                        return;
                    }
                    Err(error) => return tracing::debug!(%error, "connection ended early"),
                }
            }
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_read)
                .max_header_size(limits.header_bytes)
                .serve_connection(TokioIo::new(Rewind::new(received, stream)), handler);
            Box::pin(until_closed(connection, shutdown)).await;
        }
        Version::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(limits.streams)
                .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
                // Finds clients that went away without closing the connection.
                .keep_alive_interval(limits.header_read)
                .keep_alive_timeout(limits.header_read)
                .serve_connection(TokioIo::new(stream), handler);
            Box::pin(until_closed(connection, shutdown)).await;
        }
    }
}

/// Returns when the connection has ended. A shutdown lets its requests finish.
async fn until_closed<C>(connection: C, shutdown: &CancellationToken)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients that leave early are usual, and no fault of this server.
        tracing::debug!(%error, "connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper::Response;
    use tokio::net::TcpListener;

    use super::*;
    use crate::server::{HyperOnly, Settings};

    #[tokio::test]
    async fn ten_thousand_connections_wait_in_a_few_megabytes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stream = Stream::Tcp(accepted.unwrap().0);
        let handler = HyperOnly(|_| async { Ok(Response::new(Empty::<Bytes>::new())) });
        let server = Shared::new(Settings::default(), None);
        let shutdown = CancellationToken::new();
        // The boxes inside are made later, for connections that need them.
        let connection = serve(stream, handler, &server, &shutdown);
        assert!(size_of_val(&connection) <= 2048);
    }
}
