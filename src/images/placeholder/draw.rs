//! Draws a placeholder of any style.

use super::{
    color::Color,
    identicon, initials, silhouette,
    spec::{Fonts, PlaceholderSpec, PlaceholderStyle},
};

/// Draws a placeholder as an SVG of `size` by `size` pixels.
pub fn draw_placeholder(
    style: PlaceholderStyle,
    spec: PlaceholderSpec<'_>,
    size: u16,
    fonts: Fonts,
) -> String {
    let content = match style {
        PlaceholderStyle::Initials => initials::draw(&spec, fonts),
        PlaceholderStyle::Mp => silhouette::draw(spec.background(Color::GRAY), &spec),
        PlaceholderStyle::Identicon => identicon::draw(&spec),
        PlaceholderStyle::Blank => match spec.look.background {
            Some(color) => color.fill(),
            None => String::new(),
        },
    };
    let (open, close) = if spec.look.rounded {
        (
            r#"<clipPath id="disc"><circle cx="50" cy="50" r="50"/></clipPath><g clip-path="url(#disc)">"#,
            "</g>",
        )
    } else {
        ("", "")
    };
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 100 100">{open}{content}{close}</svg>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{avatar::Key, images::PlaceholderLook};

    fn placeholder(style: PlaceholderStyle, jid: &str, name: Option<&str>) -> String {
        let subject = jid.parse().unwrap();
        let key = Key::new("sales", &subject);
        let spec = PlaceholderSpec {
            key: &key,
            subject: &subject,
            name,
            initials: None,
            look: PlaceholderLook::default(),
        };
        draw_placeholder(style, spec, 96, Fonts::Client)
    }

    #[test]
    fn a_placeholder_has_the_requested_size_and_is_stable_per_face() {
        for style in [
            PlaceholderStyle::Initials,
            PlaceholderStyle::Mp,
            PlaceholderStyle::Identicon,
            PlaceholderStyle::Blank,
        ] {
            let svg = placeholder(style, "628123", Some("John Doe"));
            assert!(svg.contains(r#"width="96" height="96""#));
            assert_eq!(
                svg,
                placeholder(style, "628123@s.whatsapp.net", Some("John Doe"))
            );
        }
    }

    #[test]
    fn groups_and_people_have_different_silhouettes() {
        assert_ne!(
            placeholder(PlaceholderStyle::Mp, "628123@c.us", None),
            placeholder(PlaceholderStyle::Mp, "628123@g.us", None)
        );
    }

    #[test]
    fn identicons_of_two_faces_differ() {
        assert_ne!(
            placeholder(PlaceholderStyle::Identicon, "628123", None),
            placeholder(PlaceholderStyle::Identicon, "628124", None)
        );
    }
}
