//! Serves one connection: TLS if there is a certificate, then HTTP/2 or HTTP/1.1 with their time limits, until the client
//! leaves or the server shuts down. HTTP/1.1 begins on the fast path.
//!
//! Over TLS, ALPN selects the version; in cleartext, the client's first bytes do (RFC 9113 §3.3). One time limit covers the
//! handshake, the first bytes and the first head.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::{
    Handler, Shared, Tls,
    fast_path::{self, End},
    http1, http2,
    listen::Stream,
    preface::{self, Opening, Version},
    sendfile_cache::SocketAccess,
};
use crate::telemetry::Limit;

/// Serves `handler` on `stream` until the client leaves or the server shuts down.
pub(super) async fn serve(
    stream: Stream,
    handler: Arc<impl Handler>,
    server: &Shared,
    shutdown: &CancellationToken,
) {
    let deadline = Instant::now() + server.settings.limits.header_read;
    let served = match (stream, &server.tls) {
        (Stream::Tcp(stream), Some(tls)) => {
            // The state of TLS is boxed, because connections in cleartext do not need it.
            let encrypted = async move {
                match handshake(stream, deadline, tls, shutdown).await {
                    Some(stream) => serve_stream(stream, deadline, handler, server, shutdown).await,
                    None => Ok(()),
                }
            };
            Box::pin(encrypted).await
        }
        (Stream::Tcp(stream), None) => {
            serve_stream(stream, deadline, handler, server, shutdown).await
        }
        (Stream::Unix(stream), _) => {
            serve_stream(stream, deadline, handler, server, shutdown).await
        }
    };
    if let Err(error) = served {
        if error.kind() == io::ErrorKind::TimedOut {
            Limit::SendTimeout.report();
        }
        // Clients that leave early are usual, and no fault of this server.
        tracing::debug!(%error, "connection ended early");
    }
}

async fn handshake(
    stream: TcpStream,
    deadline: Instant,
    tls: &Tls,
    shutdown: &CancellationToken,
) -> Option<TlsStream<TcpStream>> {
    let accepted = tokio::select! {
        accepted = timeout_at(deadline, tls.acceptor.accept(stream)) => accepted,
        () = shutdown.cancelled() => return None,
    };
    match accepted {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_elapsed) => Limit::HeaderTimeout.report(),
    }
    None
}

async fn serve_stream<I>(
    mut stream: I,
    deadline: Instant,
    handler: Arc<impl Handler>,
    server: &Shared,
    shutdown: &CancellationToken,
) -> io::Result<()>
where
    I: SocketAccess + AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(Opening { version, received }) =
        preface::read(&mut stream, deadline, shutdown).await?
    else {
        return Ok(());
    };
    let settings = &server.settings;
    // Without a time limit, a client that stops reading would hold its connection for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(settings.limits.send));
    let mut stream = Box::pin(stream);
    // hyper's state is large, and most connections never have any, so it is boxed.
    if version == Version::Http2 {
        Box::pin(http2::serve(stream, received, handler, settings, shutdown)).await;
        return Ok(());
    }
    let mut unanswered = received;
    if settings.fast_path {
        let end = fast_path::serve(
            &mut stream,
            unanswered,
            deadline,
            &*handler,
            server,
            shutdown,
        );
        match end.await? {
            End::Fallback(received) => unanswered = received,
            End::Closed => {
                // The client may have closed the connection before.
                let _ = stream.shutdown().await;
                return Ok(());
            }
        }
    }
    let limits = &settings.limits;
    Box::pin(http1::serve(stream, unanswered, handler, limits, shutdown)).await;
    Ok(())
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
        let handler = Arc::new(handler);
        let server = Shared::new(Settings::default(), None);
        let shutdown = CancellationToken::new();
        // The boxes inside are made later, for connections that need them.
        let connection = serve(stream, handler, &server, &shutdown);
        assert!(size_of_val(&connection) <= 2048);
    }
}
