//! The memory that image work takes at its peak, from the facts in a file's header: known before a pixel
//! is decoded, so that work which does not fit is never begun.
//!
//! The figures of decoders and encoders are the most that was measured, rounded up; `tests/it/image_work.rs`
//! holds them against a process of limited memory.

use super::variant::{Format, VariantSpec};
use crate::avatar::{Picture, Structure};

/// Bytes of four samples.
const RGBA: u64 = 4;
/// What every work takes: tables of codecs and of color transforms.
const FIXED: u64 = 1 << 20;
/// Decoders work in blocks; JPEG's have up to 32 pixels.
const BLOCK: u32 = 32;

/// The facts of a file that an earlier version accepted and this one cannot read: the highest price.
const UNKNOWN: Facts = Facts {
    decoder: 16,
    decoded: 8,
    has_profile: true,
    is_turned: true,
};

/// The facts that the price depends on, in bytes per pixel.
#[derive(Clone, Copy)]
struct Facts {
    decoder: u64,
    decoded: u64,
    has_profile: bool,
    is_turned: bool,
}

/// The price of a variant of `picture`, in bytes.
pub(super) fn of_variant(
    picture: &Picture,
    structure: Option<&Structure>,
    spec: VariantSpec,
) -> u64 {
    let facts = structure.map_or(UNKNOWN, Facts::of);
    let (width, height) = picture.dimensions();
    let pixels = whole_blocks(width) * whole_blocks(height);
    // Crop and scale, or copy and encode.
    let (last, scaled) = match spec.edge {
        Some(edge) => {
            let edge = u64::from(edge);
            let rows = edge * u64::from(height) * RGBA;
            (
                facts.upright() + RGBA + facts.premultiplied(),
                rows + raster(edge, spec.format, facts.has_alpha()),
            )
        }
        None => {
            let copy = facts.upright() + RGBA;
            (copy.max(RGBA + encoder(spec.format, facts.has_alpha())), 0)
        }
    };
    let per_pixel = facts.decoding().max(last);
    pixels * per_pixel + scaled + facts.files(picture.bytes().len() as u64) + FIXED
}

/// The price of a placeholder as pixels, in bytes.
pub(super) fn of_placeholder(spec: VariantSpec) -> u64 {
    raster(spec.edge.unwrap_or_default().into(), spec.format, true) + FIXED
}

/// The price of decoding `picture` and nothing more, in bytes.
pub(super) fn of_check(picture: &Picture, structure: Option<&Structure>) -> u64 {
    let facts = structure.map_or(UNKNOWN, Facts::of);
    let (width, height) = picture.dimensions();
    let pixels = whole_blocks(width) * whole_blocks(height);
    pixels * facts.decoding() + facts.files(picture.bytes().len() as u64) + FIXED
}

/// What the decoder of `picture` may allocate.
pub(super) fn of_decoding(picture: &Picture, structure: Option<&Structure>) -> u64 {
    let facts = structure.map_or(UNKNOWN, Facts::of);
    let (width, height) = picture.dimensions();
    whole_blocks(width) * whole_blocks(height) * facts.decoder + FIXED
}

fn whole_blocks(edge: u32) -> u64 {
    u64::from(edge.next_multiple_of(BLOCK))
}

/// A square as pixels, a copy of them, and their encoder.
fn raster(edge: u64, format: Format, has_alpha: bool) -> u64 {
    edge * edge * (2 * RGBA + encoder(format, has_alpha))
}

/// What an encoder takes beside the pixels that it gets, its output included.
fn encoder(format: Format, has_alpha: bool) -> u64 {
    match format {
        Format::Jpeg => 8,
        Format::Png => 14,
        Format::Webp if has_alpha => 40,
        Format::Webp => 24,
        Format::Avif => 75,
    }
}

impl Facts {
    fn of(structure: &Structure) -> Self {
        Self {
            decoder: structure.decoder_bytes_per_pixel.into(),
            decoded: structure.decoded_bytes_per_pixel.into(),
            has_profile: structure.has_profile,
            is_turned: structure.is_turned,
        }
    }

    /// Decodes, turns and converts the colors.
    fn decoding(self) -> u64 {
        let turning = if self.is_turned { 2 * self.decoded } else { 0 };
        // The pixels as four samples, and the same converted.
        let converting = if self.has_profile {
            self.decoded + 2 * RGBA
        } else {
            0
        };
        self.decoder.max(turning).max(converting)
    }

    /// The image after that.
    fn upright(self) -> u64 {
        if self.has_profile { RGBA } else { self.decoded }
    }

    /// The resizer's copy of pixels with alpha.
    fn premultiplied(self) -> u64 {
        if self.has_alpha() { RGBA } else { 0 }
    }

    /// Whether there may be alpha: those pixels have an even number of samples.
    fn has_alpha(self) -> bool {
        self.decoded.is_multiple_of(2)
    }

    /// The decoder's copy of the file, and of a profile in it and its tables.
    fn files(self, length: u64) -> u64 {
        length * if self.has_profile { 6 } else { 2 }
    }
}
