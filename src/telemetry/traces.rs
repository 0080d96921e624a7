//! Traces, sent to an OTLP collector over HTTP: a span for each sampled request, and one for each call to a vendor or the CDN
//! that the request causes. The `traceparent` of a request is continued. Without a collector, a request reads one flag.
//!
//! No span holds a JID, a link or a secret.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::{
    KeyValue,
    propagation::TextMapPropagator,
    trace::{Status, TraceContextExt, TracerProvider},
};
use opentelemetry_http::{HeaderExtractor, HttpClient};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::known_method;

/// The target of every span. The log has no spans.
pub(super) const TARGET: &str = "faceplate::trace";

static IS_ENABLED: AtomicBool = AtomicBool::new(false);

/// Settings of traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The collector, such as `http://127.0.0.1:4318`. Traces are sent to `/v1/traces` there.
    pub endpoint: String,
    /// The percentage of requests that are traced, unless their `traceparent` decides.
    pub percent: u32,
}

/// The exporter of traces. The last ones are sent by [`Traces::stop`].
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts to send traces over `client`.
    pub fn start(
        settings: &Settings,
        client: impl HttpClient + 'static,
    ) -> Result<Self, ExporterBuildError> {
        let endpoint = settings.endpoint.trim_end_matches('/');
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()?;
        let share = f64::from(settings.percent) / 100.0;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                share,
            ))))
            .with_resource(
                Resource::builder_empty()
                    .with_attributes([
                        KeyValue::new("service.name", "faceplate"),
                        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                    ])
                    .build(),
            )
            .build();
        IS_ENABLED.store(true, Ordering::Relaxed);
        Ok(Self { provider })
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("faceplate")
    }

    /// Sends the traces that were not sent yet. Blocks until they are sent or the exporter gives up.
    pub fn stop(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces did not reach the collector");
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}

/// Whether there is a collector.
pub fn is_enabled() -> bool {
    IS_ENABLED.load(Ordering::Relaxed)
}

/// The span of a request. `trusted` are its headers if its `traceparent` may be believed: it decides whether the request
/// is traced, and what reaches the collector.
pub fn request_span(method: &Method, trusted: Option<&HeaderMap>) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        http.request.method = known_method(method),
        http.route = Empty,
        http.response.status_code = Empty,
        faceplate.instance = Empty,
        faceplate.cache = Empty,
        faceplate.reason = Empty,
    );
    if let Some(headers) = trusted {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // A span that is not collected cannot have a parent.
        let _ = span.set_parent(parent);
    }
    span
}

/// Adds the response to the span of its request.
pub fn record_response(
    span: &Span,
    method: &Method,
    route: &str,
    instance: Option<&str>,
    status: StatusCode,
    (cache, reason): (&str, &str),
) {
    let name = format!("{} {route}", known_method(method));
    span.context().span().update_name(name);
    span.record("http.route", route);
    span.record("http.response.status_code", i64::from(status.as_u16()));
    span.record("faceplate.cache", cache);
    span.record("faceplate.reason", reason);
    if let Some(instance) = instance {
        span.record("faceplate.instance", instance);
    }
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
}

/// The span of a call to the vendor (`hop` is `api`) or the CDN (`cdn`).
pub fn call_span(provider: &str, hop: &'static str, method: &Method) -> Span {
    if !is_enabled() {
        return Span::none();
    }
    tracing::info_span!(
        target: TARGET,
        "call",
        otel.name = hop,
        otel.kind = "client",
        faceplate.provider = provider,
        http.request.method = known_method(method),
        http.response.status_code = Empty,
        error.type = Empty,
    )
}
