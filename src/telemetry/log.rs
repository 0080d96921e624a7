//! The log: text for people, JSON for machines, on standard output.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

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

/// Starts the log of this process. A second call changes nothing.
pub fn start(settings: &Settings) {
    let level = match check_level(&settings.level) {
        Ok(()) => settings.level.as_str(),
        Err(_) => "info",
    };
    let filter = EnvFilter::new(format!("{level},{QUIET}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stdout)
        .with_ansi(std::io::stdout().is_terminal());
    // Tests start more than one server in a process; the first one's log serves them all.
    let _ = match settings.format {
        Format::Text => builder.try_init(),
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
    };
}

/// Whether `level` is a filter that the log understands.
pub fn check_level(level: &str) -> Result<(), String> {
    EnvFilter::try_new(level).map(|_| ()).map_err(|_| {
        format!("{level:?} is not a level; write error, warn, info or debug, or a filter such as warn,faceplate::access=info")
    })
}
