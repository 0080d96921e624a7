//! The embedded fonts, so that a placeholder in pixels looks the same everywhere. `fonts/build.py` makes
//! them.

use std::{
    io::Read,
    sync::{Arc, LazyLock},
};

use flate2::read::ZlibDecoder;
use resvg::usvg::fontdb;
use skrifa::{FontRef, MetadataProvider};
use unicode_segmentation::UnicodeSegmentation;

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

/// The letters as the fonts can draw them: of a combined emoji, its first character. Empty if the fonts
/// lack a letter.
pub(super) fn restrict(letters: &str) -> String {
    let simplify = |grapheme: &str| match grapheme.chars().next() {
        Some(first) if script::is_pictograph(first) => first.to_string(),
        _ => grapheme.to_owned(),
    };
    let letters: String = letters.graphemes(true).map(simplify).collect();
    let is_covered = |letter: char| {
        let fonts = FONTS.iter().filter_map(|font| FontRef::new(font).ok());
        let has_it = |font: FontRef<'_>| font.charmap().map(letter).is_some();
        letter == script::NON_JOINER || fonts.into_iter().any(has_it)
    };
    if letters.chars().all(is_covered) {
        letters
    } else {
        String::new()
    }
}
