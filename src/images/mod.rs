//! Makes images: variants of pictures (other sizes and formats), and placeholders for faces that have
//! no picture.
//!
//! # Files
//!
//! * `thumbnailer`: makes variants, each once, and caches them
//! * `variant`: the types of variants and their errors
//! * `transcode`: decodes, crops, scales, encodes
//! * `encode`: pixels to a file
//! * `scratch`: the buffers of a thread, reused
//! * `decode_check`: whether a new picture can be decoded
//! * `queue`: the jobs that wait, bounded
//! * `price`: the memory that work takes, from a file's header
//! * `lossless_codes`: the part of it that no header of a lossless WebP tells
//! * `pool`: the image threads
//! * `placeholder/`: draws faces without a picture

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
    Color, DrawnPlaceholder, Fonts, PlaceholderCache, PlaceholderLook, PlaceholderSpec,
    PlaceholderStyle, draw_placeholder, ready_silhouette,
};
pub use thumbnailer::{Asker, ImageSettings, Original, Thumbnailer, VariantResult};
pub use variant::{Format, Variant, VariantError, VariantSpec};
