//! A five by five pattern, mirrored, from the face's key.

use std::fmt::Write;

use super::{Color, Sitter, ground};

/// The pattern of a face in its color on a light ground.
pub(super) fn draw(sitter: &Sitter<'_>) -> String {
    const CELL: usize = 16;
    const MARGIN: usize = 10;

    let bits = u128::from_be_bytes(*sitter.key.as_bytes());
    let color = sitter.look.color.unwrap_or(Color::of(sitter.key));
    let ground = ground(sitter.ground(Color::PALE));
    let mut svg = format!(r#"{ground}<g fill="{color}" shape-rendering="crispEdges">"#);
    for row in 0..5 {
        for column in 0..5 {
            // Columns 3 and 4 mirror 1 and 0; the low bits are not those that chose the color.
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
