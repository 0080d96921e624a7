//! Chooses the format and size of an image: the URL's, and where it leaves the format open, the one that
//! the client prefers (RFC 9110 §12.5.1).

use http::HeaderMap;

use super::view::{RequestedFormat, View};
use crate::{
    avatar::{MediaType, Picture},
    http::accept::{weight, weight_by_name},
    images::{Format, VariantSpec},
};

/// The media type of placeholders.
const SVG: &str = "image/svg+xml";
/// The most pixels of an AVIF: the encoder takes seconds for ten times as many.
const MAX_AVIF: u64 = 1 << 20;

/// The variant that a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice<T> {
    /// The variant; `None` for the original.
    pub(super) variant: Option<T>,
    /// Whether `Accept` was looked at, so that another client may get another variant.
    pub(super) varies: bool,
}

impl<T> Choice<T> {
    const ORIGINAL: Self = Self {
        variant: None,
        varies: false,
    };
}

/// Chooses the variant of a picture. Without a size or a format, the original is sent whatever the
/// client accepts.
pub(super) fn of_picture(
    view: &View,
    headers: &HeaderMap,
    picture: &Picture,
) -> Choice<VariantSpec> {
    let (format, varies) = match (view.format, view.size) {
        (RequestedFormat::Format(format), _) => (format, false),
        (RequestedFormat::Auto, Some(_)) => (preferred(headers, plain_formats(picture)), true),
        (RequestedFormat::Svg, Some(_)) => (plain_formats(picture)[0], false),
        (RequestedFormat::Auto | RequestedFormat::Svg, None) => {
            return Choice::ORIGINAL;
        }
    };
    let (width, height) = picture.dimensions();
    let format = match format {
        Format::Avif if pixels(view, width, height) > MAX_AVIF => Format::Webp,
        format => format,
    };
    let has_size = view
        .size
        .is_none_or(|edge| width == height && width <= u32::from(edge));
    // The decoder finds out whether the pixels can be decoded, where that is not known yet.
    let is_sure = picture.is_checked() || view.size.is_none();
    let is_original = original_format(picture) == Some(format) && has_size && is_sure;
    let variant = VariantSpec {
        edge: view.size,
        format,
    };
    Choice {
        variant: (!is_original).then_some(variant),
        varies,
    }
}

/// Chooses the format of a placeholder; `None` is SVG. Only clients that name SVG get it, as browsers do: the
/// image views of programs accept `*/*` and cannot show it.
pub(super) fn of_placeholder(view: &View, headers: &HeaderMap) -> Choice<Format> {
    match view.format {
        RequestedFormat::Svg => Choice::ORIGINAL,
        RequestedFormat::Format(format) => Choice {
            variant: Some(format),
            varies: false,
        },
        RequestedFormat::Auto => {
            let raster = preferred(headers, [Format::Png, Format::Jpeg]);
            let of_svg = weight_by_name(headers, SVG).unwrap_or(0.0);
            let of_raster = weight(headers, raster.as_str()).unwrap_or(0.0);
            let prefers_svg = of_svg > 0.0 && of_svg >= of_raster;
            Choice {
                variant: (!prefers_svg).then_some(raster),
                varies: true,
            }
        }
    }
}

/// Whether the client names SVG, so that it shows it even in place of another format.
pub(super) fn names_svg(headers: &HeaderMap) -> bool {
    weight_by_name(headers, SVG).is_some_and(|weight| weight > 0.0)
}

/// The pixels of the variant that `view` asks for.
fn pixels(view: &View, width: u32, height: u32) -> u64 {
    match view.size {
        Some(edge) => u64::from(edge) * u64::from(edge),
        None => u64::from(width) * u64::from(height),
    }
}

/// The format that the client prefers among WebP, AVIF and the `plain` ones. The first of these wins a
/// tie, since AVIF is smaller than WebP but takes ten times as long to make. A client that accepts none
/// gets the first plain one that it does not refuse.
fn preferred(headers: &HeaderMap, plain: [Format; 2]) -> Format {
    // A client that accepts `*/*` may not know the newer formats, so these have to be named.
    let newer = [Format::Webp, Format::Avif]
        .map(|format| (format, weight_by_name(headers, format.as_str())));
    let plain = plain.map(|format| (format, weight(headers, format.as_str())));
    let mut best = (None, 0.0);
    for (format, weight) in newer.into_iter().chain(plain) {
        let weight = weight.unwrap_or(0.0);
        if weight > best.1 {
            best = (Some(format), weight);
        }
    }
    let unmentioned = || plain.iter().find(|(_, weight)| weight.is_none());
    best.0
        .unwrap_or_else(|| unmentioned().unwrap_or(&plain[0]).0)
}

/// The two formats that every client shows. The first is nearer to the original: PNG, WebP and GIF may be
/// transparent, and JPEG cannot be.
fn plain_formats(picture: &Picture) -> [Format; 2] {
    match picture.media() {
        MediaType::Jpeg => [Format::Jpeg, Format::Png],
        MediaType::Png | MediaType::Webp | MediaType::Gif => [Format::Png, Format::Jpeg],
    }
}

fn original_format(picture: &Picture) -> Option<Format> {
    match picture.media() {
        MediaType::Jpeg => Some(Format::Jpeg),
        MediaType::Png => Some(Format::Png),
        MediaType::Webp => Some(Format::Webp),
        MediaType::Gif => None,
    }
}
