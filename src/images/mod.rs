//! Makes images: variants of pictures (other sizes and formats), and placeholders for faces that have
//! no picture.
//!
//! * `thumbnailer` makes variants, each once, and caches them; `variant` has their types, `transcode` and `encode` do the work,
//!   with the buffers of `scratch`; `decode_check` decodes a new picture once.
//! * `queue` bounds the work that waits and its memory, which `price` estimates from a file's header (`lossless_codes`: the
//!   part that no header of a lossless WebP tells); `pool` has the threads.
//! * `placeholder/` draws faces without a picture.

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
pub use variant::{Format, Variant, VariantError, VariantSpec};
