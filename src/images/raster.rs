//! Drawings as pixels, with fonts of our own, so that they look the same everywhere. See `fonts/`.

use std::{
    io::Read,
    sync::{Arc, LazyLock},
};

use flate2::read::ZlibDecoder;
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb},
};
use skrifa::{FontRef, MetadataProvider};
use unicode_segmentation::UnicodeSegmentation;

use super::{
    derive::{Canvas, Derived, Underivable, Variant},
    initials,
};

/// Letters that names begin with, packed by `fonts/build.py`: most servers never draw one.
const PACKED: &[u8] = include_bytes!("fonts/fonts.zz");

static FONTS: LazyLock<Vec<Arc<[u8]>>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    // What is in the binary is whole.
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

/// The same for the renderer, which reads their tables once.
static DATABASE: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for font in FONTS.iter() {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(font.clone())));
    }
    Arc::new(fonts)
});

/// The letters that our fonts have; none, if they lack one. Of an emoji made of several, the first.
pub(super) fn drawable(letters: &str) -> String {
    let plain = |grapheme: &str| match grapheme.chars().next() {
        Some(first) if initials::is_pictograph(first) => first.to_string(),
        _ => grapheme.to_owned(),
    };
    let letters: String = letters.graphemes(true).map(plain).collect();
    let is_there = |letter: char| {
        let fonts = FONTS.iter().filter_map(|font| FontRef::new(font).ok());
        let has_it = |font: FontRef<'_>| font.charmap().map(letter).is_some();
        letter == initials::NON_JOINER || fonts.into_iter().any(has_it)
    };
    if letters.chars().all(is_there) {
        letters
    } else {
        String::new()
    }
}

/// The pixels of `svg`, which is one of our own.
pub(super) fn render(svg: &[u8], variant: Variant) -> Result<Derived, Underivable> {
    let options = Options {
        font_family: "Noto Sans".to_owned(),
        fontdb: DATABASE.clone(),
        ..Options::default()
    };
    let tree =
        Tree::from_data(svg, &options).map_err(|error| Underivable::Draw(error.to_string()))?;
    let size = tree.size().to_int_size();
    let mut pixels = Pixmap::new(size.width(), size.height())
        .ok_or_else(|| Underivable::Draw("it has no size".into()))?;
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    let samples = pixels.take_demultiplied();
    let has_alpha = samples.chunks_exact(4).any(|pixel| pixel[3] < 255);
    let canvas = Canvas::new(size.width(), size.height(), samples, has_alpha);
    canvas.derived(variant.format)
}
