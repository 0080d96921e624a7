//! A picture in another size or format. Pure: bytes in, bytes out.
//!
//! The result is turned upright, in sRGB, without metadata, and never larger than its original. Of an
//! animation, it is the first frame.

use std::{fmt, io::Cursor};

use bytes::Bytes;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, images::Image as Pixels};
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits,
    codecs::{avif::AvifEncoder, png::PngEncoder},
};
use moxcms::{ColorProfile, Layout, TransformOptions};

use super::spare::Spare;
use crate::avatar::{Digest, MediaType, Picture};

/// How a picture is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The edge of a square in pixels; without it, the picture's own shape and size.
    pub edge: Option<u16>,
    /// The file format.
    pub format: Format,
}

/// A file format that pictures can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/webp`
    Webp,
    /// `image/avif`
    Avif,
}

/// A picture made from another one.
#[derive(Clone, PartialEq, Eq)]
pub struct Derived {
    /// The file.
    pub bytes: Bytes,
    /// Of the file.
    pub digest: Digest,
    /// The file's format.
    pub format: Format,
}

/// Why there is no such variant of a picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum Underivable {
    #[error("it cannot be decoded: {0}")]
    Decode(image::ImageError),
    #[error("it has {0} pixels, more than are worked on")]
    TooLarge(u64),
    #[error("it cannot be drawn: {0}")]
    Draw(String),
    #[error("it cannot be resized: {0}")]
    Resize(#[from] fast_image_resize::ResizeError),
    #[error("its pixels do not add up: {0}")]
    Pixels(#[from] fast_image_resize::ImageBufferError),
    #[error("it cannot be written as {0:?}: {1}")]
    Encode(Format, String),
}

/// As libvips and Photoshop have it: no visible loss in a face, at a tenth of the bytes.
const JPEG_QUALITY: u8 = 82;
/// WebP's scale is another one; this looks like that.
const WEBP_QUALITY: f32 = 78.0;
const AVIF_QUALITY: u8 = 65;
/// The fastest: a slower one gains a tenth of the bytes for ten times the time.
const AVIF_SPEED: u8 = 10;
/// Pixels of a picture that is worked on. WhatsApp's have less than half a million.
const MOST_PIXELS: u64 = 16 << 20;
/// Memory for the decoder: that many, of four samples.
const MOST_DECODED: u64 = 4 * MOST_PIXELS;

/// Makes `variant` of `original`.
pub(super) fn derive(original: &Picture, variant: Variant) -> Result<Derived, Underivable> {
    let (width, height) = original.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS {
        return Err(Underivable::TooLarge(pixels));
    }
    let canvas = Spare::lend(|spare| {
        let image = decoded(original, spare).map_err(Underivable::Decode)?;
        let canvas = match variant.edge {
            Some(edge) => squared(&image, edge, spare)?,
            None => Canvas::of(&image),
        };
        spare.take_back(image);
        Ok::<_, Underivable>(canvas)
    })?;
    canvas.derived(variant.format)
}

/// The first frame, upright and in sRGB.
fn decoded(original: &Picture, spare: &mut Spare) -> image::ImageResult<DynamicImage> {
    let format = match original.media() {
        MediaType::Jpeg => ImageFormat::Jpeg,
        MediaType::Png => ImageFormat::Png,
        MediaType::Webp => ImageFormat::WebP,
        MediaType::Gif => ImageFormat::Gif,
    };
    let mut reader = ImageReader::with_format(Cursor::new(original.bytes()), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let profile = decoder.icc_profile().ok().flatten();
    let mut image = spare.read(decoder)?;
    image.apply_orientation(orientation);
    Ok(match profile {
        Some(profile) => in_srgb(image, &profile),
        None => image,
    })
}

/// The same colors in sRGB. A profile that cannot be read is as good as none.
fn in_srgb(image: DynamicImage, profile: &[u8]) -> DynamicImage {
    let mut pixels = image.to_rgba8();
    let converted = ColorProfile::new_from_slice(profile).and_then(|profile| {
        let options = TransformOptions::default();
        let srgb = ColorProfile::new_srgb();
        let transform =
            profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgba, options)?;
        let before = pixels.as_raw().clone();
        transform.transform(&before, &mut pixels)
    });
    match converted {
        Ok(()) if image.color().has_alpha() => pixels.into(),
        Ok(()) => DynamicImage::from(pixels).into_rgb8().into(),
        Err(_) => image,
    }
}

/// The largest centered square, scaled down to `edge`.
fn squared(image: &DynamicImage, edge: u16, spare: &mut Spare) -> Result<Canvas, Underivable> {
    let (width, height) = (image.width(), image.height());
    let has_alpha = image.color().has_alpha();
    let side = width.min(height);
    let edge = u32::from(edge).min(side);
    let (left, top) = ((width - side) / 2, (height - side) / 2);
    let mut scaled = Pixels::new(edge, edge, PixelType::U8x4);
    let options = ResizeOptions::new()
        .use_alpha(has_alpha)
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(left.into(), top.into(), side.into(), side.into());
    spare.resize(image, &mut scaled, &options)?;
    Ok(Canvas::new(edge, edge, scaled.into_vec(), has_alpha))
}

/// Pixels of three samples, or four with alpha.
pub(super) struct Canvas {
    width: u32,
    height: u32,
    has_alpha: bool,
    samples: Vec<u8>,
}

impl Canvas {
    fn of(image: &DynamicImage) -> Self {
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

    /// Of pixels of four samples; the fourth counts if `has_alpha`.
    pub(super) fn new(width: u32, height: u32, samples: Vec<u8>, has_alpha: bool) -> Self {
        let samples = if has_alpha {
            samples
        } else {
            let pixels = samples.chunks_exact(4);
            pixels
                .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
                .collect()
        };
        Self {
            width,
            height,
            has_alpha,
            samples,
        }
    }

    pub(super) fn derived(self, format: Format) -> Result<Derived, Underivable> {
        let bytes = Bytes::from(self.encoded(format)?);
        Ok(Derived {
            digest: Digest::of(&bytes),
            bytes,
            format,
        })
    }

    fn encoded(self, format: Format) -> Result<Vec<u8>, Underivable> {
        let failed = |error: &dyn fmt::Display| Underivable::Encode(format, error.to_string());
        let color = if self.has_alpha {
            ExtendedColorType::Rgba8
        } else {
            ExtendedColorType::Rgb8
        };
        let mut bytes = Vec::new();
        match format {
            Format::Jpeg => {
                let edge = |edge| u16::try_from(edge).map_err(|error| failed(&error));
                // With its optimized Huffman tables, version 0.7 spoils pictures of one color.
                let encoder = jpeg_encoder::Encoder::new(&mut bytes, JPEG_QUALITY);
                let (width, height) = (edge(self.width)?, edge(self.height)?);
                encoder
                    .encode(&self.flat(), width, height, jpeg_encoder::ColorType::Rgb)
                    .map_err(|error| failed(&error))?;
            }
            Format::Png => PngEncoder::new(&mut bytes)
                .write_image(&self.samples, self.width, self.height, color)
                .map_err(|error| failed(&error))?,
            Format::Webp => {
                let (width, height) = (self.width, self.height);
                let encoder = if self.has_alpha {
                    webp::Encoder::from_rgba(&self.samples, width, height)
                } else {
                    webp::Encoder::from_rgb(&self.samples, width, height)
                };
                let file = encoder.encode_simple(false, WEBP_QUALITY);
                bytes.extend_from_slice(&file.map_err(|error| failed(&format!("{error:?}")))?);
            }
            Format::Avif => {
                AvifEncoder::new_with_speed_quality(&mut bytes, AVIF_SPEED, AVIF_QUALITY)
                    .with_num_threads(Some(1))
                    .write_image(&self.samples, self.width, self.height, color)
                    .map_err(|error| failed(&error))?;
            }
        }
        Ok(bytes)
    }

    /// Without alpha, on white.
    fn flat(self) -> Vec<u8> {
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

// === impl Format ===

impl Format {
    /// The media type as `Content-Type` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Jpeg => "image/jpeg",
            Format::Png => "image/png",
            Format::Webp => "image/webp",
            Format::Avif => "image/avif",
        }
    }
}

impl Derived {
    /// The same, to be kept. What encoders write into has room for as much again, and lies between
    /// buffers that are given back, whose memory it would hold on to.
    pub(super) fn repacked(self) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(&self.bytes),
            ..self
        }
    }
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Derived({:?}, {} bytes)", self.format, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage, Rgba, RgbaImage, codecs::gif::GifEncoder};

    use super::*;

    fn picture(image: &DynamicImage, format: ImageFormat) -> Picture {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        Picture::validate(file.into_inner().into()).unwrap()
    }

    /// Left third red, the middle green, the right third blue.
    fn flag(width: u32, height: u32) -> DynamicImage {
        let color = |x, _| match 3 * x / width {
            0 => Rgb([255, 0, 0]),
            1 => Rgb([0, 255, 0]),
            _ => Rgb([0, 0, 255]),
        };
        RgbImage::from_fn(width, height, color).into()
    }

    fn made(original: &Picture, edge: Option<u16>, format: Format) -> DynamicImage {
        let derived = derive(original, Variant { edge, format }).unwrap();
        assert_eq!(derived.format, format);
        image::load_from_memory(&derived.bytes).unwrap()
    }

    #[test]
    fn the_middle_square_is_scaled_down_and_never_up() {
        let original = picture(&flag(300, 100), ImageFormat::Png);
        for (edge, expected) in [(32, 32), (96, 96), (640, 100)] {
            for format in [Format::Jpeg, Format::Png, Format::Webp] {
                let image = made(&original, Some(edge), format).to_rgb8();
                assert_eq!(image.dimensions(), (expected, expected));
                let Rgb([red, green, blue]) = *image.get_pixel(expected / 2, expected / 2);
                assert!(red < 40 && green > 215 && blue < 40, "{format:?}");
            }
        }
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_not_even_decoded() {
        // Small as a file, and as one sample a pixel; as four, it would be 256 MiB.
        let gray = DynamicImage::new_luma8(8192, 4096);
        let bomb = picture(&gray, ImageFormat::Png);
        let variant = Variant {
            edge: Some(32),
            format: Format::Jpeg,
        };
        assert!(bomb.bytes().len() < 1_000_000);
        assert!(matches!(
            derive(&bomb, variant),
            Err(Underivable::TooLarge(_))
        ));
    }

    #[test]
    fn without_an_edge_only_the_format_changes() {
        let original = picture(&flag(300, 100), ImageFormat::Png);
        let image = made(&original, None, Format::Jpeg);
        assert_eq!((image.width(), image.height()), (300, 100));
    }

    #[test]
    fn avif_is_written_at_the_size_asked_for() {
        let original = picture(&flag(64, 64), ImageFormat::Png);
        let edge = Some(32);
        let format = Format::Avif;
        let derived = derive(&original, Variant { edge, format }).unwrap();
        assert_eq!(&derived.bytes[4..12], b"ftypavif");
        // The image's spatial extent: width and height.
        let extent = [0, 0, 0, 32, 0, 0, 0, 32];
        assert!(derived.bytes.windows(8).any(|window| window == extent));
    }

    #[test]
    fn what_is_transparent_stays_so_or_turns_white() {
        let clear: DynamicImage = RgbaImage::from_pixel(64, 64, Rgba([0, 0, 0, 0])).into();
        let original = picture(&clear, ImageFormat::Png);
        for (format, expected) in [(Format::Png, 0), (Format::Webp, 0), (Format::Jpeg, 255)] {
            let image = made(&original, Some(32), format).to_rgba8();
            let Rgba([red, _, _, alpha]) = *image.get_pixel(16, 16);
            match format {
                Format::Jpeg => assert_eq!((red, alpha), (expected, 255)),
                _ => assert_eq!(alpha, expected),
            }
        }
    }

    #[test]
    fn an_animation_gives_its_first_frame() {
        let frames = [[250, 0, 0, 255], [0, 0, 250, 255]];
        let frames = frames.map(|color| RgbaImage::from_pixel(40, 40, Rgba(color)));
        let mut gif = Vec::new();
        let mut encoder = GifEncoder::new(&mut gif);
        for frame in &frames {
            let frame = image::Frame::new(frame.clone());
            encoder.encode_frame(frame).unwrap();
        }
        drop(encoder);
        let config = webp::WebPConfig::new().unwrap();
        let mut encoder = webp::AnimEncoder::new(40, 40, &config);
        for (frame, time) in frames.iter().zip([0, 100]) {
            encoder.add_frame(webp::AnimFrame::from_rgba(frame, 40, 40, time));
        }
        for file in [gif, encoder.encode().to_vec()] {
            let original = Picture::validate(file.into()).unwrap();
            let image = made(&original, Some(32), Format::Png).to_rgb8();
            let Rgb([red, _, blue]) = *image.get_pixel(16, 16);
            assert!(red > 200 && blue < 50, "{:?}", original.media());
        }
    }

    #[test]
    fn a_photo_taken_sideways_is_turned_upright_and_loses_its_metadata() {
        let upright = picture(&flag(90, 60), ImageFormat::Jpeg);
        // Orientation 6: to be turned by 90° clockwise. With a text that tells on the photographer.
        let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0 taken at home";
        let length = (2 + 6 + tiff.len()) as u16;
        let mut bytes = upright.bytes()[..2].to_vec();
        bytes.extend([0xFF, 0xE1]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(b"Exif\0\0");
        bytes.extend(tiff);
        bytes.extend(&upright.bytes()[2..]);
        let sideways = Picture::validate(bytes.into()).unwrap();
        let image = made(&sideways, None, Format::Jpeg);
        assert_eq!((image.width(), image.height()), (60, 90));
        // What was left is on top.
        assert!(image.to_rgb8().get_pixel(30, 5).0[0] > 200);
        let tells = |bytes: &[u8]| bytes.windows(13).any(|text| text == b"taken at home");
        assert!(tells(sideways.bytes()));
        for format in [Format::Jpeg, Format::Png, Format::Webp, Format::Avif] {
            let edge = Some(32);
            let derived = derive(&sideways, Variant { edge, format }).unwrap();
            assert!(!tells(&derived.bytes), "{format:?}");
        }
    }

    #[test]
    fn another_color_space_is_converted() {
        let mut profile = ColorProfile::new_display_p3();
        profile.rendering_intent = moxcms::RenderingIntent::RelativeColorimetric;
        let mut file = Vec::new();
        let mut encoder = PngEncoder::new(&mut file);
        encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
        let muted = RgbImage::from_pixel(40, 40, Rgb([200, 100, 100]));
        encoder
            .write_image(&muted, 40, 40, ExtendedColorType::Rgb8)
            .unwrap();
        let original = Picture::validate(file.into()).unwrap();
        let image = made(&original, Some(32), Format::Png).to_rgb8();
        // The same color has more red in sRGB, whose red is less so.
        let Rgb([red, green, _]) = *image.get_pixel(16, 16);
        assert!(red > 203 && green < 100, "{red} {green}");
    }
}
