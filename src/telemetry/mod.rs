//! How Faceplate tells what it does.

pub mod log;
mod metrics;

pub use metrics::{Metrics, StoreFigures};
