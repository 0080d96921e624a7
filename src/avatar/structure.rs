//! The structure of an image file: its size, its decoding, and the parts that are metadata.

use std::ops::Range;

/// The facts about an image file that the walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Width in pixels, before the EXIF orientation is applied.
    pub width: u32,
    /// Height in pixels, before the EXIF orientation is applied.
    pub height: u32,
    /// Bytes of memory that a decoder needs for each pixel, its coefficients and samples together.
    pub decoder_bytes_per_pixel: u8,
    /// Bytes of a decoded pixel.
    pub decoded_bytes_per_pixel: u8,
    /// Whether the file has a color profile.
    pub has_profile: bool,
    /// Whether the EXIF orientation asks for turning the picture.
    pub is_turned: bool,
    /// Whether the pixels are CMYK, which decoders convert to RGB on their own.
    pub is_cmyk: bool,
    /// Whether common decoders read the file in the one way that the format allows.
    pub decoding: Decoding,
    /// Parts of the file to leave out, in order, and the bytes to put in their place.
    pub(super) edits: Vec<Edit>,
}

/// Whether the decoder that makes variants can be trusted with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoding {
    /// The usual kind of file.
    Reliable,
    /// A valid JPEG that the decoder turns into garbage without an error: one scan for each
    /// component, or chroma that is sampled more finely than luma
    /// (etemesi254/zune-image#419, #422). Or one that it does not know: arithmetic
    /// coding, or a ratio of sampling factors such as 3.
    Unreliable,
}

/// Bytes of the file, and their replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) replacement: Vec<u8>,
}

// === impl Structure ===

impl Structure {
    /// The file without its metadata, or `None` if it has none. Pixels, colors and orientation stay.
    pub(super) fn strip(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.edits.is_empty() {
            return None;
        }
        let mut stripped = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for edit in &self.edits {
            stripped.extend_from_slice(&bytes[from..edit.range.start]);
            stripped.extend_from_slice(&edit.replacement);
            from = edit.range.end;
        }
        stripped.extend_from_slice(&bytes[from..]);
        // A block that holds the orientation alone is replaced by its like.
        (stripped != bytes).then_some(stripped)
    }
}

// === impl Edit ===

impl Edit {
    pub(super) fn remove(range: Range<usize>) -> Self {
        Self {
            range,
            replacement: Vec::new(),
        }
    }

    /// Removes everything behind the picture's end, unless it is padding.
    pub(super) fn remove_trailer(bytes: &[u8], end: usize) -> Option<Self> {
        let trailer = bytes.get(end..).unwrap_or_default();
        let is_padding = trailer.iter().all(|byte| *byte == 0);
        (!is_padding).then(|| Self::remove(end..bytes.len()))
    }
}
