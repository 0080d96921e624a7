//! Makers of unusual image files: each returns the bytes of one kind.

use std::io::{Cursor, Write};

use flate2::{Compression, write::ZlibEncoder};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Red above, blue below: a picture whose damage shows in its colors.
pub fn two_colors(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |_, y| match 2 * y < height {
        true => Rgb([220, 30, 30]),
        false => Rgb([30, 30, 220]),
    })
    .into()
}

/// The two colors as an ordinary file.
pub fn plain(format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    two_colors(160, 160).write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// A mark that no file may carry to a browser.
pub const PRIVATE_TEXT: &[u8] = b"Canon GPS 52.5200N 13.4050E";

/// A TIFF header, one entry that says how to turn the picture, and [`PRIVATE_TEXT`].
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block.extend(PRIVATE_TEXT);
    block
}

// --- JPEG ---

pub fn segment(code: u8, content: &[u8]) -> Vec<u8> {
    let length = ((content.len() + 2) as u16).to_be_bytes();
    [&[0xFF, code], &length[..], content].concat()
}

/// A JPEG with `bytes` behind its start-of-image marker.
pub fn jpeg_with(bytes: &[u8]) -> Vec<u8> {
    let whole = plain(ImageFormat::Jpeg);
    [&whole[..2], bytes, &whole[2..]].concat()
}

/// A JPEG whose EXIF block holds a thumbnail, which has an end-of-image marker of its own.
pub fn jpeg_with_thumbnail() -> Vec<u8> {
    let mut thumbnail = Cursor::new(Vec::new());
    let small = two_colors(16, 16);
    small.write_to(&mut thumbnail, ImageFormat::Jpeg).unwrap();
    let block = [b"Exif\0\0", &exif(1)[..], thumbnail.get_ref()].concat();
    jpeg_with(&segment(0xE1, &block))
}

/// A JPEG with EXIF, XMP, Photoshop and comment segments, to be turned as `orientation` says, and a
/// second picture behind its end, as phones write.
pub fn jpeg_with_metadata(orientation: u8) -> Vec<u8> {
    let with_name = |name: &[u8]| [name, PRIVATE_TEXT].concat();
    let segments = [
        segment(0xE1, &[b"Exif\0\0", &exif(orientation)[..]].concat()),
        segment(0xE1, &with_name(b"http://ns.adobe.com/xap/1.0/\0")),
        segment(0xED, &with_name(b"Photoshop 3.0\0")),
        segment(0xFE, PRIVATE_TEXT),
    ];
    let mut file = jpeg_with(&segments.concat());
    file.extend(jpeg_with(&segment(0xFE, PRIVATE_TEXT)));
    file
}

/// Where the first segment of this code begins.
pub fn segment_start(file: &[u8], code: u8) -> usize {
    let mut at = 2;
    while file[at + 1] != code {
        at += 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
    }
    at
}

/// A JPEG with fill bytes before each marker up to the first scan (ITU-T T.81, B.1.1.2).
pub fn jpeg_with_fill_bytes() -> Vec<u8> {
    let whole = plain(ImageFormat::Jpeg);
    let scan = segment_start(&whole, 0xDA);
    let mut file = whole[..2].to_vec();
    let mut at = 2;
    while at < scan {
        let end = at + 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
        file.extend([0xFF, 0xFF]);
        file.extend(&whole[at..end]);
        at = end;
    }
    file.extend(&whole[scan..]);
    file
}

/// A JPEG with bytes between two segments that belong to none.
pub fn jpeg_with_junk() -> Vec<u8> {
    let whole = plain(ImageFormat::Jpeg);
    // Behind the JFIF segment.
    let (head, rest) = whole.split_at(20);
    [head, b"junk between segments", rest].concat()
}

/// A JPEG without a scan.
pub fn jpeg_without_scan() -> Vec<u8> {
    let whole = plain(ImageFormat::Jpeg);
    let scan = segment_start(&whole, 0xDA);
    [&whole[..scan], b"\xFF\xD9"].concat()
}

/// A JPEG that claims another coding process (the code of its frame header) or precision.
pub fn jpeg_with_frame(code: u8, precision: u8) -> Vec<u8> {
    let mut file = plain(ImageFormat::Jpeg);
    let frame = segment_start(&file, 0xC0);
    file[frame + 1] = code;
    file[frame + 4] = precision;
    file
}

