//! Which variant of a picture answers a request: what the URL says, and where it leaves the format
//! open, what the client accepts (RFC 9110 §12.5.1).

use http::{HeaderMap, header};

use super::route::View;
use crate::{
    avatar::{MediaType, Picture},
    images::{Format, Variant},
};

/// The format that a URL asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    /// Whichever the client likes best.
    #[default]
    Auto,
    /// This one.
    Format(Format),
    /// SVG, which only drawings can be.
    Svg,
}

/// What answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// A variant; none is the picture as it came.
    pub(super) variant: Option<Variant>,
    /// Whether another client could get something else for the same URL.
    pub(super) by_accept: bool,
}

/// Chooses. Without a size or a format, a picture is sent untouched, whatever is accepted.
pub(super) fn choose(view: &View<'_>, headers: &HeaderMap, picture: &Picture) -> Chosen {
    let own = own_format(picture);
    let (format, by_accept) = match (view.format, view.size) {
        (Asked::Format(format), _) => (format, false),
        // AVIF is smaller still, but costs ten times as much to make: only who asks for it gets it.
        (Asked::Auto, Some(_)) if accepts(headers, "image/webp") => (Format::Webp, true),
        (Asked::Auto, Some(_)) => (plain_format(picture), true),
        (Asked::Svg, Some(_)) => (plain_format(picture), false),
        (Asked::Auto | Asked::Svg, None) => {
            return Chosen::default();
        }
    };
    let (width, height) = picture.dimensions();
    let is_there = view
        .size
        .is_none_or(|edge| width == height && width <= u32::from(edge));
    let is_original = own == Some(format) && is_there;
    let variant = Variant {
        edge: view.size,
        format,
    };
    Chosen {
        variant: (!is_original).then_some(variant),
        by_accept,
    }
}

/// Chooses how a drawing is sent. It is SVG for everybody who takes that, as browsers do.
pub(super) fn choose_drawing(view: &View<'_>, headers: &HeaderMap) -> (Option<Format>, bool) {
    match view.format {
        Asked::Svg => (None, false),
        Asked::Format(format) => (Some(format), false),
        Asked::Auto => {
            let takes_svg = headers.get(header::ACCEPT).is_none()
                || ["image/svg+xml", "image/*", "*/*"]
                    .into_iter()
                    .any(|media| accepts(headers, media));
            let pixels = if accepts(headers, "image/webp") {
                Format::Webp
            } else {
                Format::Png
            };
            ((!takes_svg).then_some(pixels), true)
        }
    }
}

/// Whether a media range is named in `Accept`, and not with a weight of zero.
fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter();
    let ranges = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    ranges.into_iter().any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it = parts
            .next()
            .is_some_and(|named| named.eq_ignore_ascii_case(media));
        let is_refused = parts.any(|parameter| {
            let weight = parameter
                .strip_prefix("q=")
                .or(parameter.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32))
        });
        is_it && !is_refused
    })
}

/// What every client shows.
fn plain_format(picture: &Picture) -> Format {
    match picture.media() {
        MediaType::Jpeg => Format::Jpeg,
        // These may be transparent.
        MediaType::Png | MediaType::Webp | MediaType::Gif => Format::Png,
    }
}

fn own_format(picture: &Picture) -> Option<Format> {
    match picture.media() {
        MediaType::Jpeg => Some(Format::Jpeg),
        MediaType::Png => Some(Format::Png),
        MediaType::Webp => Some(Format::Webp),
        MediaType::Gif => None,
    }
}
