//! An identicon: a mirrored pattern of five by five cells, from the face's key.

use std::fmt::Write;

use super::{color::Color, spec::PlaceholderSpec};

/// Draws the face's pattern in the face's color on a light background.
pub(super) fn draw(spec: &PlaceholderSpec<'_>) -> String {
    const CELL: usize = 16;
    const MARGIN: usize = 10;

    let bits = u128::from_be_bytes(*spec.key.as_bytes());
    let color = spec.look.foreground.unwrap_or(Color::of_face(spec.key));
    let background = spec.background(Color::PALE).fill();
    let mut svg = format!(r#"{background}<g fill="{color}" shape-rendering="crispEdges">"#);
    for row in 0..5 {
        for column in 0..5 {
            // Columns 3 and 4 mirror 1 and 0. `Color::of_face` uses the high bits, the pattern the low ones.
            let bit = row * 3 + if column < 3 { column } else { 4 - column };
            if bits >> bit & 1 == 1 {
                let (x, y) = (MARGIN + column * CELL, MARGIN + row * CELL);
                // Writing to a `String` cannot fail.
                let _ = write!(svg, r#"<path d="M{x} {y}h{CELL}v{CELL}h-{CELL}z"/>"#);
            }
        }
    }
    svg.push_str("</g>");
    svg
}
