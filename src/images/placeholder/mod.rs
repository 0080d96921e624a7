//! Placeholders: the images shown for faces without a picture. An SVG is drawn from the face's key, its
//! kind and a name, and rendered to pixels for clients that do not take SVG.
//!
//! # Files
//!
//! * `spec`: the style, the face and the look
//! * `letters`: the letters of a name
//! * `script`: facts about writing systems
//! * `fonts`: the embedded fonts
//! * `color`: colors, and their contrast
//! * `initials`: draws initials
//! * `draw`: draws a placeholder of any style
//! * `silhouette`: draws a person, a group or a channel
//! * `identicon`: draws a pattern
//! * `raster`: renders the SVG to pixels
//! * `drawn`: the placeholders that were drawn last

mod color;
mod draw;
mod drawn;
mod fonts;
mod identicon;
mod initials;
mod letters;
pub(super) mod raster;
mod script;
mod silhouette;
mod spec;

pub use color::Color;
pub use draw::draw_placeholder;
pub use drawn::{DrawnPlaceholder, PlaceholderCache};
pub use raster::ready_silhouette;
pub use spec::{Fonts, PlaceholderLook, PlaceholderSpec, PlaceholderStyle};
