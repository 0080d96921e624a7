//! WebP: chunks inside the RIFF size (RFC 9649, section 2).

use super::{
    exif::{UPRIGHT, orientation, orientation_block},
    reader::{Fault, Reader},
};
use crate::avatar::structure::{Decoding, Edit, Structure};

/// `RIFF`, its size, `WEBP`.
const FILE_HEADER: usize = 12;
/// A chunk's name and size.
const CHUNK_HEADER: usize = 8;
/// A frame's place, size, duration and flags in an `ANMF` chunk.
const FRAME_HEADER: usize = 16;
/// Flags of the extended header (RFC 9649, section 2.7.1).
const HAS_EXIF: u8 = 0x08;
const HAS_XMP: u8 = 0x04;
/// Bytes that the decoder needs for each pixel: planes of luma and chroma, alpha, a canvas, and the pixels.
const LOSSY: u8 = 5;
const LOSSLESS: u8 = 9;
const WITH_ALPHA: u8 = 12;
const ANIMATED: u8 = 16;

/// Walks a WebP.
pub(super) fn walk(bytes: &[u8]) -> Result<Structure, Fault> {
    let size = bytes.get(4..8).and_then(|size| size.try_into().ok());
    let size = u32::from_le_bytes(size.ok_or(Fault::Truncated)?) as usize;
    let end = size.checked_add(8).ok_or(Fault::Truncated)?;
    if end < FILE_HEADER + CHUNK_HEADER {
        return Err(Fault::Malformed("an impossible RIFF size"));
    }
    // The last chunk's padding is often left out.
    if end > bytes.len() + (end & 1) {
        return Err(Fault::Truncated);
    }
    let end = end.min(bytes.len());
    let mut canvas: Option<(usize, (u32, u32))> = None;
    let mut frame = None;
    let mut turned = UPRIGHT;
    let mut has_profile = false;
    let mut decoder_bytes_per_pixel = 0;
    let mut edits: Vec<Edit> = Vec::new();
    let mut at = FILE_HEADER;
    while at < end {
        let chunk = read_chunk(bytes, at, end)?;
        match chunk.name {
            b"VP8X" => canvas = Some((at, extended_size(chunk.content)?)),
            b"VP8 " | b"VP8L" => {
                let found = frame_size(chunk.name, chunk.content)?;
                // A decoder makes room for the frame before it compares the sizes.
                if canvas.is_some_and(|(_, size)| size != found) {
                    return Err(Fault::Malformed("a frame of another size than its canvas"));
                }
                frame = frame.or(Some(found));
                let bytes = if chunk.name == b"VP8L" {
                    LOSSLESS
                } else {
                    LOSSY
                };
                decoder_bytes_per_pixel = decoder_bytes_per_pixel.max(bytes);
            }
            b"ANMF" => {
                let found = animation_frame(chunk.content)?;
                let fits = |(_, (width, height))| found.0 <= width && found.1 <= height;
                if !canvas.is_some_and(fits) {
                    return Err(Fault::Malformed("a frame outside of its canvas"));
                }
                frame = frame.or(Some(found));
                decoder_bytes_per_pixel = decoder_bytes_per_pixel.max(ANIMATED);
            }
            b"ICCP" => has_profile = true,
            b"ALPH" => decoder_bytes_per_pixel = decoder_bytes_per_pixel.max(WITH_ALPHA),
            b"ANIM" => {}
            name => {
                if name == b"EXIF" {
                    let content = chunk.content;
                    turned = orientation(content.strip_prefix(b"Exif\0\0").unwrap_or(content));
                }
                edits.push(Edit::remove(at..chunk.end));
            }
        }
        at = chunk.end;
    }
    let frame = frame.ok_or(Fault::Malformed("no pixels"))?;
    let (width, height) = canvas.map_or(frame, |(_, size)| size);
    if let Some(first) = edits.first_mut() {
        if turned != UPRIGHT {
            first.replacement = orientation_chunk(turned);
        }
        let removed: usize = edits.iter().map(|edit| edit.range.len()).sum();
        let added: usize = edits.iter().map(|edit| edit.replacement.len()).sum();
        let size = (end - 8 + added - removed) as u32;
        let mut fixed = vec![Edit {
            range: 4..8,
            replacement: size.to_le_bytes().to_vec(),
        }];
        if let Some((at, _)) = canvas {
            let flags = at + CHUNK_HEADER;
            let keep = if turned == UPRIGHT { 0 } else { HAS_EXIF };
            fixed.push(Edit {
                range: flags..flags + 1,
                replacement: vec![bytes[flags] & !(HAS_EXIF | HAS_XMP) | keep],
            });
        }
        fixed.append(&mut edits);
        fixed.sort_by_key(|edit| edit.range.start);
        edits = fixed;
    }
    edits.extend(Edit::remove_trailer(bytes, end));
    Ok(Structure {
        width,
        height,
        decoder_bytes_per_pixel,
        decoded_bytes_per_pixel: 4,
        has_profile,
        is_turned: turned != UPRIGHT,
        is_cmyk: false,
        decoding: Decoding::Reliable,
        edits,
    })
}

