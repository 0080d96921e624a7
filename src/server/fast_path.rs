//! The fast_path connection: HTTP/1.1 as browsers speak it when they ask for pictures, which is GET or HEAD without a
//! body, and nothing else. hyper can do all of that and much more, at a price that a hit in memory feels
//! (`make bench-peers`). So it guesses nothing: at the first request that is in any way unusual, hyper
//! gets the connection, and all the bytes that were not answered yet.
//!
//! 1. Read until a head is whole; whoever takes too long over it is let go.
//! 2. Parse it, by hyper's own parser, and look for anything unusual.
//! 3. Ask the service, and watch meanwhile whether the client is still there.
//! 4. Write head and body at once.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Ready, poll_fn},
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    task::{Poll, ready},
};

use bytes::Buf;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, body::Incoming, header, service::Service,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::io::poll_read_buf;

use super::{
    Limits, Reply,
    sendfile_cache::{SendfileCache, SocketAccess},
    shutdown::{Shutdown, ShutdownWaiter},
};
use crate::clock::Clock;

/// A service that answers requests without a body by itself.
pub trait FastPath: Service<Request<Incoming>> {
    /// An answer on its way.
    type Answer: Future<Output = Result<Reply, Infallible>> + Send;

    /// The answer; nothing, if the service wants its requests through hyper.
    fn fast_path(&self, request: Request<()>) -> Option<Self::Answer>;
}

/// A service made of a function, whose requests come through hyper, bodies and all.
pub struct HyperOnly<F>(pub F);

impl<F, A, B> Service<Request<Incoming>> for HyperOnly<F>
where
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Result<Response<B>, Infallible>>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = A;

    fn call(&self, request: Request<Incoming>) -> A {
        (self.0)(request)
    }
}

impl<F> FastPath for HyperOnly<F>
where
    Self: Service<Request<Incoming>>,
{
    type Answer = Ready<Result<Reply, Infallible>>;

    fn fast_path(&self, _: Request<()>) -> Option<Self::Answer> {
        None
    }
}

/// What became of a connection.
pub(super) enum End {
    /// It has ended.
    Closed,
    /// hyper has to go on, with these bytes that the client sent and nobody answered.
    Fallback(Vec<u8>),
}

/// A connection on the fast path.
struct Connection<'a, 's, I> {
    stream: &'a mut I,
    limits: &'a Limits,
    files: &'a SendfileCache,
    /// What the client sent and was not answered yet.
    received: Vec<u8>,
    /// The head of an answer; kept for its memory.
    head: Vec<u8>,
    /// When the head that is being read has to be whole.
    deadline: Instant,
    /// Fires at a deadline, perhaps at an earlier one: to set it for every request costs more than to look
    /// again now and then.
    clock: Pin<&'a mut Sleep>,
    /// Wakes whoever waits for a client when the server stops.
    waiter: ShutdownWaiter<'s>,
}

/// What is hyper's to answer.
pub(super) struct Fallback;

/// How many headers a usual request has at most.
const HEADERS: usize = 48;
/// What is read at once. Heads are shorter.
const CHUNK: usize = 4096;

/// Serves what is usual on `stream`.
pub(super) async fn serve<I, S>(
    stream: &mut I,
    service: &S,
    limits: &Limits,
    files: &SendfileCache,
    stop: &Shutdown,
) -> io::Result<End>
where
    I: SocketAccess + AsyncRead + AsyncWrite + Unpin,
    S: FastPath,
{
    let deadline = Instant::now() + limits.header_read;
    let clock = pin!(sleep_until(deadline));
    let mut connection = Connection {
        stream,
        limits,
        files,
        received: Vec::new(),
        head: Vec::new(),
        deadline,
        clock,
        waiter: stop.waiter(),
    };
    loop {
        let (request, length) = match head(&connection.received) {
            Ok(Some((request, length))) => (request, length),
            Ok(None) if connection.received.len() < limits.header_bytes => {
                match connection.more().await? {
                    0 => return Ok(End::Closed),
                    _ => continue,
                }
            }
            Ok(None) | Err(Fallback) => return Ok(End::Fallback(connection.received)),
        };
        let Some(answer) = service.fast_path(request) else {
            return Ok(End::Fallback(connection.received));
        };
        connection.received.drain(..length);
        let Some(Ok(reply)) = connection.unless_gone(answer).await? else {
            return Ok(End::Closed);
        };
        let is_last = stop.is_triggered();
        connection.write(reply, is_last).await?;
        if is_last {
            return Ok(End::Closed);
        }
        connection.deadline = Instant::now() + limits.header_read;
    }
}

