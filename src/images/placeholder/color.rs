//! Colors: a background for each face, dark enough for white letters, and colors that a URL names.

use std::{fmt, str::FromStr};

use crate::avatar::Key;

/// An sRGB color.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color {
    red: u8,
    green: u8,
    blue: u8,
}

/// The least contrast of letters with their background: WCAG 2.2, level AA, text of any size.
const MIN_CONTRAST: f64 = 4.5;

impl Color {
    const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// The silhouette's background.
    pub const GRAY: Color = Color::new(0x6B, 0x72, 0x80);
    /// The identicon's background.
    pub const PALE: Color = Color::new(0xF0, 0xF0, 0xF0);
    /// White.
    pub const WHITE: Color = Color::new(0xFF, 0xFF, 0xFF);
    /// Black.
    pub const BLACK: Color = Color::new(0, 0, 0);

    /// The color for letters on this background: white if the contrast suffices, else black.
    pub fn foreground(self) -> Self {
        if self.contrast_with_white() >= MIN_CONTRAST {
            Self::WHITE
        } else {
            Self::BLACK
        }
    }

    /// A rectangle of this color over the whole SVG.
    pub(super) fn fill(self) -> String {
        format!(r#"<rect width="100" height="100" fill="{self}"/>"#)
    }

    /// The color of a face: a hue from its key, as light as white letters allow.
    pub fn of_face(key: &Key) -> Self {
        let [high, low, ..] = *key.as_bytes();
        Self::of_hue(f64::from(u16::from_be_bytes([high, low]) % 360))
    }

    fn of_hue(hue: f64) -> Self {
        const SATURATION: f64 = 0.55;
        let mut lightness = 0.5;
        loop {
            let color = Self::from_hsl(hue, SATURATION, lightness);
            if color.contrast_with_white() >= MIN_CONTRAST {
                return color;
            }
            // The loop ends: black has a contrast of 21.
            lightness -= 0.01;
        }
    }

    fn from_hsl(hue: f64, saturation: f64, lightness: f64) -> Self {
        let amplitude = saturation * lightness.min(1.0 - lightness);
        let channel = |offset: f64| {
            let k = (offset + hue / 30.0) % 12.0;
            let value = lightness - amplitude * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
            (value * 255.0).round() as u8
        };
        Self {
            red: channel(0.0),
            green: channel(8.0),
            blue: channel(4.0),
        }
    }

    /// WCAG 2.2's contrast ratio.
    fn contrast_with_white(self) -> f64 {
        1.05 / (self.luminance() + 0.05)
    }

    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.red) + 0.7152 * linear(self.green) + 0.0722 * linear(self.blue)
    }
}

/// `RRGGBB` or `RGB` in hexadecimal, with or without `#`.
impl FromStr for Color {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(());
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| ())?;
        let [red, green, blue] = match digits.len() {
            3 => [8, 4, 0].map(|shift| ((number >> shift & 0xF) * 0x11) as u8),
            6 => [16, 8, 0].map(|shift| (number >> shift & 0xFF) as u8),
            _ => return Err(()),
        };
        Ok(Self { red, green, blue })
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_letters_are_readable_on_every_hue() {
        for hue in 0..360 {
            let color = Color::of_hue(f64::from(hue));
            assert!(
                color.contrast_with_white() >= MIN_CONTRAST,
                "{hue}: {color}"
            );
        }
        assert!(Color::GRAY.contrast_with_white() >= MIN_CONTRAST);
    }

    #[test]
    fn colors_parse_in_the_notation_of_style_sheets() {
        for (text, color) in [
            ("0D8ABC", "#0d8abc"),
            ("#0d8abc", "#0d8abc"),
            ("fa0", "#ffaa00"),
        ] {
            assert_eq!(text.parse::<Color>().unwrap().to_string(), color);
        }
        for wrong in ["", "#", "12345", "red", "+12345", "12345g", "1234567"] {
            assert!(wrong.parse::<Color>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_foreground_is_readable_on_any_background() {
        for background in ["000", "fff", "0D8ABC", "ff0", "808080", "f00", "0f0", "00f"] {
            let background: Color = background.parse().unwrap();
            let lightness = |color: Color| color.luminance() + 0.05;
            let (a, b) = (lightness(background), lightness(background.foreground()));
            assert!(a.max(b) / a.min(b) >= MIN_CONTRAST, "{background}");
        }
    }

    #[test]
    fn primary_hues_convert_to_primary_colors() {
        assert_eq!(Color::from_hsl(0.0, 1.0, 0.5).to_string(), "#ff0000");
        assert_eq!(Color::from_hsl(120.0, 1.0, 0.5).to_string(), "#00ff00");
        assert_eq!(Color::from_hsl(240.0, 1.0, 0.5).to_string(), "#0000ff");
    }
}
