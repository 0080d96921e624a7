//! How Faceplate tells what it does.

pub mod lines;
pub mod log;
mod metrics;
pub mod traces;

pub use metrics::{AVATAR, Metrics, StoreFigures};
