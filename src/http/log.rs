//! One line a request. Names no JID, no token, no link: those stand in paths and queries, and
//! paths and queries are not logged.

use std::time::Instant;

use http::{HeaderMap, Method, Response};
use hyper::body::Body as _;

use super::{Body, problem::Problem, represent};
use crate::telemetry::Metrics;

/// The line about one request, filled in on its way.
pub(super) struct Line {
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
    pub(super) fn begin(method: &Method) -> Self {
        Self {
            began: Instant::now(),
            method: method.clone(),
            route: "-",
            instance: None,
            problem: None,
            served: None,
        }
    }

    pub(super) fn route(&mut self, route: &'static str) {
        self.route = route;
    }

    pub(super) fn instance(&mut self, name: &std::sync::Arc<str>) {
        self.instance = Some(name.clone());
    }

    pub(super) fn refused(&mut self, problem: &Problem) {
        self.problem = Some(problem.kind());
    }

    /// An image is served: how the cache came by it, from where, and why not better.
    pub(super) fn served(
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

    /// Writes the line, and counts. The answer's own headers tell what became of the request.
    pub(super) fn end(self, response: &Response<Body>, metrics: &Metrics) {
        metrics.answered(self.route, response.status().as_u16(), self.began.elapsed());
        if let Some(Served {
            cache,
            source,
            reason,
        }) = self.served
        {
            metrics.served(cache, source, reason);
        }
        let headers = response.headers();
        tracing::info!(
            target: "faceplate::access",
            method = %self.method,
            route = self.route,
            instance = self.instance.as_deref().unwrap_or("-"),
            status = response.status().as_u16(),
            cache = text(headers, represent::CACHE_STATUS.as_str()),
            source = text(headers, represent::SOURCE.as_str()),
            reason = self.problem.unwrap_or_else(|| text(headers, represent::REASON.as_str())),
            ms = self.began.elapsed().as_micros() as f64 / 1000.0,
            bytes = response.body().size_hint().lower(),
        );
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("-")
}
