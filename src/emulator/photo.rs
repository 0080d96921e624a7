//! The files on the emulated CDN: portraits as JPEG, PNG or WebP in the sizes that people upload.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use image::{
    ExtendedColorType, ImageEncoder, ImageResult,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
};
use quick_cache::sync::Cache;
use tokio::task;

use super::portrait::Portrait;
use crate::clock::Timestamp;

/// A picture as the CDN serves it.
#[derive(Clone, Debug)]
pub(super) struct Photo {
    pub(super) bytes: Bytes,
    pub(super) format: Format,
}

/// A file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
}

/// Develops photos when they are first wanted, and keeps the latest.
#[derive(Clone)]
pub(super) struct Album(Arc<Cache<Portrait, Photo>>);

/// How many photos are kept: some 40 MB when all are small. One that fell out is drawn again, and
/// comes out the same.
const KEPT: usize = 8192;

/// The side and the format of the first persons: the known contacts, and the account itself at 0.
const KNOWN: [(u32, Format); 25] = [
    (640, Format::Jpeg),
    (640, Format::Jpeg),
    (320, Format::Jpeg),
    (480, Format::Jpeg),
    (192, Format::Png),
    (320, Format::Jpeg),
    (256, Format::WebP),
    (640, Format::Jpeg),
    (96, Format::Jpeg),
    (320, Format::Jpeg),
    (200, Format::Jpeg),
    (320, Format::Png),
    (320, Format::Jpeg),
    (480, Format::Jpeg),
    (160, Format::Jpeg),
    (320, Format::Jpeg),
    (240, Format::Jpeg),
    (320, Format::WebP),
    (400, Format::Jpeg),
    (128, Format::Jpeg),
    (320, Format::Jpeg),
    (256, Format::Png),
    (512, Format::Jpeg),
    (320, Format::Jpeg),
    (192, Format::Jpeg),
];

// === impl Album ===

impl Album {
    pub(super) fn new() -> Self {
        Self(Arc::new(Cache::new(KEPT)))
    }

    /// The photo of `portrait`; draws it on the calling thread if need be.
    pub(super) fn photo(&self, portrait: Portrait) -> Photo {
        let developed = self
            .0
            .get_or_insert_with(&portrait, || Photo::develop(portrait));
        // Encoding into memory cannot fail, and a test covers every format.
        developed.unwrap_or_else(|_| Photo {
            bytes: Bytes::new(),
            format: Format::Jpeg,
        })
    }

    /// The photo of `portrait`, drawn where it does not hold up other requests.
    pub(super) async fn develop(&self, portrait: Portrait) -> Photo {
        if let Some(photo) = self.0.get(&portrait) {
            return photo;
        }
        let album = self.clone();
        match task::spawn_blocking(move || album.photo(portrait)).await {
            Ok(photo) => photo,
            Err(_) => self.photo(portrait),
        }
    }
}

// === impl Photo ===

impl Photo {
    fn develop(portrait: Portrait) -> ImageResult<Self> {
        let (side, format) = portrait.print();
        let pixels = portrait.draw(side).into_pixels();
        Ok(Photo {
            bytes: format.encode(&pixels, side)?.into(),
            format,
        })
    }
}

// === impl Portrait ===

impl Portrait {
    /// The side in pixels and the format that the portrait is kept in.
    pub(super) fn print(self) -> (u32, Format) {
        match self {
            Portrait::Person(number) => KNOWN
                .get(number as usize)
                .copied()
                .unwrap_or((96 + number % 4 * 32, Format::Jpeg)),
            Portrait::Group(_) => (320, Format::Jpeg),
            Portrait::Channel(_) => (256, Format::Jpeg),
            Portrait::Silhouette => (192, Format::Jpeg),
        }
    }

    /// When the picture was put up; the same in every run.
    pub(super) fn uploaded(self) -> Timestamp {
        const FIRST: Timestamp = Timestamp::from_secs(1_735_689_600);
        const HOUR: u64 = 3600;
        let (kind, number) = match self {
            Portrait::Person(number) => (0, number),
            Portrait::Group(number) => (1, number),
            Portrait::Channel(number) => (2, number),
            Portrait::Silhouette => (3, 0),
        };
        FIRST + Duration::from_secs((u64::from(number) % 6000 * 4 + kind) * HOUR / 2)
    }
}

// === impl Format ===

impl Format {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Format::Jpeg => "image/jpeg",
            Format::Png => "image/png",
            Format::WebP => "image/webp",
        }
    }

    fn encode(self, pixels: &[u8], side: u32) -> ImageResult<Vec<u8>> {
        const QUALITY: u8 = 88;
        let mut file = Vec::new();
        let rgb = ExtendedColorType::Rgb8;
        match self {
            Format::Jpeg => JpegEncoder::new_with_quality(&mut file, QUALITY)
                .write_image(pixels, side, side, rgb)?,
            Format::Png => PngEncoder::new(&mut file).write_image(pixels, side, side, rgb)?,
            Format::WebP => {
                WebPEncoder::new_lossless(&mut file).write_image(pixels, side, side, rgb)?;
            }
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_decodes_to_the_promised_square() {
        for (number, expected) in [
            (8, image::ImageFormat::Jpeg),
            (4, image::ImageFormat::Png),
            (6, image::ImageFormat::WebP),
        ] {
            let portrait = Portrait::Person(number);
            let photo = Album::new().photo(portrait);
            assert_eq!(image::guess_format(&photo.bytes).unwrap(), expected);
            let side = portrait.print().0;
            let decoded = image::load_from_memory(&photo.bytes).unwrap();
            assert_eq!((decoded.width(), decoded.height()), (side, side));
        }
    }

    #[test]
    fn a_face_is_always_the_same_and_never_anothers() {
        let face = |number| Album::new().photo(Portrait::Person(number)).bytes;
        assert_eq!(face(5000), face(5000));
        assert_ne!(face(5000), face(5004));
    }
}
