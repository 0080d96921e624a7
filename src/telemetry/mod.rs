//! The log, the access log, metrics and traces.

pub mod access_log;
mod hook_metrics;
mod live_metrics;
pub mod log;
pub mod log_writer;
mod metrics;
mod otlp_client;
mod reached_limits;
pub(crate) mod rfc3339;
mod store_metrics;
pub mod traces;

pub use access_log::known_method;
pub use metrics::{AVATAR, Metrics, PROCESS};
pub use otlp_client::OtlpClient;
pub use reached_limits::Limit;
pub use store_metrics::StoreFigures;
