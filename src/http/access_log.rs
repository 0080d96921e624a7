//! One line a request. Names no JID, no token, no link: those stand in paths and queries, and
//! paths and queries are not logged.

use std::{
    fmt::Write,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use arrayvec::ArrayString;
use http::{HeaderMap, HeaderName, Method};
use tracing::Span;

use super::problem::Problem;
use crate::representation::headers as represent;
use crate::server::Reply;
use crate::telemetry::{
    Metrics,
    access_log::{self, Record},
    traces,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request is called in the log and in its answer, so that a client's trouble can be found
/// again: its own name for it if it brings a sane one.
type RequestId = ArrayString<64>;

/// The line about one request, filled in on its way.
pub(crate) struct Line {
    id: RequestId,
    began: Instant,
    method: Method,
    route: &'static str,
    instance: Option<std::sync::Arc<str>>,
    problem: Option<&'static str>,
    served: Option<Served>,
}

/// An image, for the metrics.
struct Served {
    cache: &'static str,
    source: &'static str,
    reason: &'static str,
}

impl Line {
    pub(crate) fn begin(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            id: told(headers).unwrap_or_else(next),
            began: Instant::now(),
            method: method.clone(),
            route: "-",
            instance: None,
            problem: None,
            served: None,
        }
    }

    pub(crate) fn route(&mut self, route: &'static str) {
        self.route = route;
    }

    pub(crate) fn instance(&mut self, name: &std::sync::Arc<str>) {
        self.instance = Some(name.clone());
    }

    pub(crate) fn refused(&mut self, problem: &Problem) {
        self.problem = Some(problem.kind());
    }

    /// An image is served: how the cache came by it, from where, and why not better.
    pub(crate) fn served(
        &mut self,
        cache: &'static str,
        source: &'static str,
        reason: &'static str,
    ) {
        self.served = Some(Served {
            cache,
            source,
            reason,
        });
    }

    /// Writes the line, and counts. The answer's own headers tell what became of the request, and
    /// get its name.
    pub(crate) fn end(self, response: &mut Reply, metrics: &Metrics) {
        let took = self.began.elapsed();
        metrics.answered(self.route, response.status.as_u16(), took);
        let (mut source, mut reason) = ("-", self.problem.unwrap_or("-"));
        if let Some(served) = self.served {
            metrics.served(served.cache, served.source, served.reason);
            source = served.source;
            if served.reason != "none" {
                reason = served.reason;
            }
        }
        let cache = response
            .headers
            .get(&represent::CACHE_STATUS)
            .unwrap_or("-");
        if traces::are_on() {
            let instance = self.instance.as_deref();
            let status = response.status;
            let outcome = (cache, reason);
            let span = Span::current();
            traces::answered(&span, &self.method, self.route, instance, status, outcome);
        }
        access_log::write(&Record {
            request: &self.id,
            method: self.method.as_str(),
            route: self.route,
            instance: self.instance.as_deref().unwrap_or("-"),
            status: response.status.as_u16(),
            cache,
            source,
            reason,
            took,
            bytes: response.body.len() as u64,
        });
        response.headers.add(REQUEST_ID, &self.id);
    }
}

/// The client's own name for the request. One that could be a phone number goes into no log.
fn told(headers: &HeaderMap) -> Option<RequestId> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_sane = text.len() >= 8
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic());
    if is_sane {
        RequestId::from(text).ok()
    } else {
        None
    }
}

/// A name that no other request of this process has, nor, most likely, of another.
fn next() -> RequestId {
    static PROCESS: LazyLock<RequestId> = LazyLock::new(|| {
        let mut process = RequestId::new();
        // It fits.
        let _ = write!(process, "f{:08x}-", getrandom::u32().unwrap_or_default());
        process
    });
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut id = *PROCESS;
    id.push_str(itoa::Buffer::new().format(COUNT.fetch_add(1, Ordering::Relaxed)));
    id
}
