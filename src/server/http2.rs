//! HTTP/2 by hyper, with the bounds that hyper leaves to its callers. A response ends when the client takes nothing of it for
//! the time limit, whatever frames it sends meanwhile: its stream is reset, or the connection is closed if no other stream
//! moves either. A connection without requests is closed after the time limit for an idle connection.
//!
//! Most responses are complete when they are asked for. They are made in the connection's own turn, without a task, and sent
//! together at its end (`write_batch`).

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use http_body_util::Either;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body, Incoming},
    rt::Executor,
    server::conn::http2,
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::{
    BoxError, FastAnswer, Handler, Limits, Reply, ReplyBody, Settings,
    delivery::{DeliveredBody, Delivery},
    last_progress::LastProgress,
    request_body,
    rewind::Rewind,
    sendfile_cache::SocketAccess,
    write_batch::{self, Flusher},
};
use crate::{in_flight::InFlight, sync::lock, telemetry::Limit};

/// The most responses of one turn without a task of their own. More would keep other connections waiting.
const MOST_IN_A_TURN: usize = 128;
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
    I: SocketAccess + AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &settings.limits;
    let streams = Streams {
        shared: Arc::new(Connection {
            active: AtomicUsize::new(0),
            progress: Arc::default(),
            stuck: CancellationToken::new(),
            begun: AtomicUsize::new(0),
            handed_over: Mutex::default(),
        }),
        send: limits.send,
        in_flight: settings.in_flight.clone(),
    };
    let state = streams.shared.clone();
    let (stream, flusher) = write_batch::batch(stream);
    let service = HyperHandler {
        handler,
        header_bytes: limits.header_bytes,
    };
    let header_bytes = limits.header_bytes.saturating_mul(HEAD_ROOM);
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        // Finds clients that went away without closing the connection.
        .keep_alive_interval(limits.header_read)
        .keep_alive_timeout(limits.header_read)
        .serve_connection(TokioIo::new(Rewind::new(received, stream)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = serve_turns(connection.as_mut(), &flusher, &streams) => ended,
        () = state.stuck.cancelled() => return,
        () = state.idle(limits) => {
            connection.as_mut().graceful_shutdown();
            let ended = serve_turns(connection, &flusher, &streams);
            match time::timeout(limits.header_read, ended).await {
                Ok(ended) => ended,
                Err(_elapsed) => return,
            }
        }
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serve_turns(connection, &flusher, &streams) => ended,
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

/// Polls the connection until it ends, and sends at the end of each turn what was written in it.
async fn serve_turns<C, I>(
    mut connection: Pin<&mut C>,
    flusher: &Flusher<I>,
    streams: &Streams,
) -> Result<(), BoxError>
where
    C: Future<Output = hyper::Result<()>>,
    I: SocketAccess + AsyncWrite + Unpin,
{
    poll_fn(|context| {
        streams.shared.begun.store(0, Ordering::Relaxed);
        let ended = connection.as_mut().poll(context)?;
        if let Poll::Ready(flushed) = flusher.poll_flush(context) {
            flushed?;
        }
        streams.watch_rest();
        ended.map(|()| Ok(()))
    })
    .await
}

/// The streams of one connection, as they see each other.
struct Connection {
    active: AtomicUsize,
    /// The last time at which a stream began, moved, or ended other than by a reset.
    progress: Arc<LastProgress>,
    /// Cancelled when no stream moves.
    stuck: CancellationToken,
    /// The number of streams that began in this turn.
    begun: AtomicUsize,
    /// The responses that hyper has handed over to the HTTP/2 library in this turn.
    handed_over: Mutex<Vec<Arc<Delivery>>>,
}

impl Connection {
    /// Returns when there was no stream for the time limit of an idle connection.
    async fn idle(&self, limits: &Limits) {
        loop {
            time::sleep_until(self.progress.at() + limits.header_read).await;
            if self.active.load(Ordering::Relaxed) > 0 {
                time::sleep(limits.header_read).await;
            } else if self.progress.at() + limits.header_read <= Instant::now() {
                return;
            }
        }
    }

    /// Returns when there was no stream for a moment. For a shutdown: a client that is still there then has not
    /// finished the handshake, or ignores GOAWAY (RFC 9113 §6.8).
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
        connection.progress.record();
        Self(connection)
    }
}

impl Drop for ActiveStream<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs the streams: at once if the response is complete, else each in a task of its own, which ends when the client has taken the
/// whole response, or takes nothing.
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
        let delivery = Delivery::new(self.shared.progress.clone());
        let mut stream = Box::pin(delivery.clone().scope(stream));
        // A task polls it again, so that nothing that this poll waits for is missed.
        let mut context = Context::from_waker(Waker::noop());
        let has_turn = self.shared.begun.fetch_add(1, Ordering::Relaxed) < MOST_IN_A_TURN;
        if has_turn && stream.as_mut().poll(&mut context).is_ready() {
            self.shared.progress.record();
            if !delivery.is_taken() {
                lock(&self.shared.handed_over).push(delivery);
            }
            return;
        }
        let streams = self.clone();
        tokio::spawn(async move { streams.run(stream, &delivery).await });
    }
}

