//! Makes images: variants of pictures (other sizes and formats), and placeholders for faces that have
//! no picture.

mod decode_check;
mod encode;
mod lossless_codes;
mod placeholder;
mod pool;
mod price;
mod queue;
mod scratch;
mod thumbnailer;
mod transcode;
mod variant;

pub use placeholder::{
    Color, Fonts, PlaceholderLook, PlaceholderSpec, PlaceholderStyle, draw_placeholder,
    ready_silhouette,
};
pub use thumbnailer::{Asker, ImageSettings, Original, Thumbnailer, VariantResult};
pub use variant::{Format, Unavailable, Variant, VariantSpec};
