//! Initials on a colored background.

use unicode_segmentation::UnicodeSegmentation;

use super::{
    color::Color,
    fonts, letters, script, silhouette,
    spec::{Fonts, PlaceholderSpec},
};

/// The radius that the letters keep inside of, on a drawing that is 100 wide.
const DISC: f32 = 45.0;

/// Draws the initials on the face's color, or a silhouette where there are no letters.
pub(super) fn draw(spec: &PlaceholderSpec<'_>, fonts: Fonts) -> String {
    let color = spec.background(Color::of_face(spec.key));
    let is_single = spec.look.single;
    let given = spec
        .initials
        .map(|text| letters::given(text, is_single, fonts));
    let of_name = || {
        spec.name
            .map(|name| letters::of_name(name, is_single, fonts))
    };
    let letters = match given {
        Some(given) if !given.is_empty() => given,
        _ => of_name().unwrap_or_default(),
    };
    if letters.is_empty() {
        return silhouette::draw(color, spec);
    }
    let size = font_size(&letters, fonts);
    let weight = if spec.look.bold { 700 } else { 500 };
    format!(
        concat!(
            r#"{}<text x="50" y="50" dy="0.36em" text-anchor="middle" fill="{}" font-size="{}" "#,
            r#"font-weight="{}" font-family="system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif">{}</text>"#
        ),
        color.fill(),
        spec.foreground(color),
        size,
        weight,
        escape_xml(&letters)
    )
}

/// The largest font size with which the letters stay inside the disc.
fn font_size(letters: &str, fonts: Fonts) -> f32 {
    let count = letters.graphemes(true).count();
    let most = match count {
        1 => 50.0,
        2 => 42.0,
        _ => 34.0,
    };
    let width: f32 = match fonts {
        Fonts::Client => letters.graphemes(true).map(script::typical_width).sum(),
        Fonts::Embedded => fonts::width(letters),
    };
    // The letters are a box of this width, and half of their size above and below the middle.
    (DISC / (width / 2.0).hypot(0.5)).floor().min(most)
}

fn escape_xml(text: &str) -> String {
    text.chars()
        // XML 1.0 allows no control characters, not even escaped.
        .filter(|character| !character.is_control())
        .map(|character| match character {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            character => character.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        avatar::{Key, Subject},
        images::PlaceholderLook,
    };

    proptest! {
        #[test]
        fn no_name_can_add_markup_to_the_svg(name in "\\PC{0,40}") {
            let subject: Subject = "628123".parse().unwrap();
            let key = Key::new("sales", &subject);
            let look = PlaceholderLook::default();
            let spec = PlaceholderSpec { key: &key, subject: &subject, name: Some(&name), initials: Some(&name), look };
            let svg = draw(&spec, Fonts::Client);
            let text = svg.split_once("<text").map_or("", |(_, text)| text);
            prop_assert!(text.matches('<').count() <= 1, "{}", svg);
        }
    }
}
