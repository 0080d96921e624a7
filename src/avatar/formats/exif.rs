//! The orientation in EXIF blocks, which is the one part of them that is kept.

/// The orientation of a picture that needs no turning (EXIF tag 0x0112).
pub(super) const UPRIGHT: u8 = 1;

/// A TIFF header and one directory entry: the smallest EXIF block that says how to turn a picture.
pub(super) fn orientation_block(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

/// The orientation that an EXIF block (from its TIFF header on) asks for.
pub(super) fn orientation(exif: &[u8]) -> u8 {
    image::metadata::Orientation::from_exif_chunk(exif).map_or(UPRIGHT, |found| found.to_exif())
}
