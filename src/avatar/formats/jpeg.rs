//! JPEG: segments up to the end-of-image marker (ITU-T T.81, Annex B).

use std::ops::Range;

use super::{
    exif::{UPRIGHT, orientation, orientation_block},
    reader::{Fault, Reader},
};
use crate::avatar::structure::{Decoding, Edit, Structure};

/// `0xFF` and the marker's code.
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DHT: u8 = 0xC4;
const JPG: u8 = 0xC8;
const DAC: u8 = 0xCC;
const DQT: u8 = 0xDB;
const COM: u8 = 0xFE;
const TEM: u8 = 0x01;
/// The name of a segment with a color profile.
const PROFILE: &[u8] = b"ICC_PROFILE\0";

/// The parts of a frame header (T.81 B.2.2) that matter here.
struct Frame {
    width: u16,
    height: u16,
    is_progressive: bool,
    is_arithmetic: bool,
    has_odd_ratio: bool,
    components: u8,
    has_fine_chroma: bool,
}

/// Walks a JPEG. Like every browser's decoder it skips fill bytes (T.81 B.1.1.2) and bytes between
/// segments; those behind metadata are removed with it.
pub(super) fn walk(bytes: &[u8]) -> Result<Structure, Fault> {
    let mut reader = Reader::new(bytes, 2);
    let mut frame: Option<Frame> = None;
    let mut has_scan = false;
    let mut decoding = Decoding::Reliable;
    let mut turned = UPRIGHT;
    let mut metadata: Vec<Range<usize>> = Vec::new();
    let mut has_profile = false;
    loop {
        let end = reader.at;
        let code = next_marker(&mut reader)?;
        let start = reader.at - 2;
        // Bytes behind a removed segment could come to lie where the file's second marker has to be.
        if let Some(removed) = metadata.last_mut().filter(|removed| removed.end == end) {
            removed.end = start;
        }
        match code {
            EOI => break,
            SOI => return Err(Fault::Malformed("a second start of image")),
            _ => {}
        }
        let segment = segment(&mut reader)?;
        match code {
            SOS => {
                let frame = frame.as_ref();
                let frame = frame.ok_or(Fault::Malformed("a scan before the frame header"))?;
                let in_scan = scan_components(segment)?;
                // A progressive file has such scans as a rule, and decoders expect them there.
                if !frame.is_progressive && in_scan < frame.components {
                    decoding = Decoding::Unreliable;
                }
                has_scan = true;
            }
            DHT | DAC | DQT => {}
            0xC0..=0xCF if code != JPG => {
                if frame.is_some() {
                    return Err(Fault::Malformed("a second frame header"));
                }
                frame = Some(read_frame(code, segment)?);
            }
            0xE2 if segment.starts_with(PROFILE) => has_profile = true,
            0xE1 if segment.starts_with(b"Exif\0") => {
                turned = orientation(segment.get(6..).unwrap_or_default());
                metadata.push(start..reader.at);
            }
            0xE0..=0xEF if !is_needed(code, segment) => metadata.push(start..reader.at),
            COM => metadata.push(start..reader.at),
            _ => {}
        }
    }
    let frame = frame.ok_or(Fault::Malformed("no frame header"))?;
    if !has_scan {
        return Err(Fault::Malformed("no scan"));
    }
    if frame.has_fine_chroma && !frame.is_progressive || frame.is_arithmetic || frame.has_odd_ratio
    {
        decoding = Decoding::Unreliable;
    }
    let mut edits: Vec<Edit> = metadata.into_iter().map(Edit::remove).collect();
    if let Some(first) = edits.first_mut()
        && turned != UPRIGHT
    {
        first.replacement = orientation_segment(turned);
    }
    edits.extend(Edit::remove_trailer(bytes, reader.at));
    Ok(Structure {
        width: frame.width.into(),
        height: frame.height.into(),
        // A progressive decoder keeps all coefficients, of two bytes, beside the samples.
        decoder_bytes_per_pixel: frame.components * if frame.is_progressive { 3 } else { 1 },
        decoded_bytes_per_pixel: if frame.components == 1 { 1 } else { 3 },
        has_profile,
        is_turned: turned != UPRIGHT,
        is_cmyk: frame.components == 4,
        decoding,
        edits,
    })
}