/// A CMYK JPEG of the two colors, with this color profile.
pub fn cmyk_jpeg(profile: Option<&[u8]>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    if let Some(profile) = profile {
        encoder.add_icc_profile(profile).unwrap();
    }
    let pixels = two_colors(160, 160).into_rgb8();
    let inks = pixels
        .pixels()
        .flat_map(|Rgb([r, g, b])| [255 - r, 255 - g, 255 - b, 0]);
    let inks: Vec<u8> = inks.collect();
    encoder
        .encode(&inks, 160, 160, jpeg_encoder::ColorType::Cmyk)
        .unwrap();
    file
}

/// A gray JPEG of one shade, with this color profile.
pub fn gray_jpeg(shade: u8, profile: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 95);
    encoder.add_icc_profile(profile).unwrap();
    encoder
        .encode(&[shade; 64 * 64], 64, 64, jpeg_encoder::ColorType::Luma)
        .unwrap();
    file
}

/// A baseline JPEG of 64 pixels with one scan for each component, luma sampled twice as finely
/// (4:2:0). Every block has one color, so the Huffman code needs differences of the mean only.
pub fn jpeg_with_separate_scans() -> Vec<u8> {
    let mut file = b"\xFF\xD8".to_vec();
    file.extend(segment(0xDB, &[&[0][..], &[8; 64]].concat()));
    let frame = [8, 0, 64, 0, 64, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0];
    file.extend(segment(0xC0, &frame));
    // Differences of 0 to 8 bits as codes of four bits; "end of block" as the one code of one bit.
    let dc = [
        &[0][..],
        &[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8],
    ];
    file.extend(segment(0xC4, &dc.concat()));
    let ac = [
        &[0x10][..],
        &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0],
    ];
    file.extend(segment(0xC4, &ac.concat()));
    // Red and blue in YCbCr, less 128, of the upper and the lower half.
    for (component, edge, above, below) in [(1, 8, -41, -73), (2, 4, -28, 100), (3, 4, 102, -10)] {
        file.extend(segment(0xDA, &[1, component, 0, 0, 63, 0]));
        let mut bits = Bits::default();
        let mut last = 0;
        for row in 0..edge {
            for _ in 0..edge {
                let mean = if row < edge / 2 { above } else { below };
                bits.push_difference(mean - last);
                last = mean;
            }
        }
        file.extend(bits.finish());
    }
    file.extend(b"\xFF\xD9");
    file
}

/// Entropy-coded data, with its stuffed zeros.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    buffer: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, value: u32, length: u32) {
        for bit in (0..length).rev() {
            self.buffer = self.buffer << 1 | (value >> bit & 1);
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.buffer as u8);
                if self.buffer as u8 == 0xFF {
                    self.bytes.push(0);
                }
                (self.buffer, self.count) = (0, 0);
            }
        }
    }

    /// The difference of the mean (T.81, F.1.2.1), then "end of block".
    fn push_difference(&mut self, difference: i32) {
        let length = 32 - difference.unsigned_abs().leading_zeros();
        self.push(length, 4);
        let bits = if difference < 0 {
            difference - 1
        } else {
            difference
        };
        self.push(bits as u32 & ((1 << length) - 1), length);
        self.push(0, 1);
    }

    fn finish(mut self) -> Vec<u8> {
        while self.count != 0 {
            self.push(1, 1);
        }
        self.bytes
    }
}

// --- PNG ---

/// A chunk; a wrong checksum if asked for.
pub fn chunk(kind: &[u8; 4], content: &[u8], is_intact: bool) -> Vec<u8> {
    let named = [&kind[..], content].concat();
    let checksum = crc32fast::hash(&named) ^ u32::from(!is_intact);
    let length = (content.len() as u32).to_be_bytes();
    [&length[..], &named, &checksum.to_be_bytes()].concat()
}

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1A\n";

/// The header's content of a square.
pub fn png_header(edge: u32, depth: u8, color: u8) -> Vec<u8> {
    let edge = edge.to_be_bytes();
    [&edge[..], &edge, &[depth, color, 0, 0, 0]].concat()
}

fn deflate(bytes: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    for part in bytes {
        encoder.write_all(&part).unwrap();
    }
    encoder.finish().unwrap()
}

/// A PNG out of its header, other chunks and its pixels.
pub fn png_of(header: &[u8], others: &[u8], pixels: &[u8]) -> Vec<u8> {
    let end = chunk(b"IEND", b"", true);
    let header = chunk(b"IHDR", header, true);
    [SIGNATURE, &header, others, pixels, &end].concat()
}