impl<I: SocketAccess + AsyncRead + AsyncWrite + Unpin> Connection<'_, '_, I> {
    /// Reads something; 0 if the connection is to end.
    async fn more(&mut self) -> io::Result<usize> {
        self.received.reserve(CHUNK);
        poll_fn(|context| {
            let stream = Pin::new(&mut *self.stream);
            if let Poll::Ready(read) = poll_read_buf(stream, context, &mut self.received) {
                return Poll::Ready(read);
            }
            // Whoever is in the middle of a request may finish it.
            if self.received.is_empty() && self.waiter.poll(context).is_ready() {
                return Poll::Ready(Ok(0));
            }
            loop {
                ready!(self.clock.as_mut().poll(context));
                if self.deadline <= Instant::now() {
                    return Poll::Ready(Ok(0));
                }
                self.clock.as_mut().reset(self.deadline);
            }
        })
        .await
    }

    /// What `answer` comes to; nothing if the client goes away before.
    async fn unless_gone<T>(&mut self, answer: impl Future<Output = T>) -> io::Result<Option<T>> {
        let mut answer = pin!(answer);
        poll_fn(|context| {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Ok(Some(answer)));
            }
            // What it asks meanwhile waits for its turn.
            while self.received.len() < self.limits.header_bytes {
                self.received.reserve(CHUNK);
                let stream = Pin::new(&mut *self.stream);
                if ready!(poll_read_buf(stream, context, &mut self.received))? == 0 {
                    return Poll::Ready(Ok(None));
                }
            }
            Poll::Pending
        })
        .await
    }

    async fn write(&mut self, reply: Reply, is_last: bool) -> io::Result<()> {
        self.head.clear();
        write_status(&mut self.head, reply.status);
        self.head.extend_from_slice(reply.headers.as_bytes());
        write_date(&mut self.head);
        if is_last {
            self.head.extend_from_slice(b"connection: close\r\n");
        }
        self.head.extend_from_slice(b"\r\n");
        let sent = match self.stream.socket() {
            Some(socket) => self.files.send(&self.head, &reply.body, socket),
            None => 0,
        };
        let mut answer = self.head.as_slice().chain(reply.body);
        answer.advance(sent);
        self.stream.write_all_buf(&mut answer).await?;
        self.stream.flush().await
    }
}

/// The request whose head `received` begins with, and the head's length; nothing as long as it is not whole.
pub(super) fn head(received: &[u8]) -> Result<Option<(Request<()>, usize)>, Fallback> {
    if received.is_empty() {
        return Ok(None);
    }
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(received, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Fallback),
    };
    let request = usual(&parsed).ok_or(Fallback)?;
    Ok(Some((request, length)))
}

fn usual(parsed: &httparse::Request<'_, '_>) -> Option<Request<()>> {
    let method = match parsed.method? {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        _ => return None,
    };
    let target = parsed.path.filter(|target| target.starts_with('/'))?;
    if parsed.version != Some(1) {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = header::HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if is_about_the_connection(&name, field.value) {
            return None;
        }
        headers.append(name, header::HeaderValue::from_bytes(field.value).ok()?);
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(target).ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

/// Whether a header announces a body, or wants something of the connection that is not its usual course.
fn is_about_the_connection(name: &header::HeaderName, value: &[u8]) -> bool {
    match *name {
        header::CONNECTION => !value.eq_ignore_ascii_case(b"keep-alive"),
        header::CONTENT_LENGTH
        | header::TRANSFER_ENCODING
        | header::UPGRADE
        | header::EXPECT
        | header::TE
        | header::TRAILER => true,
        _ => false,
    }
}

fn write_status(text: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        text.extend_from_slice(part.as_bytes());
    }
}

/// `Date` (RFC 9110 §6.6.1), which is kept from one answer to the next of the same second.
fn write_date(text: &mut Vec<u8>) {
    thread_local! {
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = Clock::system().now();
    SECOND.with_borrow_mut(|(second, known)| {
        if *second != now.as_secs() || known.is_empty() {
            *second = now.as_secs();
            *known = httpdate::fmt_http_date(now.as_system_time());
        }
        for part in ["date: ", known, "\r\n"] {
            text.extend_from_slice(part.as_bytes());
        }
    });
}
