//! HTTP/2 by hyper, with the bounds that hyper leaves to its callers. A response ends when the client takes nothing of it for
//! the time limit, whatever frames it sends meanwhile: its stream is reset, or the connection is closed if no other stream
//! moves either. A connection without requests is closed after the time limit for an idle connection.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http_body_util::Either;
use hyper::{
    HeaderMap, Request, Response, StatusCode, body::Incoming, rt::Executor, server::conn::http2,
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{
    Handler, Limits, ReplyBody, Settings,
    delivery::{DeliveredBody, Delivery, MovedBytes},
    request_body,
    rewind::Rewind,
};
use crate::{in_flight::InFlight, telemetry::Limit};

/// How much larger a head may be before the HTTP/2 library refuses it by itself, without telling the handler.
const HEAD_ROOM: usize = 4;
/// How long a client without requests may take to close its connection when the server stops.
const GOODBYE: time::Duration = time::Duration::from_secs(1);

/// Serves requests on `stream`, which begin with the bytes in `received`.
pub(super) async fn serve<I>(
    stream: I,
    received: Vec<u8>,
    handler: Arc<impl Handler>,
    settings: &Settings,
    shutdown: &CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &settings.limits;
    let streams = Streams {
        shared: Arc::new(Connection {
            active: AtomicUsize::new(0),
            moved: Arc::default(),
            stuck: CancellationToken::new(),
        }),
        send: limits.send,
        in_flight: settings.in_flight.clone(),
    };
    let state = streams.shared.clone();
    let service = HyperHandler {
        handler,
        header_bytes: limits.header_bytes,
    };
    let header_bytes = limits.header_bytes.saturating_mul(HEAD_ROOM);
    let connection = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        // Finds clients that went away without closing the connection.
        .keep_alive_interval(limits.header_read)
        .keep_alive_timeout(limits.header_read)
        .serve_connection(TokioIo::new(Rewind::new(received, stream)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = state.stuck.cancelled() => return,
        () = state.idle(limits) => {
            connection.as_mut().graceful_shutdown();
            match time::timeout(limits.header_read, connection).await {
                Ok(ended) => ended,
                Err(_elapsed) => return,
            }
        }
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = state.stuck.cancelled() => return,
                () = state.unused() => return,
            }
        }
    };
    if let Err(error) = ended {
        // Clients that leave early are usual, and no fault of this server.
        tracing::debug!(%error, "connection ended early");
    }
}

/// The streams of one connection, as they see each other.
struct Connection {
    active: AtomicUsize,
    /// The last time at which a stream began, moved, or ended other than by a reset.
    moved: Arc<MovedBytes>,
    /// Cancelled when no stream moves.
    stuck: CancellationToken,
}

impl Connection {
    /// Returns when there was no stream for the time limit of an idle connection.
    async fn idle(&self, limits: &Limits) {
        loop {
            time::sleep_until(self.moved.at() + limits.header_read).await;
            if self.active.load(Ordering::Relaxed) > 0 {
                time::sleep(limits.header_read).await;
            } else if self.moved.at() + limits.header_read <= Instant::now() {
                return;
            }
        }
    }

    /// Returns when there was no stream for a moment. For a shutdown: a client that still is there then has not
    /// finished the handshake, or does not answer the server's goodbye.
    async fn unused(&self) {
        loop {
            time::sleep(GOODBYE).await;
            if self.active.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

/// A stream that is being served.
struct ActiveStream<'a>(&'a Connection);

impl<'a> ActiveStream<'a> {
    fn new(connection: &'a Connection) -> Self {
        connection.active.fetch_add(1, Ordering::Relaxed);
        connection.moved.now();
        Self(connection)
    }
}

impl Drop for ActiveStream<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs each stream in a task of its own, which ends when the client has taken the whole response, or takes nothing.
#[derive(Clone)]
struct Streams {
    shared: Arc<Connection>,
    send: time::Duration,
    in_flight: InFlight,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let streams = self.clone();
        tokio::spawn(async move { streams.run(stream).await });
    }
}

impl Streams {
    async fn run(&self, stream: impl Future<Output = ()>) {
        let _active = ActiveStream::new(&self.shared);
        let delivery = Delivery::new(self.shared.moved.clone());
        let stalled = delivery.stalled(self.send, &self.in_flight);
        let mut stalled = pin!(stalled);
        {
            // Dropped at the end of this block.
            let stream = pin!(delivery.clone().scope(stream));
            tokio::select! {
                biased;
                () = stream => {}
                // The drop of `stream` resets it.
                () = stalled.as_mut() => return self.close_if_stuck(),
            }
        }
        // hyper has handed over the whole response. The library keeps the rest of it until the client takes it.
        tokio::select! {
            biased;
            () = delivery.taken() => self.shared.moved.now(),
            () = stalled => self.shared.stuck.cancel(),
        }
    }

    fn close_if_stuck(&self) {
        if self.shared.moved.at() + self.send <= Instant::now() {
            self.shared.stuck.cancel();
        }
    }
}

/// The handler as hyper calls it.
struct HyperHandler<H> {
    handler: Arc<H>,
    header_bytes: usize,
}

impl<H: Handler> Service<Request<Incoming>> for HyperHandler<H> {
    type Response = Response<DeliveredBody<Either<H::Body, ReplyBody>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if head_bytes(&request) > self.header_bytes {
            Limit::Header.report();
            let reply = self
                .handler
                .refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            let response = Response::from(reply);
            return Box::pin(async {
                Ok(response.map(|body| DeliveredBody::new(Either::Right(body))))
            });
        }
        let (request, _) = request_body::split(request);
        let answer = self.handler.call(request);
        Box::pin(async move {
            Ok(answer
                .await?
                .map(|body| DeliveredBody::new(Either::Left(body))))
        })
    }
}

/// The size of a head as HTTP/1.1 would send it.
fn head_bytes(request: &Request<Incoming>) -> usize {
    let line = |headers: &HeaderMap| -> usize {
        let fields = headers.iter();
        fields
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum()
    };
    let uri = request.uri();
    let target = uri.path().len() + uri.query().map_or(0, str::len);
    target
        + uri
            .authority()
            .map_or(0, |authority| authority.as_str().len())
        + line(request.headers())
}
