//! Pixels to a file: JPEG, PNG, WebP or AVIF.

use std::fmt;

use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, RgbaImage,
    codecs::{avif::AvifEncoder, png::PngEncoder},
};

use super::variant::{Format, TranscodeError, Variant};

/// The usual default of libvips and Photoshop: no visible loss in a face, at a tenth of the bytes.
const JPEG_QUALITY: u8 = 82;
/// WebP has another scale; this looks like JPEG's 82.
const WEBP_QUALITY: f32 = 78.0;
const AVIF_QUALITY: u8 = 65;
/// The fastest: a slower one saves a tenth of the bytes and takes ten times as long.
const AVIF_SPEED: u8 = 10;

/// Pixels of three samples, or of four with alpha.
pub(super) struct Pixels {
    width: u32,
    height: u32,
    has_alpha: bool,
    samples: Vec<u8>,
}

impl Pixels {
    /// Pixels from four samples each; the fourth is dropped without `has_alpha`.
    pub(super) fn new(width: u32, height: u32, samples: Vec<u8>, has_alpha: bool) -> Self {
        Self {
            width,
            height,
            has_alpha,
            samples: if has_alpha {
                samples
            } else {
                // The image crate is optimized in tests, too.
                let image = RgbaImage::from_raw(width, height, samples).unwrap_or_default();
                DynamicImage::from(image).into_rgb8().into_raw()
            },
        }
    }

    /// The pixels of a decoded image, eight bits a sample.
    pub(super) fn from_image(image: &DynamicImage) -> Self {
        let has_alpha = image.color().has_alpha();
        Self {
            width: image.width(),
            height: image.height(),
            has_alpha,
            samples: if has_alpha {
                image.to_rgba8().into_raw()
            } else {
                image.to_rgb8().into_raw()
            },
        }
    }

    /// Encodes the pixels as a file of `format`.
    pub(super) fn encode(self, format: Format) -> Result<Variant, TranscodeError> {
        let failed = |error: &dyn fmt::Display| TranscodeError::Encode(format, error.to_string());
        let color = if self.has_alpha {
            ExtendedColorType::Rgba8
        } else {
            ExtendedColorType::Rgb8
        };
        let mut file = Vec::new();
        match format {
            Format::Jpeg => {
                let edge = |edge| u16::try_from(edge).map_err(|error| failed(&error));
                // Version 0.7's optimized Huffman tables corrupt pictures of a single color.
                let encoder = jpeg_encoder::Encoder::new(&mut file, JPEG_QUALITY);
                let (width, height) = (edge(self.width)?, edge(self.height)?);
                encoder
                    .encode(&self.flatten(), width, height, jpeg_encoder::ColorType::Rgb)
                    .map_err(|error| failed(&error))?;
            }
            Format::Png => PngEncoder::new(&mut file)
                .write_image(&self.samples, self.width, self.height, color)
                .map_err(|error| failed(&error))?,
            Format::Webp => {
                let (width, height) = (self.width, self.height);
                let encoder = if self.has_alpha {
                    webp::Encoder::from_rgba(&self.samples, width, height)
                } else {
                    webp::Encoder::from_rgb(&self.samples, width, height)
                };
                let encoded = encoder.encode_simple(false, WEBP_QUALITY);
                file.extend_from_slice(&encoded.map_err(|error| failed(&format!("{error:?}")))?);
            }
            Format::Avif => {
                AvifEncoder::new_with_speed_quality(&mut file, AVIF_SPEED, AVIF_QUALITY)
                    .with_num_threads(Some(1))
                    .write_image(&self.samples, self.width, self.height, color)
                    .map_err(|error| failed(&error))?;
            }
        }
        Ok(Variant::new(file, format))
    }

    /// Three samples a pixel, with transparency blended onto white.
    fn flatten(self) -> Vec<u8> {
        if !self.has_alpha {
            return self.samples;
        }
        let on_white = |sample: u8, alpha: u8| {
            let (sample, alpha) = (u16::from(sample), u16::from(alpha));
            ((sample * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        };
        let pixels = self.samples.chunks_exact(4);
        pixels
            .flat_map(|pixel| [0, 1, 2].map(|channel| on_white(pixel[channel], pixel[3])))
            .collect()
    }
}
