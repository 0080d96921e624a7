//! Transcodes a picture: another size, another format. Pure: bytes in, bytes out.
//!
//! 1. Decode the first frame, turn it upright, convert it to sRGB.
//! 2. Crop the largest centered square and scale it down, if the spec has an edge. Never up.
//! 3. Encode. No metadata is written.

use std::io::Cursor;

use bytes::Bytes;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, images::Image};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Limits, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::{
    encode::Pixels,
    price,
    scratch::Scratch,
    variant::{TranscodeError, Variant, VariantSpec},
};
use crate::avatar::{Decoding, MediaType, Picture, Structure};

/// The largest picture that is decoded, in pixels. WhatsApp's have less than half a million.
const MAX_PIXELS: u64 = 16 << 20;

/// Makes the variant of `original` that `spec` describes. A file without a structure is one that an earlier
/// version accepted; it is left to the decoder.
pub(super) fn transcode(
    original: &Picture,
    structure: Option<&Structure>,
    spec: VariantSpec,
) -> Result<Variant, TranscodeError> {
    check_kind(original, structure)?;
    let is_cmyk = structure.is_some_and(|structure| structure.is_cmyk);
    let memory = price::of_decoding(original, structure);
    let pixels = Scratch::with(|scratch| {
        let image = decode(original, is_cmyk, memory, scratch).map_err(TranscodeError::Decode)?;
        let pixels = match spec.edge {
            Some(edge) => crop_and_scale(&image, edge, scratch)?,
            None => Pixels::from_image(&image),
        };
        scratch.take_back(image);
        Ok::<_, TranscodeError>(pixels)
    })?;
    pixels.encode(spec.format)
}

/// Decodes the first frame and nothing more, to find out whether it can be decoded.
pub(super) fn try_decoding(
    original: &Picture,
    structure: Option<&Structure>,
) -> Result<(), TranscodeError> {
    check_kind(original, structure)?;
    let memory = price::of_decoding(original, structure);
    Scratch::with(|scratch| scratch.check(decoder(original, memory)?))
        .map_err(TranscodeError::Decode)
}

/// Checks that the picture is of a size and a kind that is decoded.
fn check_kind(original: &Picture, structure: Option<&Structure>) -> Result<(), TranscodeError> {
    let (width, height) = original.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(TranscodeError::TooLarge(pixels));
    }
    match structure.map(|structure| structure.decoding) {
        Some(Decoding::Unreliable) => Err(TranscodeError::Unreliable),
        Some(Decoding::Reliable) | None => Ok(()),
    }
}

/// Decodes the first frame, upright and in sRGB, in so many bytes of memory.
fn decode(
    original: &Picture,
    is_cmyk: bool,
    memory: u64,
    scratch: &mut Scratch,
) -> ImageResult<DynamicImage> {
    let mut decoder = decoder(original, memory)?;
    let orientation = decoder.orientation()?;
    let profile = decoder.icc_profile().ok().flatten();
    // The decoder has converted CMYK already, without its profile.
    let profile = profile.filter(|_| !is_cmyk);
    let mut image = scratch.decode(decoder)?;
    image.apply_orientation(orientation);
    Ok(match profile {
        Some(profile) => convert_to_srgb(image, &profile),
        None => image,
    })
}

