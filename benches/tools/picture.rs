//! The pictures of the origin.

use bytes::Bytes;

/// A JPEG of 640×640 pixels and `length` bytes, whose scan holds the number and padding. No decoder can show it; its structure is
/// whole, and has no comments, which would not be stored.
pub fn jpeg(number: u64, length: usize) -> Bytes {
    const HEAD: [u8; 35] = [
        0xFF, 0xD8, // start of image
        0xFF, 0xC0, 0, 17, 8, 0x02, 0x80, 0x02, 0x80, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11,
        1, // frame
        0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 0x3F, 0, // scan
    ];
    const END: [u8; 2] = [0xFF, 0xD9];
    let mut bytes = HEAD.to_vec();
    bytes.extend(number.to_string().bytes());
    let padded = length.saturating_sub(END.len()).max(bytes.len());
    bytes.resize(padded, b' ');
    bytes.extend(END);
    Bytes::from(bytes)
}
