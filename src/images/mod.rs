//! Pictures that Faceplate draws itself, for faces that have none, and pictures made from other ones:
//! smaller, or in another format.

mod color;
mod derive;
mod identicon;
mod initials;
mod silhouette;
mod studio;

pub use color::Color;
pub use derive::{Derived, Format, Variant};
pub use studio::Studio;

use crate::avatar::{Key, Kind, Subject};

/// What to show where there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The initials of a given name; a silhouette where no name is given.
    Initials,
    /// A gray silhouette, "mystery person".
    Mp,
    /// A symmetric pattern, one for each face.
    Identicon,
    /// Nothing at all, transparently.
    Blank,
}

/// The subject of a drawing.
#[derive(Clone, Copy, Debug)]
pub struct Sitter<'a> {
    /// Seeds colors and patterns.
    pub key: &'a Key,
    /// A person, a group, a channel.
    pub subject: &'a Subject,
    /// A name to take initials from.
    pub name: Option<&'a str>,
}

/// Draws an SVG of `size` pixels square.
pub fn draw(style: Style, sitter: Sitter<'_>, size: u16) -> String {
    let inside = match style {
        Style::Initials => initials::draw(&sitter),
        Style::Mp => silhouette::draw(Color::GRAY, sitter.kind()),
        Style::Identicon => identicon::draw(sitter.key),
        Style::Blank => String::new(),
    };
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 100 100">{inside}</svg>"#
    )
}

impl Sitter<'_> {
    fn kind(&self) -> Kind {
        match self.subject {
            Subject::Me => Kind::Contact,
            Subject::Chat(jid) => jid.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(style: Style, jid: &str, name: Option<&str>) -> String {
        let subject = jid.parse().unwrap();
        let key = Key::new("sales", &subject);
        let sitter = Sitter {
            key: &key,
            subject: &subject,
            name,
        };
        draw(style, sitter, 96)
    }

    #[test]
    fn a_drawing_has_the_asked_size_and_is_stable_per_face() {
        for style in [Style::Initials, Style::Mp, Style::Identicon, Style::Blank] {
            let svg = drawing(style, "628123", Some("John Doe"));
            assert!(svg.contains(r#"width="96" height="96""#));
            assert_eq!(
                svg,
                drawing(style, "628123@s.whatsapp.net", Some("John Doe"))
            );
        }
    }

    #[test]
    fn groups_and_people_have_different_silhouettes() {
        assert_ne!(
            drawing(Style::Mp, "628123@c.us", None),
            drawing(Style::Mp, "628123@g.us", None)
        );
    }

    #[test]
    fn identicons_tell_faces_apart() {
        assert_ne!(
            drawing(Style::Identicon, "628123", None),
            drawing(Style::Identicon, "628124", None)
        );
    }
}
