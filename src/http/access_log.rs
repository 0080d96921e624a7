//! The access log's line about one request. It names no JID, token or link: those are in paths and queries,
//! which are not logged.
//!
//! The line of a response that is streamed is written when the stream ends, with its whole duration. The metrics and the
//! trace have the time to its head: some streams are open for hours, and no latency.

use std::{
    fmt::Write,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use arrayvec::ArrayString;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use tracing::Span;

use super::{CACHE_STATUS, problem::Problem};
use crate::{
    server::{BoxError, Reply, ReplyStream},
    telemetry::{
        Metrics,
        access_log::{self, Record},
        known_method, traces,
    },
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names a request in the log and in its response, so that one report leads to the other.
pub(crate) type RequestId = ArrayString<64>;

/// Collects the facts about one request while it is handled.
pub(crate) struct RequestLog {
    id: RequestId,
    started: Instant,
    method: Method,
    route: &'static str,
    instance: Option<Arc<str>>,
    problem: Option<&'static str>,
    image: Option<Image>,
    /// The client's address, which is named for refused requests alone, and only if the operator wants it.
    client: Option<IpAddr>,
}

/// Writes the line of a request whose response is streamed, when that ends.
pub(crate) struct StreamLog {
    log: RequestLog,
    status: StatusCode,
    bytes: u64,
}

/// A stream with its log.
struct LoggedStream {
    stream: ReplyStream,
    log: StreamLog,
}

/// The labels of an image that is sent.
#[derive(Clone, Copy)]
pub(crate) struct Image {
    /// The part of the cache: `hit`, `stale`, `miss`, `expired`, `refresh` or `bypass`.
    pub(crate) cache: &'static str,
    /// `picture` or `fallback`.
    pub(crate) source: &'static str,
    /// Why the image is not a fresh picture, or `none`.
    pub(crate) reason: &'static str,
}

/// The answer to a request whose head cannot be read or is too large, which is counted and logged.
pub(crate) fn refuse_head(status: StatusCode, metrics: &Metrics) -> Reply {
    let problem = Problem::unread(status);
    let mut log = RequestLog::unread();
    log.set_problem(&problem);
    let mut reply = problem.into_reply();
    log.finish(&mut reply, metrics);
    reply
}

impl RequestLog {
    pub(crate) fn start(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            id: given_id(headers).unwrap_or_else(new_id),
            started: Instant::now(),
            method: method.clone(),
            route: "-",
            instance: None,
            problem: None,
            image: None,
            client: None,
        }
    }

    /// The request's name in the log.
    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    /// The log of a request whose head cannot be read.
    pub(crate) fn unread() -> Self {
        let method = Method::from_bytes(b"-").unwrap_or_default();
        Self::start(&method, &HeaderMap::new())
    }

    pub(crate) fn set_route(&mut self, route: &'static str) {
        self.route = route;
    }

    pub(crate) fn set_instance(&mut self, name: &Arc<str>) {
        self.instance = Some(name.clone());
    }

    pub(crate) fn set_problem(&mut self, problem: &Problem) {
        self.problem = Some(problem.kind());
    }

    pub(crate) fn set_client(&mut self, client: Option<IpAddr>) {
        self.client = client;
    }

    pub(crate) fn set_image(&mut self, image: Image) {
        self.image = Some(image);
    }

    /// The log of a response that is streamed. Adds the request's identifier to its headers.
    pub(crate) fn of_stream(
        self,
        status: StatusCode,
        headers: &mut HeaderMap,
        metrics: &Metrics,
    ) -> StreamLog {
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert(REQUEST_ID, id);
        }
        self.record(status, "-", self.started.elapsed(), metrics);
        self.into_stream_log(status)
    }

    /// Counts the request, writes its line, and adds its identifier to the reply. A stream gets its line when it ends.
    pub(crate) fn finish(self, reply: &mut Reply, metrics: &Metrics) {
        let (status, stream) = (reply.status, reply.stream.take());
        let cache = reply.headers.get(&CACHE_STATUS).unwrap_or("-");
        let took = self.started.elapsed();
        self.record(status, cache, took, metrics);
        if stream.is_none() {
            self.write(status, cache, took, reply.body.len() as u64);
        }
        reply.headers.add(REQUEST_ID, &self.id);
        reply.stream = stream.map(|stream| {
            let log = self.into_stream_log(status);
            ReplyStream::of_body(LoggedStream { stream, log })
        });
    }

    fn into_stream_log(self, status: StatusCode) -> StreamLog {
        StreamLog {
            log: self,
            status,
            bytes: 0,
        }
    }

    /// Counts the request, and adds it to its trace.
    fn record(&self, status: StatusCode, cache: &str, took: Duration, metrics: &Metrics) {
        metrics.record_response(self.route, status.as_u16(), took);
        if let Some(image) = self.image {
            metrics.record_image(image.cache, image.source, image.reason);
        }
        if traces::is_enabled() {
            let instance = self.instance.as_deref();
            let (_, reason) = self.outcome();
            let outcome = (cache, reason);
            let span = Span::current();
            traces::record_response(&span, &self.method, self.route, instance, status, outcome);
        }
    }

    /// The source of the image and the reason, as the line has them.
    fn outcome(&self) -> (&'static str, &'static str) {
        let problem = self.problem.unwrap_or("-");
        match self.image {
            Some(image) if image.reason != "none" => (image.source, image.reason),
            Some(image) => (image.source, problem),
            None => ("-", problem),
        }
    }

    fn write(&self, status: StatusCode, cache: &str, took: Duration, bytes: u64) {
        let (source, reason) = self.outcome();
        access_log::write(&Record {
            request: &self.id,
            method: known_method(&self.method),
            route: self.route,
            instance: self.instance.as_deref().unwrap_or("-"),
            status: status.as_u16(),
            cache,
            source,
            reason,
            took,
            bytes,
            client: self.client,
        });
    }
}

impl StreamLog {
    /// Counts bytes that were sent.
    pub(crate) fn add_bytes(&mut self, count: u64) {
        self.bytes += count;
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        let took = self.log.started.elapsed();
        self.log.write(self.status, "-", took, self.bytes);
    }
}

impl Body for LoggedStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.stream).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(part) = frame.data_ref()
        {
            self.log.add_bytes(part.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.stream.size_hint()
    }
}

/// The client's own identifier, if it is well-formed and has no phone number in it.
fn given_id(headers: &HeaderMap) -> Option<RequestId> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_safe = text.len() >= 8
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && (is_uuid(text)
            || !text
                .split(|c: char| !c.is_ascii_hexdigit())
                .any(may_be_number));
    if is_safe {
        RequestId::from(text).ok()
    } else {
        None
    }
}

/// Whether this has the form of a UUID (RFC 9562 §4).
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    let is_hexadecimal = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(is_hexadecimal)
}

/// Whether a part of an identifier could be a phone number (E.164): seven digits or more, without the letters that a random
/// number in hexadecimal almost always has.
fn may_be_number(part: &str) -> bool {
    part.len() >= 7 && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// An identifier that is unique in this process, and most likely among all processes.
fn new_id() -> RequestId {
    static PROCESS: LazyLock<RequestId> = LazyLock::new(|| {
        let mut process = RequestId::new();
        // 10 of 64 bytes.
        let _ = write!(process, "f{:08x}-", getrandom::u32().unwrap_or_default());
        process
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut id = *PROCESS;
    id.push_str(itoa::Buffer::new().format(COUNT.fetch_add(1, Ordering::Relaxed)));
    id
}
