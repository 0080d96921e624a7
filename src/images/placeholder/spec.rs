//! The description of a placeholder: its style, its face, and the look that the URL asks for.

use super::color::Color;
use crate::avatar::{Key, Kind, Subject};

/// The kind of image that stands in for a missing picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaceholderStyle {
    /// The initials of the given name; a silhouette where no name is given.
    Initials,
    /// A gray silhouette, "mystery person".
    Mp,
    /// A symmetric pattern, one for each face.
    Identicon,
    /// A transparent image.
    Blank,
}

/// The face that a placeholder is for, and how it is to look.
#[derive(Clone, Copy, Debug, Hash)]
pub struct PlaceholderSpec<'a> {
    /// Seeds colors and patterns.
    pub key: &'a Key,
    /// The silhouette depends on its kind: a person, a group, a channel.
    pub subject: &'a Subject,
    /// A name to take initials from.
    pub name: Option<&'a str>,
    /// The letters to show instead of those of the name.
    pub initials: Option<&'a str>,
    /// The look.
    pub look: PlaceholderLook,
}

/// The look that the URL asks for; its parameters are named as at ui-avatars.com.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlaceholderLook {
    /// `background`; by default a color derived from the face's key.
    pub background: Option<Color>,
    /// `color`, of the letters, the silhouette or the pattern; by default black or white, by contrast.
    pub foreground: Option<Color>,
    /// `rounded`: a disc instead of a square.
    pub rounded: bool,
    /// `length=1`: one initial instead of two.
    pub single: bool,
    /// `bold`: heavier letters.
    pub bold: bool,
}

/// The fonts that a placeholder's letters will be rendered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fonts {
    /// The client's, which renders the SVG.
    Client,
    /// The embedded ones; letters that they lack are left out.
    Embedded,
}

impl PlaceholderSpec<'_> {
    /// The background that the URL asks for, or else `default`.
    pub(super) fn background(&self, default: Color) -> Color {
        self.look.background.unwrap_or(default)
    }

    /// The color of the letters, the silhouette or the pattern on `background`.
    pub(super) fn foreground(&self, background: Color) -> Color {
        self.look.foreground.unwrap_or(background.foreground())
    }

    pub(super) fn kind(&self) -> Kind {
        match self.subject {
            Subject::Me => Kind::Contact,
            Subject::Chat(jid) => jid.kind(),
            Subject::Faceless(faceless) => faceless.kind(),
        }
    }
}