struct Chunk<'a> {
    name: &'a [u8; 4],
    content: &'a [u8],
    /// Behind its padding.
    end: usize,
}

/// The chunk at `at`, which has to lie before `end` with all of its content.
fn read_chunk(bytes: &[u8], at: usize, end: usize) -> Result<Chunk<'_>, Fault> {
    let mut reader = Reader::new(&bytes[..end], at);
    let name = reader.take(4)?.try_into().map_err(|_| Fault::Truncated)?;
    let length = u32::from_le_bytes(reader.take_array()?) as usize;
    let content = reader.take(length)?;
    Ok(Chunk {
        name,
        content,
        end: (reader.at + (length & 1)).min(end),
    })
}

/// The size of the canvas, 24 bits for each edge less one.
fn extended_size(content: &[u8]) -> Result<(u32, u32), Fault> {
    let &[_, _, _, _, w0, w1, w2, h0, h1, h2] = content else {
        return Err(Fault::Malformed("an impossible extended header"));
    };
    let edge = |bytes| 1 + u32::from_le_bytes(bytes);
    Ok((edge([w0, w1, w2, 0]), edge([h0, h1, h2, 0])))
}

/// The first image inside an `ANMF` chunk.
fn animation_frame(content: &[u8]) -> Result<(u32, u32), Fault> {
    let mut at = FRAME_HEADER;
    while at < content.len() {
        let chunk = read_chunk(content, at, content.len())?;
        if matches!(chunk.name, b"VP8 " | b"VP8L") {
            return frame_size(chunk.name, chunk.content);
        }
        at = chunk.end;
    }
    Err(Fault::Malformed("a frame without pixels"))
}

/// Width and height of a lossy (RFC 6386, section 9.1) or lossless (RFC 9649, section 3.4) image.
fn frame_size(name: &[u8; 4], content: &[u8]) -> Result<(u32, u32), Fault> {
    let wrong = Fault::Malformed("an impossible image header");
    if name == b"VP8L" {
        let &[0x2F, b0, b1, b2, b3, ..] = content else {
            return Err(wrong);
        };
        let bits = u32::from_le_bytes([b0, b1, b2, b3]);
        if bits >> 29 != 0 {
            return Err(wrong);
        }
        return Ok((1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)));
    }
    let &[t0, t1, t2, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ref rest @ ..] = content else {
        return Err(wrong);
    };
    let tag = u32::from_le_bytes([t0, t1, t2, 0]);
    let (is_key_frame, first_partition) = (tag & 1 == 0, (tag >> 5) as usize);
    if !is_key_frame || first_partition > rest.len() {
        return Err(wrong);
    }
    // The two upper bits ask for scaling, which decoders leave to their callers.
    let edge = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    Ok((edge(w0, w1), edge(h0, h1)))
}

fn orientation_chunk(orientation: u8) -> Vec<u8> {
    let block = orientation_block(orientation);
    let mut chunk = b"EXIF".to_vec();
    chunk.extend((block.len() as u32).to_le_bytes());
    chunk.extend(block);
    chunk
}
