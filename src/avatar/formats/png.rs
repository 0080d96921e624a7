//! PNG: chunks up to `IEND` (PNG specification, third edition, section 5).

use super::{
    exif::{UPRIGHT, orientation, orientation_block},
    reader::{Fault, Reader},
};
use crate::avatar::structure::{Decoding, Edit, Structure};

/// The length of the signature.
const SIGNATURE: usize = 8;

/// Ancillary chunks that decide how the pixels look. All others are metadata.
const NEEDED: [&[u8; 4]; 15] = [
    b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD",
    b"pHYs", b"hIST", b"acTL", b"fcTL", b"fdAT",
];

/// The header chunk's fields that matter here.
struct Header {
    width: u32,
    height: u32,
    depth: u8,
    color: u8,
}

/// Walks a PNG.
pub(super) fn walk(bytes: &[u8]) -> Result<Structure, Fault> {
    let mut reader = Reader::new(bytes, SIGNATURE);
    let mut header: Option<Header> = None;
    let (mut has_palette, mut has_pixels) = (false, false);
    let (mut has_profile, mut has_transparency) = (false, false);
    let mut turned = UPRIGHT;
    let mut edits = Vec::new();
    loop {
        let start = reader.at;
        let length = u32::from_be_bytes(reader.take_array()?);
        let kind: [u8; 4] = reader.take_array()?;
        let content = reader.take(length as usize)?;
        let sum = u32::from_be_bytes(reader.take_array()?);
        let Some(header) = &header else {
            if &kind != b"IHDR" || checksum(&kind, content) != sum {
                return Err(Fault::Malformed("no intact header"));
            }
            header = Some(read_header(content)?);
            continue;
        };
        let is_pixel_data = matches!(&kind, b"PLTE" | b"IDAT");
        if is_pixel_data && checksum(&kind, content) != sum {
            return Err(Fault::Malformed("a damaged chunk"));
        }
        match &kind {
            b"PLTE" => {
                let is_right = (3..=768).contains(&content.len()) && content.len() % 3 == 0;
                if has_palette || !is_right {
                    return Err(Fault::Malformed("an impossible palette"));
                }
                has_palette = true;
            }
            b"IDAT" => {
                if header.color == 3 && !has_palette {
                    return Err(Fault::Malformed("no palette"));
                }
                has_pixels |= !content.is_empty();
            }
            b"IEND" => break,
            b"iCCP" => has_profile = true,
            b"tRNS" => has_transparency = true,
            b"eXIf" => {
                turned = orientation(content);
                edits.push(Edit::remove(start..reader.at));
            }
            _ if kind[0].is_ascii_uppercase() && !has_pixels => {
                return Err(Fault::Malformed("an unknown critical chunk"));
            }
            _ if !NEEDED.contains(&&kind) => edits.push(Edit::remove(start..reader.at)),
            _ => {}
        }
    }
    let header = header.ok_or(Fault::Truncated)?;
    if !has_pixels {
        return Err(Fault::Malformed("no pixels"));
    }
    if let Some(first) = edits.first_mut()
        && turned != UPRIGHT
    {
        first.replacement = chunk(b"eXIf", &orientation_block(turned));
    }
    let bytes_per_pixel = header.bytes_per_pixel(has_transparency);
    edits.extend(Edit::remove_trailer(bytes, reader.at));
    Ok(Structure {
        width: header.width,
        height: header.height,
        decoder_bytes_per_pixel: bytes_per_pixel,
        decoded_bytes_per_pixel: bytes_per_pixel,
        has_profile,
        is_turned: turned != UPRIGHT,
        is_cmyk: false,
        decoding: Decoding::Reliable,
        edits,
    })
}

fn read_header(content: &[u8]) -> Result<Header, Fault> {
    let wrong = Fault::Malformed("an impossible header");
    let &[
        w3,
        w2,
        w1,
        w0,
        h3,
        h2,
        h1,
        h0,
        depth,
        color,
        compression,
        filter,
        interlace,
    ] = content
    else {
        return Err(wrong);
    };
    // Table 12 of the specification.
    let is_possible = match color {
        0 => matches!(depth, 1 | 2 | 4 | 8 | 16),
        2 | 4 | 6 => matches!(depth, 8 | 16),
        3 => matches!(depth, 1 | 2 | 4 | 8),
        _ => false,
    };
    if !is_possible || compression != 0 || filter != 0 || interlace > 1 {
        return Err(wrong);
    }
    Ok(Header {
        width: u32::from_be_bytes([w3, w2, w1, w0]),
        height: u32::from_be_bytes([h3, h2, h1, h0]),
        depth,
        color,
    })
}

fn checksum(kind: &[u8; 4], content: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(kind);
    sum.update(content);
    sum.finalize()
}

pub(super) fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = (content.len() as u32).to_be_bytes().to_vec();
    chunk.extend(kind);
    chunk.extend(content);
    chunk.extend(checksum(kind, content).to_be_bytes());
    chunk
}

// === impl Header ===

impl Header {
    /// As decoded: palettes and transparent colors become samples of their own.
    fn bytes_per_pixel(&self, has_transparency: bool) -> u8 {
        let samples = match self.color {
            0 => 1 + u8::from(has_transparency),
            4 => 2,
            2 | 3 => 3 + u8::from(has_transparency),
            _ => 4,
        };
        samples * if self.depth == 16 { 2 } else { 1 }
    }
}
