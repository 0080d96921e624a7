//! Chooses the format and size of an image: the URL's, and where it leaves the format open, the one that
//! the client prefers (RFC 9110 §12.5.1).

use http::{HeaderMap, header};

use super::view::{RequestedFormat, View};
use crate::{
    avatar::{MediaType, Picture},
    http::accept::weight,
    images::{Format, VariantSpec},
};

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
        (RequestedFormat::Auto, Some(_)) => (preferred(headers, &[plain_format(picture)]), true),
        (RequestedFormat::Svg, Some(_)) => (plain_format(picture), false),
        (RequestedFormat::Auto | RequestedFormat::Svg, None) => {
            return Choice::ORIGINAL;
        }
    };
    let (width, height) = picture.dimensions();
    let has_size = view
        .size
        .is_none_or(|edge| width == height && width <= u32::from(edge));
    let is_original = original_format(picture) == Some(format) && has_size;
    let variant = VariantSpec {
        edge: view.size,
        format,
    };
    Choice {
        variant: (!is_original).then_some(variant),
        varies,
    }
}

/// Chooses the format of a placeholder; `None` is SVG. Clients that accept SVG get it, as browsers do.
pub(super) fn of_placeholder(view: &View, headers: &HeaderMap) -> Choice<Format> {
    match view.format {
        RequestedFormat::Svg => Choice::ORIGINAL,
        RequestedFormat::Format(format) => Choice {
            variant: Some(format),
            varies: false,
        },
        RequestedFormat::Auto => {
            let accepts_svg = headers.get(header::ACCEPT).is_none()
                || weight(headers, &["image/svg+xml", "image/*", "*/*"]) > 0.0;
            let raster = || preferred(headers, &[Format::Png, Format::Jpeg]);
            Choice {
                variant: (!accepts_svg).then(raster),
                varies: true,
            }
        }
    }
}

/// The format that the client prefers among WebP, AVIF and the `plain` ones. The first of these wins a
/// tie, since AVIF is smaller than WebP but takes ten times as long to make. The first plain one is for
/// clients that accept none.
fn preferred(headers: &HeaderMap, plain: &[Format]) -> Format {
    // A client that accepts `*/*` may not know the newer formats, so these have to be named.
    let newer =
        [Format::Webp, Format::Avif].map(|format| (format, weight(headers, &[format.as_str()])));
    let plain_weights = plain.iter().map(|format| {
        let ranges = [format.as_str(), "image/*", "*/*"];
        (*format, weight(headers, &ranges))
    });
    let mut best = (plain.first().copied().unwrap_or(Format::Png), 0.0);
    for (format, weight) in newer.into_iter().chain(plain_weights) {
        if weight > best.1 {
            best = (format, weight);
        }
    }
    best.0
}

/// The format for clients that prefer none: every client shows it.
fn plain_format(picture: &Picture) -> Format {
    match picture.media() {
        MediaType::Jpeg => Format::Jpeg,
        // These may be transparent, and JPEG cannot be.
        MediaType::Png | MediaType::Webp | MediaType::Gif => Format::Png,
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
