//! HTTP/1.1 by hyper, for all that the fast path does not answer.
//!
//! hyper answers a head that it cannot read by itself, without a body and without telling the handler. [`Output`] holds
//! that answer back: hyper writes it when no request is being answered, and nothing else is written then. The handler
//! words the refusal instead, so that it is described, logged and counted like any other.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    header::{CONNECTION, EXPECT, HeaderValue},
    server::conn::http1,
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time,
};
use tokio_util::sync::CancellationToken;

use super::{Handler, Limits, Tunnel, fast_path, request_body, rewind::Rewind, tunnel::OtherSide};
use crate::{sync::lock, telemetry::Limit};

/// Serves requests on `stream`, which begin with the bytes in `received`.
pub(super) async fn serve<I>(
    stream: I,
    received: Vec<u8>,
    handler: Arc<impl Handler>,
    limits: &Limits,
    shutdown: &CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answers = Arc::new(Answers::default());
    let output = Output {
        stream: Rewind::new(received, stream),
        answers: answers.clone(),
        held: Vec::new(),
    };
    let service = HyperHandler {
        handler: handler.clone(),
        answers: answers.clone(),
    };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_header_size(limits.header_bytes)
        .serve_connection(TokioIo::new(output), service);
    let ended = tokio::select! {
        ended = served(&mut connection) => ended,
        () = shutdown.cancelled() => {
            Pin::new(&mut connection).graceful_shutdown();
            tokio::select! {
                ended = served(&mut connection) => ended,
                () = answers.no_request() => {
                    // The client may have closed the connection before.
                    let _ = connection.into_parts().io.into_inner().stream.shutdown().await;
                    return;
                }
            }
        }
    };
    let Err(error) = ended else {
        let parts = connection.into_parts();
        let tunnel = lock(&parts.service.answers.tunnel).take();
        let mut stream = parts.io.into_inner().stream;
        let ended = match tunnel {
            Some(tunnel) => {
                let client = Rewind::new(parts.read_buf.to_vec(), stream.into_stream());
                tunnel.join(client, shutdown).await
            }
            None => stream.shutdown().await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended early");
        }
        return;
    };
    if error.is_timeout() {
        Limit::HeaderTimeout.report();
    }
    // Clients that leave early are usual, and no fault of this server.
    tracing::debug!(%error, "connection ended early");
    let output = connection.into_parts().io.into_inner();
    if let Some(status) = output.held_status() {
        refuse(output.stream.into_stream(), status, &*handler).await;
    }
}

/// Serves requests until the connection ends. The socket is not shut down, because the connection may have switched
/// protocols.
async fn served<I, H>(
    connection: &mut http1::Connection<TokioIo<Output<I>>, HyperHandler<H>>,
) -> hyper::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    poll_fn(|context| connection.poll_without_shutdown(context)).await
}

/// Sends the handler's refusal of a head, and closes the connection.
async fn refuse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    status: StatusCode,
    handler: &impl Handler,
) {
    if status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
        Limit::Header.report();
    }
    let reply = handler.refuse(status);
    let mut response = fast_path::response_head(&reply, true);
    response.extend_from_slice(&reply.body);
    // The client may be gone.
    if stream.write_all(&response).await.is_ok() && stream.shutdown().await.is_ok() {
        linger(&mut stream).await;
    }
}

/// Discards further bytes of the client for a moment: closing a socket that has unread bytes resets it, and the client
/// would lose the answer.
async fn linger(stream: &mut (impl AsyncRead + Unpin)) {
    const LONGEST: Duration = Duration::from_secs(1);
    const MOST: u64 = 256 * 1024;
    let rest = async {
        let mut bytes = [0; 1024];
        let mut rest = stream.take(MOST);
        while rest.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    };
    let _ = time::timeout(LONGEST, rest).await;
}

/// The requests of one connection that are being answered.
#[derive(Default)]
struct Answers {
    /// How many responses hyper does not have as a whole yet.
    open: AtomicUsize,
    /// Whether hyper may have bytes of responses that it has not written yet.
    is_unflushed: AtomicBool,
    /// Where the connection leads once it has switched protocols.
    tunnel: Mutex<Option<OtherSide>>,
}

impl Answers {
    /// Returns a moment after the server stops if no request is being answered then: a head that has begun gets no more
    /// time, as on the fast path.
    async fn no_request(&self) {
        time::sleep(fast_path::REST_OF_HEAD).await;
        if self.open.load(Ordering::Relaxed) > 0 || self.is_unflushed.load(Ordering::Relaxed) {
            // hyper closes the connection after the response.
            pending().await
        }
    }
}

/// One response that hyper does not have as a whole.
struct OpenResponse(Arc<Answers>);

impl OpenResponse {
    fn new(answers: &Arc<Answers>) -> Self {
        answers.open.fetch_add(1, Ordering::Relaxed);
        answers.is_unflushed.store(true, Ordering::Relaxed);
        Self(answers.clone())
    }
}

impl Drop for OpenResponse {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The handler as hyper calls it.
struct HyperHandler<H> {
    handler: Arc<H>,
    answers: Arc<Answers>,
}

impl<H: Handler> Service<Request<Incoming>> for HyperHandler<H> {
    type Response = Response<Answer<H::Body>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = OpenResponse::new(&self.answers);
        let is_expected = request.headers().contains_key(EXPECT);
        let (request, unread) = request_body::split(request);
        let answer = self.handler.call(request);
        let answers = self.answers.clone();
        Box::pin(async move {
            let mut response = answer.await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                let tunnel = response.extensions_mut().remove::<Tunnel>();
                *lock(&answers.tunnel) = tunnel.and_then(|tunnel| tunnel.take());
            }
            // hyper closes a connection whose request body is not read to its end, but does not say so in a header
            // (RFC 9112 §9.6). The rest of the body is not waited for after `Expect: 100-continue` (RFC 9110 §10.1.1):
            // reading it would make the client send it.
            if !unread.read_to_end(!is_expected).await {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok(response.map(|body| Answer { body, _open: open }))
        })
    }
}

/// The body of a response. hyper drops it when it has all of it.
struct Answer<B> {
    body: B,
    _open: OpenResponse,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The stream below hyper.
struct Output<I> {
    stream: Rewind<I>,
    answers: Arc<Answers>,
    /// The answer that hyper gave by itself.
    held: Vec<u8>,
}

impl<I> Output<I> {
    /// Whether all that hyper writes now is an answer of its own.
    fn is_held(&self) -> bool {
        !self.answers.is_unflushed.load(Ordering::Relaxed)
    }

    /// The status of the answer that was held back.
    fn held_status(&self) -> Option<StatusCode> {
        let code = self.held.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        StatusCode::from_bytes(code).ok()
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Output<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Output<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_held() {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_held() {
            let before = self.held.len();
            for slice in slices {
                self.held.extend_from_slice(slice);
            }
            return Poll::Ready(Ok(self.held.len() - before));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        if self.answers.open.load(Ordering::Relaxed) == 0 {
            self.answers.is_unflushed.store(false, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            // The refusal is written later.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