impl Streams {
    /// Runs a stream to its end.
    async fn run(&self, stream: Pin<Box<impl Future<Output = ()>>>, delivery: &Delivery) {
        let _active = ActiveStream::new(&self.shared);
        let mut stalled = pin!(delivery.stalled(self.send, &self.in_flight));
        {
            // Dropped at the end of this block.
            let mut stream = stream;
            tokio::select! {
                biased;
                () = stream.as_mut() => {}
                // The drop of `stream` resets it.
                () = stalled.as_mut() => return self.close_if_stuck(),
            }
        }
        self.watch(delivery, stalled).await;
    }

    /// Waits until the client has taken a response that hyper has handed over. The library keeps the rest of it until then.
    async fn watch(&self, delivery: &Delivery, stalled: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = delivery.taken() => self.shared.progress.record(),
            () = stalled => self.shared.stuck.cancel(),
        }
    }

    /// Gives a task to each response of this turn that the client has not taken yet.
    fn watch_rest(&self) {
        for delivery in lock(&self.shared.handed_over).drain(..) {
            if !delivery.is_taken() {
                let streams = self.clone();
                tokio::spawn(async move {
                    let _active = ActiveStream::new(&streams.shared);
                    let stalled = delivery.stalled(streams.send, &streams.in_flight);
                    streams.watch(&delivery, stalled).await;
                });
            }
        }
    }

    fn close_if_stuck(&self) {
        if self.shared.progress.at() + self.send <= Instant::now() {
            self.shared.stuck.cancel();
        }
    }
}

/// The handler as hyper calls it.
struct HyperHandler<H> {
    handler: Arc<H>,
    header_bytes: usize,
}

type Answer<H> = Response<DeliveredBody<Either<<H as Handler>::Body, ReplyBody>>>;

/// The future of a response.
enum Answering<H: Handler> {
    Fast(H::Answer),
    Full(Pin<Box<dyn Future<Output = Result<Answer<H>, Infallible>> + Send>>),
}

impl<H: Handler> Service<Request<Incoming>> for HyperHandler<H> {
    type Response = Answer<H>;
    type Error = Infallible;
    type Future = Answering<H>;

    fn call(&self, request: Request<Incoming>) -> Answering<H> {
        if head_bytes(&request) > self.header_bytes {
            Limit::Header.report();
            let reply = self
                .handler
                .refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            return Answering::Full(Box::pin(async { Ok(from_reply::<H>(reply)) }));
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut request = request;
        if is_read && request.body().is_end_stream() {
            let (head, body) = request.into_parts();
            match self.handler.fast_path(Request::from_parts(head, ())) {
                FastAnswer::Answer(answer) => return Answering::Fast(answer),
                FastAnswer::Unanswered(returned) => request = (*returned).map(|()| body),
            }
        }
        let (request, _) = request_body::split(request);
        let answer = self.handler.call(request);
        Answering::Full(Box::pin(async move {
            Ok(answer
                .await?
                .map(|body| DeliveredBody::new(Either::Left(body))))
        }))
    }
}

impl<H: Handler> Future for Answering<H> {
    type Output = Result<Answer<H>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Fast(answer) => {
                let reply = ready!(Pin::new(answer).poll(context))?;
                Poll::Ready(Ok(from_reply::<H>(reply)))
            }
            Self::Full(answer) => answer.as_mut().poll(context),
        }
    }
}

fn from_reply<H: Handler>(reply: Reply) -> Answer<H> {
    Response::from(reply).map(|body| DeliveredBody::new(Either::Right(body)))
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
