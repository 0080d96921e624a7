//! The nouns of transcoding: which variant is wanted, in which format, and the file that comes out.

use std::fmt;

use bytes::Bytes;
use image::ImageError;

use crate::{
    avatar::Digest,
    in_flight::{CacheHold, InFlight},
};

/// The size and format of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VariantSpec {
    /// The edge of a square in pixels; without it, the original's own shape and size.
    pub edge: Option<u16>,
    /// The file format.
    pub format: Format,
}

/// A file format that variants are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/webp`
    Webp,
    /// `image/avif`
    Avif,
}

/// A resized or re-encoded picture, or a placeholder as pixels.
pub struct Variant {
    /// The file.
    pub bytes: Bytes,
    /// The digest of the file.
    pub digest: Digest,
    /// The file's format.
    pub format: Format,
    /// Dropped when no cache holds the variant any more. From then on, its bytes count against the budget of bytes in
    /// flight.
    _hold: Option<CacheHold>,
}

/// Why a variant is replaced by another image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariantError {
    /// Too much work waits, of this client or of all.
    Busy,
    /// It was not made in time.
    Late,
    /// It would take more memory than all image work may.
    TooLarge,
    /// The original is a picture, but this program cannot make variants of its kind.
    Unsupported,
    /// The original cannot be decoded, so browsers cannot show it either.
    Undecodable,
}

/// The variant could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum TranscodeError {
    #[error("the picture cannot be decoded: {0}")]
    Decode(ImageError),
    #[error("a codec panicked: {0}")]
    Panic(String),
    #[error("it would take {0} bytes of memory, more than images.work")]
    TooDear(u64),
    #[error(
        "this kind of JPEG (one scan for each component, unusual sampling, or arithmetic coding) is not decoded reliably"
    )]
    Unreliable,
    #[error("the picture has {0} pixels, more than the limit")]
    TooLarge(u64),
    #[error("the placeholder cannot be rendered: {0}")]
    Render(String),
    #[error("the picture cannot be resized: {0}")]
    Resize(#[from] fast_image_resize::ResizeError),
    #[error("the pixel buffer does not match the picture's dimensions: {0}")]
    Buffer(#[from] fast_image_resize::ImageBufferError),
    #[error("the variant cannot be encoded as {0:?}: {1}")]
    Encode(Format, String),
}

// === impl VariantError ===

impl VariantError {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        VariantError::Busy,
        VariantError::Late,
        VariantError::TooLarge,
        VariantError::Unsupported,
        VariantError::Undecodable,
    ];

    /// The reason in a header.
    pub fn as_str(self) -> &'static str {
        match self {
            VariantError::Busy => "busy",
            VariantError::Late => "late",
            VariantError::TooLarge => "too_large",
            VariantError::Unsupported => "unsupported",
            VariantError::Undecodable => "undecodable",
        }
    }

    /// The image that is sent instead.
    pub(super) fn stand_in(self) -> &'static str {
        match self {
            VariantError::Undecodable => "placeholder",
            _ => "original",
        }
    }
}

// === impl TranscodeError ===

impl TranscodeError {
    /// The reason for clients.
    pub(super) fn unavailable(&self) -> VariantError {
        match self {
            TranscodeError::TooDear(_) | TranscodeError::TooLarge(_) => VariantError::TooLarge,
            TranscodeError::Decode(ImageError::Limits(_)) => VariantError::TooLarge,
            TranscodeError::Panic(_)
            | TranscodeError::Decode(
                ImageError::Decoding(_) | ImageError::IoError(_) | ImageError::Parameter(_),
            ) => VariantError::Undecodable,
            TranscodeError::Decode(_)
            | TranscodeError::Unreliable
            | TranscodeError::Render(_)
            | TranscodeError::Resize(_)
            | TranscodeError::Buffer(_)
            | TranscodeError::Encode(..) => VariantError::Unsupported,
        }
    }
}

// === impl Format ===

impl Format {
    /// The media type, as in `Content-Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Jpeg => "image/jpeg",
            Format::Png => "image/png",
            Format::Webp => "image/webp",
            Format::Avif => "image/avif",
        }
    }
}

// === impl Variant ===

impl Variant {
    /// A variant with this file.
    pub(super) fn new(file: Vec<u8>, format: Format) -> Self {
        let bytes = Bytes::from(file);
        Self {
            digest: Digest::of(&bytes),
            bytes,
            format,
            _hold: None,
        }
    }

    /// A copy in an allocation of exactly its length, for the cache. An encoder's output buffer has up to
    /// twice the capacity, and lies in the pool thread's heap among freed buffers, whose memory could not
    /// be returned to the system.
    pub(super) fn repack(self) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(&self.bytes),
            ..self
        }
    }

    /// The same variant, whose file is charged to the budget while it is sent and no cache holds it.
    pub(super) fn charge_to(self, in_flight: &InFlight) -> Self {
        let bytes = in_flight.charge(self.bytes);
        let hold = in_flight.mark_cached(&bytes);
        Self {
            bytes,
            _hold: Some(hold),
            ..self
        }
    }
}

impl PartialEq for Variant {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, self.format) == (other.digest, other.format)
    }
}

impl Eq for Variant {}

impl fmt::Debug for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variant({:?}, {} bytes)", self.format, self.bytes.len())
    }
}
