//! The vendors, one file each, and the JSON that all gateways have in common.

mod gateway_json;
mod hypersender;
mod wachat;
mod waha;
mod wawp;

pub use hypersender::Hypersender;
pub use wachat::Wachat;
pub use waha::{Waha, Wappfy};
pub use wawp::Wawp;
