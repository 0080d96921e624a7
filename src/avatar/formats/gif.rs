//! GIF: blocks up to the trailer (GIF89a specification, sections 17 to 27).

use super::reader::{Fault, Reader};
use crate::avatar::structure::{Decoding, Edit, Structure};

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;
const TRAILER: u8 = 0x3B;
const COMMENT: u8 = 0xFE;
const APPLICATION: u8 = 0xFF;

/// The first blocks, with their length, of application extensions that decide how the picture looks: loops and colors.
const NEEDED: [&[u8]; 3] = [b"\x0BNETSCAPE2.0", b"\x0BANIMEXTS1.0", b"\x0BICCRGBG1012"];

/// Walks a GIF.
pub(super) fn walk(bytes: &[u8]) -> Result<Structure, Fault> {
    let mut reader = Reader::new(bytes, 6);
    let [w0, w1, h0, h1, flags, _, _] = reader.take_array()?;
    let (mut width, mut height) = (size(w0, w1), size(h0, h1));
    skip_colors(&mut reader, flags)?;
    let mut has_image = false;
    let mut edits = Vec::new();
    loop {
        let start = reader.at;
        match reader.byte()? {
            EXTENSION => {
                let label = reader.byte()?;
                let content = reader.at;
                skip_blocks(&mut reader)?;
                let is_needed = NEEDED.iter().any(|name| bytes[content..].starts_with(name));
                if label == COMMENT || label == APPLICATION && !is_needed {
                    edits.push(Edit::remove(start..reader.at));
                }
            }
            IMAGE => {
                let [x0, x1, y0, y1, w0, w1, h0, h1, flags] = reader.take_array()?;
                skip_colors(&mut reader, flags)?;
                // The first byte is the LZW code size.
                reader.byte()?;
                skip_blocks(&mut reader)?;
                if !has_image {
                    // Browsers grow the canvas until the first frame fits.
                    width = width.max(size(x0, x1) + size(w0, w1));
                    height = height.max(size(y0, y1) + size(h0, h1));
                }
                has_image = true;
            }
            TRAILER => break,
            // Some encoders write one terminator too many.
            0 => {}
            // Behind an image, browsers take any other byte for the end.
            _ if has_image => break,
            _ => return Err(Fault::Malformed("an unknown block")),
        }
    }
    if !has_image {
        return Err(Fault::Malformed("no image"));
    }
    edits.extend(Edit::remove_trailer(bytes, reader.at));
    Ok(Structure {
        width,
        height,
        // The canvas, and a frame that is smaller.
        decoder_bytes_per_pixel: 9,
        decoded_bytes_per_pixel: 4,
        has_profile: false,
        is_turned: false,
        is_cmyk: false,
        decoding: Decoding::Reliable,
        edits,
    })
}

fn size(low: u8, high: u8) -> u32 {
    u16::from_le_bytes([low, high]).into()
}

/// Skips a color table, if the flags announce one.
fn skip_colors(reader: &mut Reader<'_>, flags: u8) -> Result<(), Fault> {
    if flags & 0x80 != 0 {
        reader.take(3 << ((flags & 7) + 1))?;
    }
    Ok(())
}

/// Skips data blocks up to the empty one that ends them.
fn skip_blocks(reader: &mut Reader<'_>) -> Result<(), Fault> {
    loop {
        let length = reader.byte()?;
        if length == 0 {
            return Ok(());
        }
        reader.take(length.into())?;
    }
}