/// The decoder of the first frame.
fn decoder(original: &Picture, memory: u64) -> ImageResult<impl ImageDecoder> {
    let format = match original.media() {
        MediaType::Jpeg => ImageFormat::Jpeg,
        MediaType::Png => ImageFormat::Png,
        MediaType::Webp => ImageFormat::WebP,
        MediaType::Gif => ImageFormat::Gif,
    };
    let bytes = match original.media() {
        MediaType::Gif => grow_canvas(original),
        _ => original.bytes().clone(),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(memory);
    reader.limits(limits);
    reader.into_decoder()
}

/// The GIF with a canvas that holds its first frame. Browsers grow the canvas, the decoder crops the frame.
fn grow_canvas(original: &Picture) -> Bytes {
    let size = |edge| u16::try_from(edge).unwrap_or(u16::MAX).to_le_bytes();
    let (width, height) = original.dimensions();
    let canvas = [size(width), size(height)].concat();
    let bytes = original.bytes();
    if bytes.get(6..10) == Some(&canvas[..]) {
        return bytes.clone();
    }
    let mut grown = bytes.to_vec();
    if let Some(field) = grown.get_mut(6..10) {
        field.copy_from_slice(&canvas);
    }
    grown.into()
}

/// Converts the colors to sRGB. A profile for another color space than that of the pixels is ignored, as
/// browsers do, and so is one that cannot be read.
fn convert_to_srgb(image: DynamicImage, profile: &[u8]) -> DynamicImage {
    let Ok(profile) = ColorProfile::new_from_slice(profile) else {
        return image;
    };
    let converted = match (profile.color_space, image.color().has_color()) {
        (DataColorSpace::Rgb, true) => {
            let pixels = image.to_rgba8();
            convert(&profile, Layout::Rgba, &pixels, pixels.dimensions())
        }
        (DataColorSpace::Gray, false) => {
            let pixels = image.to_luma_alpha8();
            convert(&profile, Layout::GrayAlpha, &pixels, pixels.dimensions())
        }
        _ => return image,
    };
    match converted {
        Some(pixels) if image.color().has_alpha() => pixels.into(),
        Some(pixels) => DynamicImage::from(pixels).into_rgb8().into(),
        None => image,
    }
}

fn convert(
    profile: &ColorProfile,
    layout: Layout,
    samples: &[u8],
    (width, height): (u32, u32),
) -> Option<RgbaImage> {
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let transform = profile
        .create_transform_8bit(layout, &srgb, Layout::Rgba, options)
        .ok()?;
    let mut converted = RgbaImage::new(width, height);
    transform.transform(samples, &mut converted).ok()?;
    Some(converted)
}

/// Crops the largest centered square and scales it down to `edge`.
fn crop_and_scale(
    image: &DynamicImage,
    edge: u16,
    scratch: &mut Scratch,
) -> Result<Pixels, TranscodeError> {
    let (width, height) = (image.width(), image.height());
    let has_alpha = image.color().has_alpha();
    let side = width.min(height);
    let edge = u32::from(edge).min(side);
    let (left, top) = ((width - side) / 2, (height - side) / 2);
    let mut scaled = Image::new(edge, edge, PixelType::U8x4);
    let options = ResizeOptions::new()
        .use_alpha(has_alpha)
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .crop(left.into(), top.into(), side.into(), side.into());
    scratch.resize(image, &mut scaled, &options)?;
    Ok(Pixels::new(edge, edge, scaled.into_vec(), has_alpha))
}

#[cfg(test)]
mod tests {
    use image::{
        ExtendedColorType, ImageEncoder, Rgb, RgbImage, Rgba,
        codecs::{gif::GifEncoder, png::PngEncoder},
    };

    use super::*;
    use crate::images::variant::Format;

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

    fn make(original: &Picture, spec: VariantSpec) -> Result<Variant, TranscodeError> {
        transcode(original, original.structure().as_ref(), spec)
    }

    fn transcode_image(original: &Picture, edge: Option<u16>, format: Format) -> DynamicImage {
        let variant = make(original, VariantSpec { edge, format }).unwrap();
        assert_eq!(variant.format, format);
        image::load_from_memory(&variant.bytes).unwrap()
    }

    #[test]
    fn the_middle_square_is_scaled_down_and_never_up() {
        let original = picture(&flag(300, 100), ImageFormat::Png);
        for (edge, expected) in [(32, 32), (96, 96), (640, 100)] {
            for format in [Format::Jpeg, Format::Png, Format::Webp] {
                let image = transcode_image(&original, Some(edge), format).to_rgb8();
                assert_eq!(image.dimensions(), (expected, expected));
                let Rgb([red, green, blue]) = *image.get_pixel(expected / 2, expected / 2);
                assert!(red < 40 && green > 215 && blue < 40, "{format:?}");
            }
        }
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_refused_before_decoding() {
        // Small as a file, and as one sample a pixel; as four, it would be 256 MiB.
        let gray = DynamicImage::new_luma8(8192, 4096);
        let bomb = picture(&gray, ImageFormat::Png);
        let variant = VariantSpec {
            edge: Some(32),
            format: Format::Jpeg,
        };
        assert!(bomb.bytes().len() < 1_000_000);
        assert!(matches!(
            make(&bomb, variant),
            Err(TranscodeError::TooLarge(_))
        ));
    }

    #[test]
    fn without_an_edge_a_variant_keeps_its_dimensions() {
        let original = picture(&flag(300, 100), ImageFormat::Png);
        let image = transcode_image(&original, None, Format::Jpeg);
        assert_eq!((image.width(), image.height()), (300, 100));
    }

    #[test]
    fn an_avif_variant_has_the_requested_size() {
        let original = picture(&flag(64, 64), ImageFormat::Png);
        let edge = Some(32);
        let format = Format::Avif;
        let variant = make(&original, VariantSpec { edge, format }).unwrap();
        assert_eq!(&variant.bytes[4..12], b"ftypavif");
        // The image's spatial extent: width and height.
        let extent = [0, 0, 0, 32, 0, 0, 0, 32];
        assert!(variant.bytes.windows(8).any(|window| window == extent));
    }

    #[test]
    fn transparent_pixels_stay_so_and_are_white_in_jpeg() {
        let clear: DynamicImage = RgbaImage::from_pixel(64, 64, Rgba([0, 0, 0, 0])).into();
        let original = picture(&clear, ImageFormat::Png);
        for (format, expected) in [(Format::Png, 0), (Format::Webp, 0), (Format::Jpeg, 255)] {
            let image = transcode_image(&original, Some(32), format).to_rgba8();
            let Rgba([red, _, _, alpha]) = *image.get_pixel(16, 16);
            match format {
                Format::Jpeg => assert_eq!((red, alpha), (expected, 255)),
                _ => assert_eq!(alpha, expected),
            }
        }
    }

    #[test]
    fn a_variant_of_an_animation_is_its_first_frame() {
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
            let image = transcode_image(&original, Some(32), Format::Png).to_rgb8();
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
        let tells = |bytes: &[u8]| bytes.windows(13).any(|text| text == b"taken at home");
        assert!(tells(&bytes));
        let sideways = Picture::validate(bytes.into()).unwrap();
        let image = transcode_image(&sideways, None, Format::Jpeg);
        assert_eq!((image.width(), image.height()), (60, 90));
        // The left third is on top.
        assert!(image.to_rgb8().get_pixel(30, 5).0[0] > 200);
        assert!(!tells(sideways.bytes()));
        for format in [Format::Jpeg, Format::Png, Format::Webp, Format::Avif] {
            let edge = Some(32);
            let variant = make(&sideways, VariantSpec { edge, format }).unwrap();
            assert!(!tells(&variant.bytes), "{format:?}");
        }
    }

    #[test]
    fn a_picture_in_another_color_space_is_converted_to_srgb() {
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
        let image = transcode_image(&original, Some(32), Format::Png).to_rgb8();
        // The same color has more red in sRGB, whose red is less so.
        let Rgb([red, green, _]) = *image.get_pixel(16, 16);
        assert!(red > 203 && green < 100, "{red} {green}");
    }
}
