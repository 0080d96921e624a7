//! The memory that the prefix codes of a lossless WebP take when it is decoded (RFC 9649, section 6). No header
//! tells it: a file of 600 KB may announce 65,536 groups of codes, whose tables take gigabytes. So everything in
//! front of the pixels is read as a decoder does, and the size of each table is added up.

use crate::avatar::Picture;

/// The bits of the largest table that is looked up at once.
const MAX_TABLE_BITS: usize = 10;
/// Bytes of a table's entry, and of a node of the tree behind it.
const ENTRY: u64 = 4;
const NODE: u64 = 16;
/// Bytes of a code beside them, with the allocator's own.
const CODE: u64 = 128;
/// The symbols of green with lengths, red, blue, alpha and distances.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];
const LENGTH_CODES: usize = 19;
const LENGTH_ORDER: [usize; LENGTH_CODES] = [
    17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];
/// The nearest pixels, as columns to the left and rows above.
#[rustfmt::skip]
const NEAR: [(i8, i8); 120] = [
    (0, 1),  (1, 0),  (1, 1),  (-1, 1), (0, 2),  (2, 0),  (1, 2),  (-1, 2),
    (2, 1),  (-2, 1), (2, 2),  (-2, 2), (0, 3),  (3, 0),  (1, 3),  (-1, 3),
    (3, 1),  (-3, 1), (2, 3),  (-2, 3), (3, 2),  (-3, 2), (0, 4),  (4, 0),
    (1, 4),  (-1, 4), (4, 1),  (-4, 1), (3, 3),  (-3, 3), (2, 4),  (-2, 4),
    (4, 2),  (-4, 2), (0, 5),  (3, 4),  (-3, 4), (4, 3),  (-4, 3), (5, 0),
    (1, 5),  (-1, 5), (5, 1),  (-5, 1), (2, 5),  (-2, 5), (5, 2),  (-5, 2),
    (4, 4),  (-4, 4), (3, 5),  (-3, 5), (5, 3),  (-5, 3), (0, 6),  (6, 0),
    (1, 6),  (-1, 6), (6, 1),  (-6, 1), (2, 6),  (-2, 6), (6, 2),  (-6, 2),
    (4, 5),  (-4, 5), (5, 4),  (-5, 4), (3, 6),  (-3, 6), (6, 3),  (-6, 3),
    (0, 7),  (7, 0),  (1, 7),  (-1, 7), (5, 5),  (-5, 5), (7, 1),  (-7, 1),
    (4, 6),  (-4, 6), (6, 4),  (-6, 4), (2, 7),  (-2, 7), (7, 2),  (-7, 2),
    (3, 7),  (-3, 7), (7, 3),  (-7, 3), (5, 6),  (-5, 6), (6, 5),  (-6, 5),
    (8, 0),  (4, 7),  (-4, 7), (7, 4),  (-7, 4), (8, 1),  (8, 2),  (6, 6),
    (-6, 6), (8, 3),  (5, 7),  (-5, 7), (7, 5),  (-7, 5), (8, 4),  (6, 7),
    (-6, 7), (7, 6),  (-7, 6), (8, 5),  (7, 7),  (-7, 7), (8, 6),  (8, 7)
];

/// A prefix code.
struct Code {
    /// How many symbols have each length; none if the only symbol takes no bits.
    counts: [u16; 16],
    /// The symbols by their codes.
    symbols: Vec<u16>,
    bytes: u64,
}

/// The bits of a stream, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The bytes for the codes of the lossless streams in a WebP, of which a decoder reads one. Stops beyond
/// `limit`, and where a stream cannot be read, so that a picture made for it takes no time.
pub(super) fn bytes_of_codes(picture: &Picture, limit: u64) -> u64 {
    let price = |stream: Option<Stream<'_>>| {
        let (bytes, size) = stream?;
        read_stream(bytes, size, limit)
    };
    let streams = streams(picture.bytes()).into_iter();
    let prices = streams.map(|stream| price(stream).unwrap_or(u64::MAX / 2));
    prices.max().unwrap_or_default()
}

