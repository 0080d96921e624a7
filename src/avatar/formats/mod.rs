//! Walks an image file from its first byte to its end mark, segment by segment, without decoding pixels.
//!
//! The walk answers three questions before a file is stored:
//!
//! 1. Is the file whole, and will browsers show it? An end mark that merely occurs somewhere proves
//!    nothing: a thumbnail inside the metadata has one, too.
//! 2. How large is the picture, and how much memory does a decoder need for it?
//! 3. Which parts are metadata (camera, place, time, comments)? [`Structure::strip`] leaves them out
//!    and changes no pixel.

mod exif;
mod gif;
mod jpeg;
mod png;
mod reader;
mod webp;

pub(super) use reader::Fault;

use super::{media_type::MediaType, structure::Structure};

/// Walks `bytes`, whose magic bytes are those of `media`.
pub(super) fn walk(media: MediaType, bytes: &[u8]) -> Result<Structure, Fault> {
    match media {
        MediaType::Jpeg => jpeg::walk(bytes),
        MediaType::Png => png::walk(bytes),
        MediaType::Webp => webp::walk(bytes),
        MediaType::Gif => gif::walk(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat, RgbImage};
    use proptest::prelude::*;

    use super::{exif::orientation_block, *};

    fn encode(format: ImageFormat) -> Vec<u8> {
        let picture = RgbImage::from_fn(48, 40, |x, y| image::Rgb([x as u8 * 5, y as u8 * 6, 90]));
        let mut file = Cursor::new(Vec::new());
        let picture = DynamicImage::from(picture);
        picture.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn jpeg_segment(code: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() + 2) as u16;
        [&[0xFF, code], &length.to_be_bytes()[..], content].concat()
    }

    fn exif(orientation: u8, text: &[u8]) -> Vec<u8> {
        [&orientation_block(orientation), text].concat()
    }

    /// A JPEG whose EXIF block holds a thumbnail with an end-of-image marker of its own.
    fn jpeg_with_thumbnail(orientation: u8) -> Vec<u8> {
        let whole = encode(ImageFormat::Jpeg);
        let block = exif(orientation, &encode(ImageFormat::Jpeg));
        let segment = jpeg_segment(0xE1, &[b"Exif\0\0", &block[..]].concat());
        [&whole[..2], &segment, &whole[2..]].concat()
    }

    fn png_with_metadata() -> Vec<u8> {
        let whole = encode(ImageFormat::Png);
        // Behind the header: signature, and a chunk of 13 bytes.
        let (head, rest) = whole.split_at(8 + 12 + 13);
        let text = png::chunk(b"tEXt", b"Comment\0taken at home");
        let turned = png::chunk(b"eXIf", &exif(6, b"taken at home"));
        [head, &text, &turned, rest].concat()
    }

    fn webp_with_metadata() -> Vec<u8> {
        let simple = encode(ImageFormat::WebP);
        let chunk = |name: &[u8], content: &[u8]| {
            let padding = &[0][..content.len() & 1];
            let length = (content.len() as u32).to_le_bytes();
            [name, &length, content, padding].concat()
        };
        let extended = chunk(b"VP8X", &[HAS_ALL, 0, 0, 0, 47, 0, 0, 39, 0, 0]);
        let body = [
            b"WEBP",
            &extended[..],
            &simple[12..],
            &chunk(b"EXIF", &exif(8, b"taken at home")),
            &chunk(b"XMP ", b"<x:xmpmeta>taken at home</x:xmpmeta>"),
        ]
        .concat();
        [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
    }

    const HAS_ALL: u8 = 0x0C;

    fn files() -> Vec<(MediaType, Vec<u8>)> {
        vec![
            (MediaType::Jpeg, encode(ImageFormat::Jpeg)),
            (MediaType::Jpeg, jpeg_with_thumbnail(6)),
            (MediaType::Png, encode(ImageFormat::Png)),
            (MediaType::Png, png_with_metadata()),
            (MediaType::Webp, encode(ImageFormat::WebP)),
            (MediaType::Webp, webp_with_metadata()),
        ]
    }

    #[test]
    fn the_walk_finds_the_size_of_every_format() {
        for (media, file) in files() {
            let structure = walk(media, &file).unwrap();
            assert_eq!((structure.width, structure.height), (48, 40), "{media}");
        }
    }

    #[test]
    fn stripping_leaves_pixels_and_orientation_and_no_metadata() {
        for (media, file) in files() {
            let stripped = walk(media, &file).unwrap().strip(&file);
            let has_metadata = file
                .windows(7)
                .any(|text| text == b"at home" || text == b"Exif\0\0I");
            assert_eq!(stripped.is_some(), has_metadata, "{media}");
            let Some(stripped) = stripped else { continue };
            assert!(
                !stripped.windows(7).any(|text| text == b"at home"),
                "{media}"
            );
            let turn = |file: &[u8]| {
                use image::ImageDecoder;
                let reader = image::ImageReader::new(Cursor::new(file)).with_guessed_format();
                let mut decoder = reader.unwrap().into_decoder().unwrap();
                let orientation = decoder.orientation().unwrap();
                (orientation, DynamicImage::from_decoder(decoder).unwrap())
            };
            assert_eq!(turn(&stripped), turn(&file), "{media}");
            let again = walk(media, &stripped).unwrap();
            assert_eq!(again.strip(&stripped), None, "{media} is stripped once");
        }
    }

    proptest! {
        #[test]
        fn a_file_cut_anywhere_is_refused(which in 0..6_usize, part in 0.0..1.0_f64) {
            let (media, file) = files().swap_remove(which);
            let end = 12 + ((file.len() - 13) as f64 * part) as usize;
            prop_assert!(walk(media, &file[..end]).is_err(), "{} cut at {}", media, end);
        }

        #[test]
        fn no_bytes_make_the_walk_panic(which in 0..6_usize, at in 12..4000_usize, bytes: [u8; 4]) {
            let (media, mut file) = files().swap_remove(which);
            let at = at % (file.len() - 4);
            file[at..at + 4].copy_from_slice(&bytes);
            if let Ok(structure) = walk(media, &file) {
                let _ = structure.strip(&file);
            }
        }
    }
}
