//! The silhouette of a person, a group or a channel.

use super::{color::Color, spec::PlaceholderSpec};
use crate::avatar::Kind;

/// Draws the silhouette for the face's kind on a background.
pub(super) fn draw(background: Color, spec: &PlaceholderSpec<'_>) -> String {
    let figure = match spec.kind() {
        Kind::Contact | Kind::Lid => {
            r#"<circle cx="50" cy="39" r="17"/><path d="M14 100a36 36 0 0 1 72 0z"/>"#
        }
        Kind::Group => concat!(
            r#"<g opacity=".7"><circle cx="29" cy="43" r="11"/><path d="M5 92a24 24 0 0 1 48 0z"/>"#,
            r#"<circle cx="71" cy="43" r="11"/><path d="M47 92a24 24 0 0 1 48 0z"/></g>"#,
            r#"<circle cx="50" cy="42" r="14"/><path d="M20 100a30 30 0 0 1 60 0z"/>"#
        ),
        Kind::Newsletter => {
            r#"<path d="M22 42h16l30-18v52L38 58H22z"/><path d="M32 60h12l4 20H36z"/>"#
        }
    };
    let foreground = spec.foreground(background);
    let background = background.fill();
    format!(r#"{background}<g fill="{foreground}" fill-opacity=".9">{figure}</g>"#)
}