/// The pixels of a square of 40 pixels of one color, as one chunk.
pub fn png_pixels(is_intact: bool) -> Vec<u8> {
    let rows = (0..40).map(|_| [&[0][..], &[200, 50, 50].repeat(40)].concat());
    chunk(b"IDAT", &deflate(rows), is_intact)
}

/// A small file with much work in it: 16 bits a sample, four samples a pixel.
pub fn png_bomb(edge: u32) -> Vec<u8> {
    let row = vec![0; 1 + edge as usize * 8];
    let pixels = deflate((0..edge).map(|_| row.clone()));
    png_of(
        &png_header(edge, 16, 6),
        b"",
        &chunk(b"IDAT", &pixels, true),
    )
}

/// A PNG with text, time and EXIF chunks.
pub fn png_with_metadata(orientation: u8) -> Vec<u8> {
    let whole = plain(ImageFormat::Png);
    let (head, rest) = whole.split_at(8 + 12 + 13);
    let text = [b"Comment\0", PRIVATE_TEXT].concat();
    let chunks = [
        chunk(b"tEXt", &text, true),
        chunk(b"eXIf", &exif(orientation), true),
    ];
    [head, &chunks.concat(), rest].concat()
}

/// An RGB PNG with this color profile.
pub fn png_with_profile(profile: &[u8]) -> Vec<u8> {
    let compressed = deflate(std::iter::once(profile.to_vec()));
    let content = [&b"profile\0\0"[..], &compressed].concat();
    let whole = plain(ImageFormat::Png);
    let (head, rest) = whole.split_at(8 + 12 + 13);
    [head, &chunk(b"iCCP", &content, true), rest].concat()
}

// --- WebP ---

fn riff_chunk(name: &[u8], content: &[u8]) -> Vec<u8> {
    let padding = &[0][..content.len() & 1];
    let length = (content.len() as u32).to_le_bytes();
    [name, &length, content, padding].concat()
}

fn riff(body: &[u8]) -> Vec<u8> {
    let size = (body.len() as u32 + 4).to_le_bytes();
    [b"RIFF", &size[..], b"WEBP", body].concat()
}

/// A lossy WebP.
pub fn lossy_webp() -> Vec<u8> {
    let pixels = two_colors(160, 160).into_rgb8();
    let encoder = webp::Encoder::from_rgb(&pixels, 160, 160);
    encoder.encode(80.0).to_vec()
}

/// The extended header of a WebP of 160 pixels (RFC 9649, section 2.7), with these flags.
fn extended_header(flags: u8) -> Vec<u8> {
    riff_chunk(b"VP8X", &[flags, 0, 0, 0, 159, 0, 0, 159, 0, 0])
}

/// An RGB WebP with this color profile.
pub fn webp_with_profile(profile: &[u8]) -> Vec<u8> {
    let parts = [
        extended_header(0x20),
        riff_chunk(b"ICCP", profile),
        lossy_webp()[12..].to_vec(),
    ];
    riff(&parts.concat())
}

/// A WebP with EXIF and XMP chunks.
pub fn webp_with_metadata(orientation: u8) -> Vec<u8> {
    let parts = [
        extended_header(0x0C),
        lossy_webp()[12..].to_vec(),
        riff_chunk(b"EXIF", &exif(orientation)),
        riff_chunk(b"XMP ", PRIVATE_TEXT),
    ];
    riff(&parts.concat())
}

/// A lossy WebP that asks for scaling in the upper bits of its size (RFC 6386, section 9.1).
pub fn webp_with_scale_bits() -> Vec<u8> {
    let mut file = lossy_webp();
    file[27] |= 0xC0;
    file[29] |= 0x40;
    file
}

/// A lossy WebP of which `part` is left, with the RIFF size that `size` makes of the length.
pub fn cut_webp(part: f64, size: impl FnOnce(usize) -> u32) -> Vec<u8> {
    let mut file = lossy_webp();
    file.truncate((file.len() as f64 * part) as usize);
    let size = size(file.len()).to_le_bytes();
    file[4..8].copy_from_slice(&size);
    file
}