type Stream<'a> = (&'a [u8], (usize, usize));

/// The lossless streams that a decoder may choose, with their sizes: the first picture, the alpha of the first
/// lossy one, and either of the first frame.
fn streams(file: &[u8]) -> Vec<Option<Stream<'_>>> {
    let mut found = Vec::new();
    let mut alpha = None;
    let (mut has_lossless, mut has_lossy, mut is_in_frame) = (false, false, false);
    let mut at = 12;
    while let Some(name) = file.get(at..at + 4) {
        let length = file
            .get(at + 4..at + 8)
            .and_then(|length| length.try_into().ok());
        let length = u32::from_le_bytes(length.unwrap_or_default()) as usize;
        let content = file.get(at + 8..(at + 8).saturating_add(length));
        let content = content.unwrap_or_default();
        match name {
            b"VP8L" if !has_lossless || is_in_frame => {
                found.push(picture_stream(content));
                has_lossless = true;
            }
            b"ALPH" if alpha.is_none() && content.first().is_some_and(|flags| flags & 3 == 1) => {
                alpha = content.get(1..);
            }
            b"VP8 " if !has_lossy || is_in_frame => {
                if let Some(alpha) = alpha.take() {
                    found.push(lossy_size(content).map(|size| (alpha, size)));
                }
                has_lossy = true;
            }
            // A frame's header has sixteen bytes; its chunks follow.
            b"ANMF" if !is_in_frame => {
                is_in_frame = true;
                alpha = None;
                at += 8 + 16;
                continue;
            }
            _ => {}
        }
        if is_in_frame && matches!(name, b"VP8L" | b"VP8 " | b"ANMF") {
            break;
        }
        at += 8 + length + (length & 1);
    }
    found
}

fn picture_stream(content: &[u8]) -> Option<Stream<'_>> {
    let &[0x2F, b0, b1, b2, b3, ref stream @ ..] = content else {
        return None;
    };
    let bits = u32::from_le_bytes([b0, b1, b2, b3]);
    let edge = |shift: u32| 1 + (bits >> shift & 0x3FFF) as usize;
    Some((stream, (edge(0), edge(14))))
}

fn lossy_size(content: &[u8]) -> Option<(usize, usize)> {
    let size: [u8; 4] = content.get(6..10)?.try_into().ok()?;
    let edge = |low, high| usize::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    Some((edge(size[0], size[1]), edge(size[2], size[3])))
}

/// Reads a stream up to its pixels.
fn read_stream(bytes: &[u8], (width, height): (usize, usize), limit: u64) -> Option<u64> {
    let mut bits = Bits { bytes, at: 0 };
    let mut columns = width;
    while bits.read(1)? == 1 {
        match bits.read(2)? {
            // The predictor and the color transform.
            0 | 1 => {
                let block = bits.read(3)? + 2;
                read_image(&mut bits, blocks(columns, block), blocks(height, block))?;
            }
            2 => {}
            _ => {
                let colors = bits.read(8)? as usize + 1;
                read_image(&mut bits, colors, 1)?;
                columns = match colors {
                    0..=2 => blocks(columns, 3),
                    3..=4 => blocks(columns, 2),
                    5..=16 => blocks(columns, 1),
                    _ => columns,
                };
            }
        }
    }
    let cache = read_cache(&mut bits)?;
    let mut groups = 1;
    if bits.read(1)? == 1 {
        let block = bits.read(3)? + 2;
        let image = read_image(&mut bits, blocks(columns, block), blocks(height, block))?;
        let largest = image.iter().map(|pixel| pixel >> 8 & 0xFFFF).max();
        groups = largest.unwrap_or_default() + 1;
    }
    let mut sum = 0;
    for _ in 0..groups {
        for code in read_group(&mut bits, cache)? {
            sum += code.bytes;
        }
        if sum > limit {
            break;
        }
    }
    Some(sum)
}

