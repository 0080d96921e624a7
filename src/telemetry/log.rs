//! The process's log: text for people or JSON for machines, on standard output.

use std::{
    error::Error,
    io::IsTerminal,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt::{
        self, FmtContext, FormatEvent,
        format::{DefaultFields, Full, Json, Writer},
        time::FormatTime,
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

pub use super::access_log::Format;
use super::{
    access_log,
    log_writer::{self, LogWriter},
    rfc3339,
    traces::{self, Traces},
    warnings::WarningTail,
};
use crate::clock::Clock;

/// Settings of the log.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The form of a line.
    pub format: Format,
    /// A level such as `info`, or a filter such as `warn,faceplate::access=info`.
    pub level: String,
}

/// Writes lines in the form that the log has now.
struct Lines {
    text: fmt::format::Format<Full, Millis>,
    json: fmt::format::Format<Json, Millis>,
}

/// The time of a line, to the millisecond, as in the access log.
struct Millis;

/// The function that replaces the filter of a running log.
type SetFilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// Replaces the filter of the first log of this process.
static SET_FILTER: OnceLock<SetFilter> = OnceLock::new();

/// Whether the lines of the log are JSON.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// The usual level.
pub const DEFAULT_LEVEL: &str = "info";

/// Libraries whose lines below these levels would contain paths and links, and thus JIDs and signatures.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,rustls=warn,hickory_net=warn,hickory_proto=warn,hickory_resolver=warn";

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: Format::Text,
            level: DEFAULT_LEVEL.to_owned(),
        }
    }
}

/// Starts the log of this process, and its spans if `traces` are on. A second call changes nothing.
pub fn start(settings: &Settings, traces: Option<&Traces>) -> Result<(), String> {
    let writer = log_writer::stdout().map_err(|error| {
        format!("cannot start the log's thread: {error}; raise the limit of threads (ulimit -u)")
    })?;
    let level = match check_level(&settings.level) {
        Ok(()) => &settings.level,
        Err(_) => DEFAULT_LEVEL,
    };
    let filter = filter(level);
    // Tests start more than one server in a process, and all of them write to the first one's log.
    let started = match traces {
        Some(traces) => with_spans(writer, filter, traces),
        None => without_spans(writer, filter),
    };
    if let Ok(set_filter) = started {
        set_lines(settings.format, level);
        let _ = SET_FILTER.set(set_filter);
    }
    Ok(())
}

/// Changes the running log. A level that is none changes nothing.
pub fn change(settings: &Settings) {
    let level = &settings.level;
    let Some(set_filter) = SET_FILTER.get().filter(|_| check_level(level).is_ok()) else {
        return;
    };
    set_filter(filter(level));
    set_lines(settings.format, level);
}

fn set_lines(format: Format, level: &str) {
    IS_JSON.store(format == Format::Json, Ordering::Relaxed);
    access_log::set(has_access_log(level).then_some(format));
}

/// Whether `level` lets access-log lines pass. The answer changes with the level alone, so it is asked for once, from a
/// separate subscriber: asking the log's layers about an event that does not follow would confuse their filters.
fn has_access_log(level: &str) -> bool {
    let subscriber = tracing_subscriber::registry().with(filter(level));
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

type StartResult = Result<SetFilter, Box<dyn Error + Send + Sync>>;

/// A log without spans has one filter for the whole registry.
fn without_spans(writer: Arc<LogWriter>, filter: EnvFilter) -> StartResult {
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry()
        .with(filter)
        .with(WarningTail)
        .with(layer(writer))
        .try_init()?;
    Ok(Box::new(move |filter| {
        // The log lives as long as the process.
        let _ = handle.reload(filter);
    }))
}

fn with_spans(writer: Arc<LogWriter>, filter: EnvFilter, traces: &Traces) -> StartResult {
    let layer = layer(writer);
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    // Spans go to the collector, events to the log.
    let is_span = |metadata: &Metadata<'_>| metadata.target() == traces::TARGET;
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry()
        .with(layer.with_filter(filter.and(filter_fn(move |metadata| !is_span(metadata)))))
        .with(spans.with_filter(filter_fn(is_span)))
        .with(WarningTail.with_filter(LevelFilter::WARN))
        .try_init()?;
    Ok(Box::new(move |filter| {
        let _ = handle.reload(filter);
    }))
}

fn layer<S>(writer: Arc<LogWriter>) -> fmt::Layer<S, DefaultFields, Lines, Arc<LogWriter>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = fmt::layer();
    // The default has colors, unless `NO_COLOR` is set.
    let layer = match std::io::stdout().is_terminal() {
        true => layer,
        false => layer.with_ansi(false),
    };
    layer.with_writer(writer).event_format(Lines {
        text: fmt::format().with_timer(Millis),
        json: fmt::format()
            .with_timer(Millis)
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false),
    })
}

impl FormatTime for Millis {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        let mut time = String::new();
        rfc3339::write(Clock::system().now(), &mut time);
        writer.write_str(&time)
    }
}

impl<S> FormatEvent<S, DefaultFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        match IS_JSON.load(Ordering::Relaxed) {
            true => self.json.format_event(context, writer, event),
            false => self.text.format_event(context, writer, event),
        }
    }
}

/// Checks that `level` is a level or a filter; the error says what to write.
pub fn check_level(level: &str) -> Result<(), String> {
    EnvFilter::try_new(level).map(|_| ()).map_err(|_| {
        format!("{level:?} is not a level; write error, warn, info or debug, or a filter such as warn,faceplate::access=info")
    })
}