/// The code of the next marker that begins a segment or ends the image. Entropy-coded data, with its
/// stuffed zeros and restart markers, is passed over.
fn next_marker(reader: &mut Reader<'_>) -> Result<u8, Fault> {
    loop {
        let rest = &reader.bytes[reader.at..];
        let skipped = rest.iter().position(|byte| *byte == 0xFF);
        reader.at += skipped.ok_or(Fault::Truncated)?;
        let mut code = 0xFF;
        while code == 0xFF {
            code = reader.byte()?;
        }
        if !matches!(code, 0 | TEM | 0xD0..=0xD7) {
            return Ok(code);
        }
    }
}

/// The segment's content. Decoders take a length below two for two.
fn segment<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let length = u16::from_be_bytes(reader.take_array()?);
    reader.take(usize::from(length).saturating_sub(2))
}

fn read_frame(code: u8, segment: &[u8]) -> Result<Frame, Fault> {
    let &[precision, h1, h0, w1, w0, components, ref sampling @ ..] = segment else {
        return Err(Fault::Malformed("the frame header is too short"));
    };
    // Baseline, extended and progressive, with Huffman or arithmetic coding. No browser shows
    // lossless, hierarchical or twelve-bit files.
    if !matches!(code, 0xC0 | 0xC1 | 0xC2 | 0xC9 | 0xCA) || precision != 8 {
        return Err(Fault::Malformed("a coding process that browsers lack"));
    }
    if !matches!(components, 1 | 3 | 4) || sampling.len() != 3 * usize::from(components) {
        return Err(Fault::Malformed("an impossible number of components"));
    }
    let factors = || sampling.chunks_exact(3).map(|component| component[1]);
    let is_factor =
        |factor: u8| (1..=4).contains(&(factor >> 4)) && (1..=4).contains(&(factor & 15));
    if !factors().all(is_factor) {
        return Err(Fault::Malformed("an impossible sampling factor"));
    }
    let luma = sampling[1];
    let is_finer = |factor: u8| factor >> 4 > luma >> 4 || factor & 15 > luma & 15;
    Ok(Frame {
        width: u16::from_be_bytes([w1, w0]),
        height: u16::from_be_bytes([h1, h0]),
        is_progressive: matches!(code, 0xC2 | 0xCA),
        is_arithmetic: matches!(code, 0xC9 | 0xCA),
        components,
        has_odd_ratio: has_odd_ratio(factors().map(|factor| factor >> 4))
            || has_odd_ratio(factors().map(|factor| factor & 15)),
        has_fine_chroma: factors().skip(1).any(is_finer),
    })
}

/// Whether the components are sampled in another ratio than that of powers of two.
fn has_odd_ratio(mut factors: impl Iterator<Item = u8> + Clone) -> bool {
    let finest = factors.clone().max().unwrap_or(1);
    let is_odd =
        |factor: u8| !finest.is_multiple_of(factor) || !(finest / factor).is_power_of_two();
    factors.any(is_odd)
}

/// How many components a scan header (T.81 B.2.3) names.
fn scan_components(segment: &[u8]) -> Result<u8, Fault> {
    match segment.first() {
        Some(&count @ 1..=4) if segment.len() == 4 + 2 * usize::from(count) => Ok(count),
        _ => Err(Fault::Malformed("an impossible scan header")),
    }
}

/// Whether decoders need this application segment for the right colors.
fn is_needed(code: u8, segment: &[u8]) -> bool {
    match code {
        0xE0 => segment.starts_with(b"JFIF\0"),
        0xE2 => segment.starts_with(PROFILE),
        // libjpeg ignores one that is shorter or has another color transform, for which our decoder refuses the file.
        0xEE => segment.starts_with(b"Adobe") && matches!(segment.get(11), Some(0..=2)),
        _ => false,
    }
}

fn orientation_segment(orientation: u8) -> Vec<u8> {
    let block = orientation_block(orientation);
    let mut segment = vec![0xFF, 0xE1, 0, 2 + 6 + block.len() as u8];
    segment.extend(b"Exif\0\0");
    segment.extend(block);
    segment
}
