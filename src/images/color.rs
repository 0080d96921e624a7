//! Background colors: one for each face, dark enough for white letters.

use std::fmt;

use crate::avatar::Key;

/// An sRGB color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color {
    red: u8,
    green: u8,
    blue: u8,
}

/// White letters on a background, by WCAG 2.2's level AA for text of any size.
const LEAST_CONTRAST: f64 = 4.5;

impl Color {
    /// The silhouette's background.
    pub const GRAY: Color = Color {
        red: 0x6B,
        green: 0x72,
        blue: 0x80,
    };

    /// The color of a face: a hue from its key, as light as white letters allow.
    pub fn of(key: &Key) -> Self {
        let [high, low, ..] = *key.as_bytes();
        Self::of_hue(f64::from(u16::from_be_bytes([high, low]) % 360))
    }

    fn of_hue(hue: f64) -> Self {
        const SATURATION: f64 = 0.55;
        let mut lightness = 0.5;
        loop {
            let color = Self::from_hsl(hue, SATURATION, lightness);
            if color.contrast_with_white() >= LEAST_CONTRAST {
                return color;
            }
            // Black, the end of this road, has a contrast of 21.
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
                color.contrast_with_white() >= LEAST_CONTRAST,
                "{hue}: {color}"
            );
        }
        assert!(Color::GRAY.contrast_with_white() >= LEAST_CONTRAST);
    }

    #[test]
    fn the_primary_hues_come_out_as_such() {
        assert_eq!(Color::from_hsl(0.0, 1.0, 0.5).to_string(), "#ff0000");
        assert_eq!(Color::from_hsl(120.0, 1.0, 0.5).to_string(), "#00ff00");
        assert_eq!(Color::from_hsl(240.0, 1.0, 0.5).to_string(), "#0000ff");
    }
}