fn blocks(edge: usize, bits: u32) -> usize {
    edge.div_ceil(1 << bits)
}

/// The bits of the color cache; 0 without one.
fn read_cache(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.read(1)? {
        0 => Some(0),
        _ => bits.read(4).filter(|cache| (1..=11).contains(cache)),
    }
}

fn read_group(bits: &mut Bits<'_>, cache: u32) -> Option<[Code; 5]> {
    let [green, red, blue, alpha, distance] = ALPHABETS;
    let colors = if cache == 0 { 0 } else { 1 << cache };
    Some([
        Code::read(bits, green + colors)?,
        Code::read(bits, red)?,
        Code::read(bits, blue)?,
        Code::read(bits, alpha)?,
        Code::read(bits, distance)?,
    ])
}

/// Reads one of the small images in front of the pixels, in ARGB.
fn read_image(bits: &mut Bits<'_>, width: usize, height: usize) -> Option<Vec<u32>> {
    let cache_bits = read_cache(bits)?;
    let [green, red, blue, alpha, distance] = read_group(bits, cache_bits)?;
    let mut cache = vec![0; 1 << cache_bits];
    let length = width * height;
    let mut pixels: Vec<u32> = Vec::with_capacity(length);
    let place = |pixel: u32| (0x1E35_A7BD_u32.wrapping_mul(pixel) >> (32 - cache_bits)) as usize;
    while pixels.len() < length {
        let symbol = u32::from(green.decode(bits)?);
        let begun = pixels.len();
        if symbol < 256 {
            let red = u32::from(red.decode(bits)?);
            let blue = u32::from(blue.decode(bits)?);
            let alpha = u32::from(alpha.decode(bits)?);
            pixels.push(alpha << 24 | red << 16 | symbol << 8 | blue);
        } else if symbol < 280 {
            let count = bits.read_prefixed(symbol - 256)?;
            let code = u32::from(distance.decode(bits)?);
            let code = bits.read_prefixed(code)?;
            let back = match NEAR.get(code - 1) {
                Some((left, above)) => {
                    let back = isize::from(*left) + isize::from(*above) * width as isize;
                    usize::try_from(back).unwrap_or(0).max(1)
                }
                None => code - NEAR.len(),
            };
            if back > begun || begun + count > length {
                return None;
            }
            for at in begun - back..begun - back + count {
                pixels.push(pixels[at]);
            }
        } else {
            pixels.push(*cache.get(symbol as usize - 280)?);
        }
        if cache_bits > 0 {
            for pixel in &pixels[begun..] {
                cache[place(*pixel)] = *pixel;
            }
        }
    }
    Some(pixels)
}

impl Code {
    fn read(bits: &mut Bits<'_>, alphabet: usize) -> Option<Self> {
        if bits.read(1)? == 1 {
            let has_two = bits.read(1)? == 1;
            let width = if bits.read(1)? == 1 { 8 } else { 1 };
            let mut symbols = vec![bits.read(width)? as u16];
            let mut counts = [0; 16];
            if has_two {
                symbols.push(bits.read(8)? as u16);
                counts[1] = 2;
            }
            let bytes = CODE + 2 * ENTRY + 3 * NODE;
            return Some(Self {
                counts,
                symbols,
                bytes,
            });
        }
        let mut lengths = [0; LENGTH_CODES];
        let count = 4 + bits.read(4)? as usize;
        for place in &LENGTH_ORDER[..count] {
            lengths[*place] = bits.read(3)? as u8;
        }
        let code = Self::new(&lengths)?;
        Self::new(&read_lengths(bits, &code, alphabet)?)
    }

