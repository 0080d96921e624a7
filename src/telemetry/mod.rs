//! The log, the access log, metrics and traces.
//!
//! # Files
//!
//! * `log`: the process's log
//! * `log_writer`: the thread that writes it
//! * `warnings`: its latest warnings
//! * `access_log`: the lines of the access log
//! * `rfc3339`: times as text
//! * `metrics`: all metrics
//! * `instance_metrics`: those of accounts
//! * `process_metrics`: those of the process and its configuration
//! * `store_metrics`: those of the cache's disk
//! * `hook_metrics`: those of webhooks
//! * `live_metrics`: those of clients that listen
//! * `fleet_metrics`: those of a fleet
//! * `seconds`: a histogram of durations
//! * `reached_limits`: reports bounds that are reached
//! * `traces`: spans
//! * `otlp_client`: sends spans to a collector

pub mod access_log;
mod fleet_metrics;
mod hook_metrics;
mod instance_metrics;
mod live_metrics;
pub mod log;
pub mod log_writer;
mod metrics;
mod otlp_client;
mod process_metrics;
mod reached_limits;
pub(crate) mod rfc3339;
mod seconds;
mod store_metrics;
pub mod traces;
pub mod warnings;

pub use access_log::known_method;
pub use fleet_metrics::CommandResult;
pub use hook_metrics::{ContactResult, EventReading};
pub use instance_metrics::InstanceFigures;
pub use metrics::{AVATAR, AccountLabel, Metrics, PROCESS};
pub use otlp_client::OtlpClient;
pub use process_metrics::resident_memory;
pub use reached_limits::Limit;
pub use store_metrics::StoreFigures;
