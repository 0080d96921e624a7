//! Pictures that Faceplate draws itself, for faces that have none, and pictures made from other ones:
//! smaller, or in another format.

mod color;
mod derive;
mod identicon;
mod initials;
mod raster;
mod silhouette;
mod spare;
mod studio;

pub use color::Color;
pub use derive::{Derived, Format, Variant};
pub use studio::{Original, Studio};

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
    /// What the URL says about the drawing.
    pub look: Look,
}

/// How a drawing is to look; the names are those of ui-avatars.com.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The ground; by default a color of the face's own.
    pub background: Option<Color>,
    /// Letters, figure or pattern; by default black or white, whichever is easier to read.
    pub color: Option<Color>,
    /// A disc instead of a square.
    pub rounded: bool,
    /// One initial instead of two.
    pub single: bool,
    /// Heavier letters.
    pub bold: bool,
}

/// Whose fonts a drawing's letters are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fonts {
    /// The reader's.
    Theirs,
    /// Ours: letters that they lack are not drawn.
    Ours,
}

/// Draws an SVG of `size` pixels square.
pub fn draw(style: Style, sitter: Sitter<'_>, size: u16, fonts: Fonts) -> String {
    let inside = match style {
        Style::Initials => initials::draw(&sitter, fonts),
        Style::Mp => silhouette::draw(sitter.ground(Color::GRAY), &sitter),
        Style::Identicon => identicon::draw(&sitter),
        Style::Blank => match sitter.look.background {
            Some(color) => ground(color),
            None => String::new(),
        },
    };
    let (open, close) = if sitter.look.rounded {
        (
            r#"<clipPath id="disc"><circle cx="50" cy="50" r="50"/></clipPath><g clip-path="url(#disc)">"#,
            "</g>",
        )
    } else {
        ("", "")
    };
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 100 100">{open}{inside}{close}</svg>"#
    )
}

fn ground(color: Color) -> String {
    format!(r#"<rect width="100" height="100" fill="{color}"/>"#)
}

impl Sitter<'_> {
    fn ground(&self, default: Color) -> Color {
        self.look.background.unwrap_or(default)
    }

    /// What is drawn on `ground`.
    fn ink(&self, ground: Color) -> Color {
        self.look.color.unwrap_or(ground.ink())
    }

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
            look: Look::default(),
        };
        draw(style, sitter, 96, Fonts::Theirs)
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