    /// The canonical code of these lengths.
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0_u16; 16];
        for length in lengths.iter().filter(|length| **length > 0) {
            counts[usize::from(*length)] += 1;
        }
        let mut symbols: Vec<u16> = (0..lengths.len() as u16)
            .filter(|symbol| lengths[usize::from(*symbol)] > 0)
            .collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        let longest = counts.iter().rposition(|count| *count > 0)?;
        let table = longest.min(MAX_TABLE_BITS);
        let behind: u16 = counts[table + 1..].iter().sum();
        if symbols.len() == 1 {
            counts = [0; 16];
        } else {
            let used = (1..=15).map(|length| u32::from(counts[length]) << (15 - length));
            if used.sum::<u32>() != 1 << 15 {
                return None;
            }
        }
        Some(Self {
            counts,
            symbols,
            bytes: CODE + (ENTRY << table) + 2 * u64::from(behind) * NODE,
        })
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Option<u16> {
        if self.symbols.len() == 1 {
            return self.symbols.first().copied();
        }
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.read(1)?;
            let count = u32::from(*count);
            if code < first + count {
                return self.symbols.get((index + code - first) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// The lengths of a code, which are coded themselves.
fn read_lengths(bits: &mut Bits<'_>, code: &Code, alphabet: usize) -> Option<Vec<u8>> {
    let mut left = alphabet;
    if bits.read(1)? == 1 {
        let width = 2 + 2 * bits.read(3)?;
        left = 2 + bits.read(width)? as usize;
    }
    let mut lengths = Vec::with_capacity(alphabet);
    let mut previous = 8;
    while lengths.len() < alphabet && left > 0 {
        left -= 1;
        let symbol = code.decode(bits)? as u8;
        let (length, count) = match symbol {
            0..=15 => (symbol, 1),
            16 => (previous, 3 + bits.read(2)?),
            17 => (0, 3 + bits.read(3)?),
            _ => (0, 11 + bits.read(7)?),
        };
        if length > 0 {
            previous = length;
        }
        lengths.extend((0..count).map(|_| length));
    }
    let fits = lengths.len() <= alphabet;
    lengths.resize(alphabet, 0);
    fits.then_some(lengths)
}

impl Bits<'_> {
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(value)
    }

    /// A length or a distance, from 1: its prefix gives the upper bits.
    fn read_prefixed(&mut self, prefix: u32) -> Option<usize> {
        if prefix < 4 {
            return Some(prefix as usize + 1);
        }
        let extra = (prefix - 2) >> 1;
        let offset = (2 + (prefix & 1)) << extra;
        Some((offset + self.read(extra)?) as usize + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(file: Vec<u8>) -> Picture {
        Picture::validate(file.into()).unwrap()
    }

    fn pixels(edge: u32) -> Vec<u8> {
        let noise = |at: u32| (at.wrapping_mul(2_654_435_761) >> (at / 9000 % 24)) as u8;
        (0..4 * edge * edge).map(noise).collect()
    }

    #[test]
    fn the_codes_of_every_lossless_file_can_be_read() {
        for edge in [1, 17, 64, 300] {
            let encoder_pixels = pixels(edge);
            let encoder = webp::Encoder::from_rgba(&encoder_pixels, edge, edge);
            let file = picture(encoder.encode_lossless().to_vec());
            assert!((1..8 << 20).contains(&bytes_of_codes(&file, u64::MAX)));
        }
    }

    #[test]
    fn the_codes_of_ordinary_files_take_little() {
        for edge in [1, 17, 64, 300] {
            let pixels = pixels(edge);
            for (name, file) in [
                (
                    "lossless",
                    webp::Encoder::from_rgba(&pixels, edge, edge).encode_lossless(),
                ),
                (
                    "with alpha",
                    webp::Encoder::from_rgba(&pixels, edge, edge).encode(60.0),
                ),
            ] {
                let bytes = bytes_of_codes(&picture(file.to_vec()), u64::MAX);
                assert!(bytes < 8 << 20, "{name} {edge}: {bytes}");
            }
        }
    }
}
