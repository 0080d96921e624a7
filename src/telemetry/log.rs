//! The log: text for people, JSON for machines, on standard output.

use std::{error::Error, io::IsTerminal};

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::{
        self,
        format::{DefaultFields, Full, Json, JsonFields},
    },
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

use super::{
    lines::{self, Out},
    traces::{self, Traces},
};

/// How the log is written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For people or for machines.
    pub format: Format,
    /// What is written: `info`, or a filter such as `warn,faceplate::access=info`.
    pub level: String,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Libraries that would write paths and links into the log, where JIDs and signatures stand.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,rustls=warn,hickory_net=warn,hickory_proto=warn,hickory_resolver=warn";

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: Format::Text,
            level: "info".into(),
        }
    }
}

/// Starts the log of this process, and its spans if they are traced. A second call changes nothing.
pub fn start(settings: &Settings, traces: Option<&Traces>) {
    let level = match check_level(&settings.level) {
        Ok(()) => settings.level.as_str(),
        Err(_) => "info",
    };
    if tells_of_requests(level) {
        lines::start(settings.format);
    }
    let filter = filter(level);
    // Tests start more than one server in a process; the first one's log serves them all.
    let _ = match traces {
        Some(traces) => with_spans(settings.format, filter, traces),
        None => without_spans(settings.format, filter),
    };
}

/// Asked once: the filter stays what it is, and a layer that was asked and then told nothing would be
/// wrong about what it is told next.
fn tells_of_requests(level: &str) -> bool {
    let asked = registry().with(filter(level));
    tracing::subscriber::with_default(
        asked,
        || tracing::enabled!(target: lines::ACCESS, tracing::Level::INFO),
    )
}

/// What is written at `level`, which may be a filter: never what libraries say of their requests.
pub fn filter(level: &str) -> EnvFilter {
    EnvFilter::new(format!("{level},{QUIET}"))
}

type Started = Result<(), Box<dyn Error + Send + Sync>>;

/// One filter for all that is told is quicker than one for each layer.
fn without_spans(format: Format, filter: EnvFilter) -> Started {
    let registry = registry().with(filter);
    match format {
        Format::Text => registry.with(layer().event_format(text())).try_init(),
        Format::Json => registry
            .with(layer().fmt_fields(JsonFields::new()).event_format(json()))
            .try_init(),
    }
    .map_err(Into::into)
}

fn with_spans(format: Format, filter: EnvFilter, traces: &Traces) -> Started {
    let layer = match format {
        Format::Text => layer().event_format(text()).boxed(),
        Format::Json => layer()
            .fmt_fields(JsonFields::new())
            .event_format(json())
            .boxed(),
    };
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    // The collector gets the spans, the log gets the rest.
    let is_span = |metadata: &Metadata<'_>| metadata.target() == traces::TARGET;
    registry()
        .with(layer.with_filter(filter.and(filter_fn(move |metadata| !is_span(metadata)))))
        .with(spans.with_filter(filter_fn(is_span)))
        .try_init()
        .map_err(Into::into)
}

fn layer<S>() -> fmt::Layer<S, DefaultFields, fmt::format::Format, Out> {
    fmt::layer().with_ansi(is_ansi()).with_writer(Out)
}

fn text() -> fmt::format::Format<Full> {
    fmt::format().with_ansi(is_ansi())
}

fn json() -> fmt::format::Format<Json> {
    fmt::format()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
}

fn is_ansi() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether `level` is a filter that the log understands.
pub fn check_level(level: &str) -> Result<(), String> {
    EnvFilter::try_new(level).map(|_| ()).map_err(|_| {
        format!("{level:?} is not a level; write error, warn, info or debug, or a filter such as warn,faceplate::access=info")
    })
}
