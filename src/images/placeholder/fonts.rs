//! The embedded fonts, so that a placeholder in pixels looks the same everywhere. `fonts/build.py` makes
//! them.

use std::{
    io::Read,
    sync::{Arc, LazyLock},
};

use flate2::read::ZlibDecoder;
use resvg::usvg::fontdb;
use skrifa::{
    FontRef, MetadataProvider,
    instance::{LocationRef, Size},
};

use super::script;

/// Letters that names begin with. Compressed, as most servers never render one.
const PACKED: &[u8] = include_bytes!("fonts/fonts.zz");

static FONTS: LazyLock<Vec<Arc<[u8]>>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    // The stream is part of the binary, so it is complete.
    let _ = ZlibDecoder::new(PACKED).read_to_end(&mut bytes);
    let mut fonts = Vec::new();
    let mut rest = &bytes[..];
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((font, after)) = after.split_at_checked(length) else {
            break;
        };
        fonts.push(Arc::from(font));
        rest = after;
    }
    fonts
});

/// The fonts as the renderer wants them; it parses their tables once.
pub(super) static DATABASE: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for font in FONTS.iter() {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(font.clone())));
    }
    Arc::new(fonts)
});

/// The letter as the fonts can draw it: of a combined emoji, its first character; of another letter, without the
/// marks that its font lacks. `None` if no font has its first character.
pub(super) fn restrict(letter: &str) -> Option<String> {
    let first = letter.chars().next()?;
    let fonts = FONTS.iter().filter_map(|font| FontRef::new(font).ok());
    let covering = fonts
        .map(|font| font.charmap())
        .find(|letters| letters.map(first).is_some())?;
    if script::is_pictograph(first) {
        return Some(first.to_string());
    }
    let is_covered = |character: &char| covering.map(*character).is_some();
    Some(letter.chars().filter(is_covered).collect())
}

/// The width of the letters in these fonts, in units of the font's size.
pub(super) fn width(letters: &str) -> f32 {
    let fonts: Vec<_> = FONTS
        .iter()
        .filter_map(|font| FontRef::new(font).ok())
        .map(|font| {
            let metrics = font.glyph_metrics(Size::new(1.0), LocationRef::default());
            (font.charmap(), metrics)
        })
        .collect();
    let width = |letter: char| {
        fonts
            .iter()
            .find_map(|(glyphs, metrics)| metrics.advance_width(glyphs.map(letter)?))
    };
    letters.chars().filter_map(width).sum()
}
