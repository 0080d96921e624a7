//! The parameters of a URL that say how a face is to look, and the values that they may have.

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
    pub(crate) look: PlaceholderLook,
    pub(crate) format: RequestedFormat,
}

/// The reply for a face without a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WithoutPicture {
    /// A placeholder.
    Placeholder(PlaceholderStyle),
    /// 404.
    NotFound,
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

/// The sizes that exist. Any other is rounded up, which bounds the number of variants of a picture.
pub(crate) const SIZES: [u16; 10] = [32, 48, 64, 96, 128, 192, 256, 320, 480, 640];

impl Default for WithoutPicture {
    fn default() -> Self {
        WithoutPicture::Placeholder(PlaceholderStyle::Initials)
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

/// Reads `s`.
pub(crate) fn size(value: &str) -> Result<u16, InvalidParameter> {
    let invalid = InvalidParameter::new("s", "write a whole number of pixels from 1 to 640");
    let pixels: u16 = value.parse().map_err(|_| invalid)?;
    SIZES
        .into_iter()
        .find(|size| pixels >= 1 && *size >= pixels)
        .ok_or(invalid)
}

/// Reads `d`.
pub(crate) fn without_picture(value: &str) -> Result<WithoutPicture, InvalidParameter> {
    Ok(match value {
        "initials" => WithoutPicture::Placeholder(PlaceholderStyle::Initials),
        "mp" => WithoutPicture::Placeholder(PlaceholderStyle::Mp),
        "identicon" => WithoutPicture::Placeholder(PlaceholderStyle::Identicon),
        "blank" => WithoutPicture::Placeholder(PlaceholderStyle::Blank),
        "404" => WithoutPicture::NotFound,
        _ => {
            let remedy = "write one of initials, mp, identicon, blank, 404";
            return Err(InvalidParameter::new("d", remedy));
        }
    })
}

/// Reads `format`.
pub(crate) fn format(value: &str) -> Result<RequestedFormat, InvalidParameter> {
    Ok(match value {
        "auto" => RequestedFormat::Auto,
        "jpeg" => RequestedFormat::Format(Format::Jpeg),
        "png" => RequestedFormat::Format(Format::Png),
        "webp" => RequestedFormat::Format(Format::Webp),
        "avif" => RequestedFormat::Format(Format::Avif),
        "svg" => RequestedFormat::Svg,
        _ => {
            let remedy = "write one of auto, jpeg, png, webp, avif, svg";
            return Err(InvalidParameter::new("format", remedy));
        }
    })
}

/// Reads `background`; `None` is the face's own color, as without the parameter.
pub(crate) fn background(value: &str) -> Result<Option<Color>, InvalidParameter> {
    match value {
        "random" => Ok(None),
        value => color("background", value).map(Some),
    }
}

/// Reads a color.
pub(crate) fn color(name: &'static str, value: &str) -> Result<Color, InvalidParameter> {
    let remedy = "write a color as RRGGBB or RGB in hexadecimal";
    value
        .parse()
        .map_err(|()| InvalidParameter::new(name, remedy))
}

/// Reads `length`: whether the placeholder shows one initial instead of two.
pub(crate) fn is_single(value: &str) -> Result<bool, InvalidParameter> {
    match value {
        "1" => Ok(true),
        "2" => Ok(false),
        _ => Err(InvalidParameter::new("length", "write 1 or 2 initials")),
    }
}

/// Reads a flag, for which there are several words as in Gravatar's URLs.
pub(crate) fn flag(
    name: &'static str,
    value: &str,
    remedy: &'static str,
) -> Result<bool, InvalidParameter> {
    match value {
        "y" | "yes" | "true" | "1" => Ok(true),
        "" | "n" | "no" | "false" | "0" => Ok(false),
        _ => Err(InvalidParameter::new(name, remedy)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_sizes_together_are_ten_variants() {
        let sizes: BTreeSet<_> = (1..=640)
            .filter_map(|pixels| size(&pixels.to_string()).ok())
            .collect();
        assert_eq!(sizes, SIZES.into());
    }
}
