//! Makes images: variants of pictures (other sizes and formats), and placeholders for faces that have
//! no picture.

mod encode;
mod placeholder;
mod pool;
mod scratch;
mod thumbnailer;
mod transcode;
mod variant;

pub use placeholder::{
    Color, Fonts, PlaceholderLook, PlaceholderSpec, PlaceholderStyle, draw_placeholder,
};
pub use thumbnailer::{CachedVariant, Original, Thumbnailer};
pub use variant::{Format, Variant, VariantSpec};
