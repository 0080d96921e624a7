//! The log, the access log, metrics and traces.

pub mod access_log;
mod fleet_metrics;
mod hook_metrics;
mod limits;
mod live_metrics;
pub mod log;
pub mod log_writer;
mod metrics;
mod otlp_client;
pub(crate) mod rfc3339;
mod seconds;
mod store_metrics;
pub mod traces;

pub use access_log::known_method;
pub use limits::Limit;
pub use metrics::{AVATAR, Metrics, PROCESS};
pub use otlp_client::OtlpClient;
pub use store_metrics::StoreFigures;
