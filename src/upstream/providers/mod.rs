//! The vendors, one file each, and what the whole family of gateways has in common.

mod family;
mod hypersender;
mod wachat;
mod waha;
mod wawp;

pub use hypersender::Hypersender;
pub use wachat::Wachat;
pub use waha::{Waha, Wappfy};
pub use wawp::Wawp;
