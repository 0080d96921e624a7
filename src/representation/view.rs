//! The parameters of a URL that say how a face is to look, and the values that they may have.

use std::time::Duration;

use arrayvec::ArrayString;
use memchr::memrchr;

use crate::{
    http::problem::Problem,
    images::{Color, Format, PlaceholderLook, PlaceholderStyle},
};

/// How a face is to look.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    /// The edge in pixels, one of [`SIZES`]; `None` for the picture's own.
    pub(crate) size: Option<u16>,
    pub(crate) without_picture: WithoutPicture,
    /// Whether a picture is ignored.
    pub(crate) force_default: bool,
    /// A name whose initials the placeholder may show.
    pub(crate) name: Option<Box<str>>,
    /// The letters that the placeholder shows instead of the initials of the name.
    pub(crate) initials: Option<Box<str>>,
    pub(crate) look: PlaceholderLook,
    pub(crate) format: RequestedFormat,
    /// The parameters whose values are unknown; their defaults count.
    pub(crate) ignored: Vec<&'static str>,
}

/// The reply for a face without a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WithoutPicture {
    /// A placeholder.
    Placeholder(PlaceholderStyle),
    /// 404.
    NotFound,
}

/// What `background` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Background {
    /// The face's own color, as without the parameter.
    OfFace,
    Color(Color),
}

/// The format that a URL asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RequestedFormat {
    /// The format that `Accept` prefers.
    #[default]
    Auto,
    /// This format.
    Format(Format),
    /// SVG, which only a placeholder can be.
    Svg,
}

/// A parameter has a value that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidParameter {
    /// Its name.
    pub(crate) name: &'static str,
    /// The values that are allowed.
    pub(crate) remedy: &'static str,
}

/// The sizes that exist. Any other becomes one of them, which bounds the number of variants of a picture.
pub(crate) const SIZES: [u16; 10] = [32, 48, 64, 96, 128, 192, 256, 320, 480, 640];

impl Default for WithoutPicture {
    fn default() -> Self {
        WithoutPicture::Placeholder(PlaceholderStyle::Initials)
    }
}

impl Background {
    /// The color, if it is not the face's own.
    pub(crate) fn color(self) -> Option<Color> {
        match self {
            Self::OfFace => None,
            Self::Color(color) => Some(color),
        }
    }
}

impl InvalidParameter {
    pub(crate) const fn new(name: &'static str, remedy: &'static str) -> Self {
        Self { name, remedy }
    }
}

impl From<InvalidParameter> for Problem {
    fn from(invalid: InvalidParameter) -> Self {
        Problem::invalid_parameter(invalid.name, invalid.remedy)
    }
}

/// Reads `s`: it is rounded up to the next size that exists, and never beyond the largest.
pub(crate) fn size(value: &str) -> Option<u16> {
    let pixels: f64 = value
        .trim()
        .parse()
        .ok()
        .filter(|size: &f64| size.is_finite())?;
    let [sizes @ .., largest] = SIZES;
    let fitting = sizes.into_iter().find(|size| f64::from(*size) >= pixels);
    Some(fitting.unwrap_or(largest))
}

/// Reads `d`, also in the words of Gravatar.
pub(crate) fn without_picture(value: &str) -> Option<WithoutPicture> {
    let style = match word(value)?.as_str() {
        "initials" => PlaceholderStyle::Initials,
        "mp" | "mm" => PlaceholderStyle::Mp,
        "identicon" | "retro" | "monsterid" | "robohash" | "wavatar" => PlaceholderStyle::Identicon,
        "blank" => PlaceholderStyle::Blank,
        "404" => return Some(WithoutPicture::NotFound),
        _ => return None,
    };
    Some(WithoutPicture::Placeholder(style))
}

/// Reads `format`.
pub(crate) fn format(value: &str) -> Option<RequestedFormat> {
    let format = match word(value)?.as_str() {
        "auto" => return Some(RequestedFormat::Auto),
        "svg" => return Some(RequestedFormat::Svg),
        "jpeg" | "jpg" => Format::Jpeg,
        "png" => Format::Png,
        "webp" => Format::Webp,
        "avif" => Format::Avif,
        _ => return None,
    };
    Some(RequestedFormat::Format(format))
}

/// Splits a file name's extension off, if it is one of a format. No JID ends like that.
pub(crate) fn split_extension(name: &str) -> (&str, Option<RequestedFormat>) {
    let Some(point) = memrchr(b'.', name.as_bytes()) else {
        return (name, None);
    };
    let (stem, extension) = (&name[..point], &name[point + 1..]);
    let format = match word(extension).as_deref() {
        Some("jpg" | "jpeg" | "png" | "webp") => format(extension),
        _ => None,
    };
    match format {
        Some(format) => (stem, Some(format)),
        None => (name, None),
    }
}

/// Reads `background`.
pub(crate) fn background(value: &str) -> Option<Background> {
    match word(value)?.as_str() {
        "random" => Some(Background::OfFace),
        _ => color(value).map(Background::Color),
    }
}

/// Reads a color.
pub(crate) fn color(value: &str) -> Option<Color> {
    value.trim().parse().ok()
}

/// Reads `length`: whether the placeholder shows one initial instead of two.
pub(crate) fn is_single(value: &str) -> Option<bool> {
    match value.trim() {
        "1" => Some(true),
        "2" => Some(false),
        _ => None,
    }
}

/// Reads a flag, for which there are several words as in Gravatar's URLs.
pub(crate) fn flag(value: &str) -> Option<bool> {
    match word(value)?.as_str() {
        "y" | "yes" | "true" | "1" => Some(true),
        "n" | "no" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// Reads whole seconds.
pub(crate) fn seconds(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}

/// A value in lower case; `None` if it is longer than any that is known.
fn word(value: &str) -> Option<ArrayString<16>> {
    let mut word = ArrayString::from(value.trim()).ok()?;
    word.make_ascii_lowercase();
    Some(word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_sizes_together_are_ten_variants() {
        let sizes: BTreeSet<_> = (1..=640)
            .filter_map(|pixels| size(&pixels.to_string()))
            .collect();
        assert_eq!(sizes, SIZES.into());
    }
}
