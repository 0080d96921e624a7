//! The process's log: text for people or JSON for machines, on standard output.

use std::{
    error::Error,
    io::IsTerminal,
    sync::{Arc, OnceLock},
};

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt::{
        self,
        format::{DefaultFields, Full, Json, JsonFields},
    },
    layer::SubscriberExt,
    registry, reload,
    util::SubscriberInitExt,
};

pub use super::access_log::Format;
use super::{
    access_log,
    log_writer::{self, LogWriter},
    traces::{self, Traces},
    warnings::WarningTail,
};

/// Settings of the log.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The form of a line.
    pub format: Format,
}

/// The running log, as far as it can be changed.
struct RunningLog {
    format: Format,
    /// Replaces the filter.
    set_filter: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

/// The first log of this process.
static RUNNING: OnceLock<RunningLog> = OnceLock::new();

/// The usual level.
pub const DEFAULT_LEVEL: &str = "info";

/// Libraries whose lines below these levels would contain paths and links, and thus JIDs and signatures.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,rustls=warn,hickory_net=warn,hickory_proto=warn,hickory_resolver=warn";

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: Format::Text,
        }
    }
}

/// Starts the log of this process, and its spans if `traces` are on. A second call changes nothing. `level` is a level such
/// as `info`, or a filter such as `warn,faceplate::access=info`.
pub fn start(settings: &Settings, level: &str, traces: Option<&Traces>) -> Result<(), String> {
    let writer = log_writer::stdout().map_err(|error| {
        format!("cannot start the log's thread: {error}; raise the limit of threads (ulimit -u)")
    })?;
    let level = match check_level(level) {
        Ok(()) => level,
        Err(_) => DEFAULT_LEVEL,
    };
    let filter = filter(level);
    // Tests start more than one server in a process, and all of them write to the first one's log.
    let started = match traces {
        Some(traces) => with_spans(settings.format, writer, filter, traces),
        None => without_spans(settings.format, writer, filter),
    };
    if let Ok(set_filter) = started {
        let format = settings.format;
        access_log::set(has_access_log(level).then_some(format));
        let _ = RUNNING.set(RunningLog { format, set_filter });
    }
    Ok(())
}

/// Changes the level of the running log. A level that is none changes nothing.
pub fn set_level(level: &str) {
    let Some(log) = RUNNING.get().filter(|_| check_level(level).is_ok()) else {
        return;
    };
    (log.set_filter)(filter(level));
    access_log::set(has_access_log(level).then_some(log.format));
}

/// Whether `level` lets access-log lines pass. The answer changes with the level alone, so it is asked for once, from a
/// separate subscriber: asking the log's layers about an event that does not follow would confuse their filters.
fn has_access_log(level: &str) -> bool {
    let subscriber = registry().with(filter(level));
    tracing::subscriber::with_default(
        subscriber,
        || tracing::enabled!(target: access_log::TARGET, tracing::Level::INFO),
    )
}

/// The filter for `level`, which may be a filter itself. It always drops the lines that libraries write about
/// requests.
pub fn filter(level: &str) -> EnvFilter {
    EnvFilter::new(format!("{level},{QUIET}"))
}

/// The function that replaces the filter of the log that was started.
type StartResult = Result<Box<dyn Fn(EnvFilter) + Send + Sync>, Box<dyn Error + Send + Sync>>;

/// A log without spans has one filter for the whole registry.
fn without_spans(format: Format, writer: Arc<LogWriter>, filter: EnvFilter) -> StartResult {
    let (filter, handle) = reload::Layer::new(filter);
    let registry = registry().with(filter).with(WarningTail);
    match format {
        Format::Text => registry.with(layer(writer).event_format(text())).try_init(),
        Format::Json => registry
            .with(
                layer(writer)
                    .fmt_fields(JsonFields::new())
                    .event_format(json()),
            )
            .try_init(),
    }?;
    Ok(Box::new(move |filter| {
        // The log lives as long as the process.
        let _ = handle.reload(filter);
    }))
}

fn with_spans(
    format: Format,
    writer: Arc<LogWriter>,
    filter: EnvFilter,
    traces: &Traces,
) -> StartResult {
    let layer = match format {
        Format::Text => layer(writer).event_format(text()).boxed(),
        Format::Json => layer(writer)
            .fmt_fields(JsonFields::new())
            .event_format(json())
            .boxed(),
    };
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    // Spans go to the collector, events to the log.
    let is_span = |metadata: &Metadata<'_>| metadata.target() == traces::TARGET;
    let (filter, handle) = reload::Layer::new(filter);
    registry()
        .with(layer.with_filter(filter.and(filter_fn(move |metadata| !is_span(metadata)))))
        .with(spans.with_filter(filter_fn(is_span)))
        .with(WarningTail.with_filter(LevelFilter::WARN))
        .try_init()?;
    Ok(Box::new(move |filter| {
        let _ = handle.reload(filter);
    }))
}

fn layer<S>(
    writer: Arc<LogWriter>,
) -> fmt::Layer<S, DefaultFields, fmt::format::Format, Arc<LogWriter>> {
    let layer = fmt::layer();
    // The default has colors, unless `NO_COLOR` is set.
    let layer = match std::io::stdout().is_terminal() {
        true => layer,
        false => layer.with_ansi(false),
    };
    layer.with_writer(writer)
}

fn text() -> fmt::format::Format<Full> {
    fmt::format()
}

fn json() -> fmt::format::Format<Json> {
    fmt::format()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
}

/// Checks that `level` is a level or a filter; the error says what to write.
pub fn check_level(level: &str) -> Result<(), String> {
    EnvFilter::try_new(level).map(|_| ()).map_err(|_| {
        format!("{level:?} is not a level; write error, warn, info or debug, or a filter such as warn,faceplate::access=info")
    })
}