/// A lossless WebP of 640 pixels with 256 times `groups` groups of codes, each with a table of 68 KB.
pub fn webp_with_many_codes(groups: u32) -> Vec<u8> {
    let mut bits = LowBits::default();
    bits.push(0x2F, 8);
    bits.push(639, 14);
    bits.push(639, 14);
    bits.push(0, 4);
    // No transform, a color cache of eleven bits, and a group of codes for each block of four pixels.
    for (value, count) in [(0, 1), (1, 1), (11, 4), (1, 1), (0, 3)] {
        bits.push(value, count);
    }
    // All blocks have the last group, whose number is in red and green.
    bits.push(0, 1);
    for symbol in [255, groups - 1, 0, 255, 0] {
        bits.push_single(symbol);
    }
    for _ in 0..256 * groups {
        // Green: 2048 symbols of eleven bits.
        bits.push(0, 1);
        bits.push(11, 4);
        for place in 0..15 {
            bits.push(u32::from(place == 14), 3);
        }
        bits.push(1, 1);
        bits.push(5, 3);
        bits.push(2046, 12);
        for _ in 0..4 {
            bits.push_single(0);
        }
    }
    bits.bytes.extend([0; 4000]);
    riff(&riff_chunk(b"VP8L", &bits.bytes))
}

/// Bits, the lowest of each byte first.
#[derive(Default)]
struct LowBits {
    bytes: Vec<u8>,
    count: u32,
}

impl LowBits {
    fn push(&mut self, value: u32, count: u32) {
        for place in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> place & 1) as u8;
            *self.bytes.last_mut().unwrap() |= bit << (self.count % 8);
            self.count += 1;
        }
    }

    /// A code of one symbol.
    fn push_single(&mut self, symbol: u32) {
        for (value, count) in [(1, 1), (0, 1), (1, 1), (symbol, 8)] {
            self.push(value, count);
        }
    }
}

// --- GIF ---

/// A GIF of the two colors whose first frame is as large as `frame` on a canvas of `canvas` pixels.
pub fn gif(canvas: u16, frame: u16) -> Vec<u8> {
    let mut file = Vec::new();
    {
        let pixels: Vec<u8> = (0..frame)
            .flat_map(|y| vec![u8::from(2 * y >= frame); usize::from(frame)])
            .collect();
        let palette = [220, 30, 30, 30, 30, 220];
        let mut encoder = gif::Encoder::new(&mut file, canvas, canvas, &palette).unwrap();
        let first = gif::Frame::from_indexed_pixels(frame, frame, pixels, None);
        encoder.write_frame(&first).unwrap();
    }
    file
}

/// A GIF with a comment.
pub fn gif_with_comment() -> Vec<u8> {
    let file = gif(64, 64);
    // Behind the screen's description and its two colors.
    let (head, rest) = file.split_at(6 + 7 + 6);
    let comment = [&[0x21, 0xFE, PRIVATE_TEXT.len() as u8], PRIVATE_TEXT, &[0]].concat();
    [head, &comment, rest].concat()
}

/// The orientation that a file's EXIF block asks for.
pub fn orientation(file: &[u8]) -> u8 {
    use image::ImageDecoder;
    let reader = image::ImageReader::new(Cursor::new(file));
    let mut decoder = reader
        .with_guessed_format()
        .unwrap()
        .into_decoder()
        .unwrap();
    decoder.orientation().unwrap().to_exif()
}

/// A PNG with intact chunks whose pixels are no compressed data.
pub fn png_without_sense() -> Vec<u8> {
    let pixels = chunk(b"IDAT", b"no compressed data at all", true);
    png_of(&png_header(40, 8, 2), b"", &pixels)
}

/// A progressive JPEG of one color with a color profile: a small file with much work in it.
pub fn jpeg_bomb(edge: u16) -> Vec<u8> {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 50);
    encoder.set_progressive(true);
    encoder.add_icc_profile(&profile).unwrap();
    let pixels = vec![90; 3 * usize::from(edge) * usize::from(edge)];
    encoder
        .encode(&pixels, edge, edge, jpeg_encoder::ColorType::Rgb)
        .unwrap();
    file
}

/// A WebP of one color, lossless or not: some hundred bytes with much work in them.
pub fn webp_bomb(edge: u32, is_lossless: bool) -> Vec<u8> {
    let pixels = vec![90; 3 * edge as usize * edge as usize];
    let encoder = webp::Encoder::from_rgb(&pixels, edge, edge);
    encoder.encode_simple(is_lossless, 50.0).unwrap().to_vec()
}
