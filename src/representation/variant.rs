//! Which variant of a picture answers a request: what the URL says, and where it leaves the format
//! open, what the client accepts (RFC 9110 §12.5.1).

use http::{HeaderMap, header};

use crate::{
    avatar::{MediaType, Picture},
    images::{Format, VariantSpec},
    public::route::View,
};

/// The format that a URL asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Asked {
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
pub(crate) struct Chosen {
    /// A variant; none is the picture as it came.
    pub(crate) variant: Option<VariantSpec>,
    /// Whether another client could get something else for the same URL.
    pub(crate) by_accept: bool,
}

/// Chooses. Without a size or a format, a picture is sent untouched, whatever is accepted.
pub(crate) fn choose(view: &View<'_>, headers: &HeaderMap, picture: &Picture) -> Chosen {
    let own = own_format(picture);
    let (format, by_accept) = match (view.format, view.size) {
        (Asked::Format(format), _) => (format, false),
        (Asked::Auto, Some(_)) => (best(headers, &[plain_format(picture)]), true),
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
    let variant = VariantSpec {
        edge: view.size,
        format,
    };
    Chosen {
        variant: (!is_original).then_some(variant),
        by_accept,
    }
}

/// Chooses how a drawing is sent. It is SVG for everybody who takes that, as browsers do.
pub(crate) fn choose_drawing(view: &View<'_>, headers: &HeaderMap) -> (Option<Format>, bool) {
    match view.format {
        Asked::Svg => (None, false),
        Asked::Format(format) => (Some(format), false),
        Asked::Auto => {
            let takes_svg = headers.get(header::ACCEPT).is_none()
                || weight(headers, &["image/svg+xml", "image/*", "*/*"]) > 0.0;
            let pixels = || best(headers, &[Format::Png, Format::Jpeg]);
            ((!takes_svg).then(pixels), true)
        }
    }
}

/// The format that the client likes best; of those it likes equally well, the first of WebP, AVIF and
/// the `plain` ones, and the first of these if it likes none. AVIF is smaller than WebP, but costs ten
/// times as much to make.
fn best(headers: &HeaderMap, plain: &[Format]) -> Format {
    // Whoever accepts everything may never have heard of the newer ones, so these have to be named.
    let newer =
        [Format::Webp, Format::Avif].map(|format| (format, weight(headers, &[format.as_str()])));
    let plain_ones = plain.iter().map(|format| {
        (
            *format,
            weight(headers, &[format.as_str(), "image/*", "*/*"]),
        )
    });
    let mut best = (plain.first().copied().unwrap_or(Format::Png), 0.0);
    for (format, weight) in newer.into_iter().chain(plain_ones) {
        if weight > best.1 {
            best = (format, weight);
        }
    }
    best.0
}

/// How well the client likes the first of these media ranges that its `Accept` names; not at all, if
/// it names none.
fn weight(headers: &HeaderMap, ranges: &[&str]) -> f32 {
    let named = |range: &&str| {
        let lines = headers.get_all(header::ACCEPT).iter();
        let all = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        all.into_iter().find_map(|one| {
            let mut parts = one.split(';').map(str::trim);
            let is_it = parts.next()?.eq_ignore_ascii_case(range);
            let weight = parts.find_map(|parameter| {
                let weight = parameter.strip_prefix("q=");
                weight.or(parameter.strip_prefix("Q="))?.parse().ok()
            });
            is_it.then_some(weight.unwrap_or(1.0))
        })
    };
    ranges.iter().find_map(named).unwrap_or(0.0)
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
