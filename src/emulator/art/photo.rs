//! Portraits as files: JPEG, PNG or WebP, in the sizes that people upload.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use image::{
    ExtendedColorType, ImageEncoder, ImageResult,
    codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
};
use quick_cache::sync::Cache;
use tokio::task;

use super::portrait::Portrait;
use crate::clock::Timestamp;

/// A portrait as a file.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Photo {
    pub(in crate::emulator) bytes: Bytes,
    pub(in crate::emulator) format: Format,
}

/// A file format of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Format {
    Jpeg,
    Png,
    WebP,
}

/// Draws portraits when they are first requested, and caches the files. All emulators of a process share one: a portrait
/// is the same file everywhere, and it takes long to draw without optimization.
#[derive(Clone)]
pub(in crate::emulator) struct PhotoCache(Arc<Cache<Portrait, Photo>>);

/// The capacity of the cache: some 40 MB if all are small. An evicted one is drawn again, byte for byte.
const CAPACITY: usize = 8192;

/// The side and the format of the first persons: the account itself at 0, then the fixed contacts.
const FIRST_FORMATS: [(u32, Format); 25] = [
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

// === impl PhotoCache ===

impl PhotoCache {
    pub(in crate::emulator) fn shared() -> Self {
        static SHARED: LazyLock<PhotoCache> = LazyLock::new(PhotoCache::new);
        SHARED.clone()
    }

    fn new() -> Self {
        Self(Arc::new(Cache::new(CAPACITY)))
    }

    /// The file of `portrait`, drawn on the calling thread if it is not cached.
    pub(in crate::emulator) fn get_blocking(&self, portrait: Portrait) -> Photo {
        let drawn = self
            .0
            .get_or_insert_with(&portrait, || Photo::draw(portrait));
        // Encoding into memory cannot fail, and a test covers every format.
        drawn.unwrap_or_else(|_| Photo {
            bytes: Bytes::new(),
            format: Format::Jpeg,
        })
    }

    /// The file of `portrait`, drawn on a blocking thread if it is not cached.
    pub(in crate::emulator) async fn get(&self, portrait: Portrait) -> Photo {
        if let Some(photo) = self.0.get(&portrait) {
            return photo;
        }
        let cache = self.clone();
        match task::spawn_blocking(move || cache.get_blocking(portrait)).await {
            Ok(photo) => photo,
            Err(_) => self.get_blocking(portrait),
        }
    }
}

// === impl Photo ===

impl Photo {
    fn draw(portrait: Portrait) -> ImageResult<Self> {
        let (side, format) = portrait.file_format();
        let pixels = portrait.draw(side).into_pixels();
        Ok(Photo {
            bytes: format.encode(&pixels, side)?.into(),
            format,
        })
    }
}

// === impl Portrait ===

impl Portrait {
    /// The side in pixels and the format of the portrait's file.
    fn file_format(self) -> (u32, Format) {
        match self {
            Portrait::Person(number) => FIRST_FORMATS
                .get(number as usize)
                .copied()
                .unwrap_or((96 + number % 4 * 32, Format::Jpeg)),
            Portrait::Group(_) => (320, Format::Jpeg),
            Portrait::Channel(_) => (256, Format::Jpeg),
            Portrait::Silhouette => (192, Format::Jpeg),
        }
    }

    /// The time of the picture's upload; the same in every run.
    pub(in crate::emulator) fn uploaded_at(self) -> Timestamp {
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
    pub(in crate::emulator) fn media_type(self) -> &'static str {
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
    fn a_photo_of_every_format_decodes_to_a_square_of_the_right_size() {
        for (number, expected) in [
            (8, image::ImageFormat::Jpeg),
            (4, image::ImageFormat::Png),
            (6, image::ImageFormat::WebP),
        ] {
            let portrait = Portrait::Person(number);
            let photo = PhotoCache::new().get_blocking(portrait);
            assert_eq!(image::guess_format(&photo.bytes).unwrap(), expected);
            let side = portrait.file_format().0;
            let decoded = image::load_from_memory(&photo.bytes).unwrap();
            assert_eq!((decoded.width(), decoded.height()), (side, side));
        }
    }

    #[test]
    fn a_portrait_s_file_is_always_the_same_and_differs_from_all_others() {
        let face = |number| {
            PhotoCache::new()
                .get_blocking(Portrait::Person(number))
                .bytes
        };
        assert_eq!(face(5000), face(5000));
        assert_ne!(face(5000), face(5004));
    }
}
