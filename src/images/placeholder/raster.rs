//! Renders a placeholder's SVG to pixels.

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree},
};

use super::fonts;
use crate::images::{
    encode::Pixels,
    variant::{TranscodeError, Variant, VariantSpec},
};

/// Renders an SVG that `draw_placeholder` made, at its own size.
pub(in crate::images) fn render(svg: &[u8], spec: VariantSpec) -> Result<Variant, TranscodeError> {
    let options = Options {
        font_family: "Noto Sans".to_owned(),
        fontdb: fonts::DATABASE.clone(),
        ..Options::default()
    };
    let tree = Tree::from_data(svg, &options)
        .map_err(|error| TranscodeError::Render(error.to_string()))?;
    let size = tree.size().to_int_size();
    let mut pixels = Pixmap::new(size.width(), size.height())
        .ok_or_else(|| TranscodeError::Render("its size is zero".into()))?;
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    let samples = pixels.take_demultiplied();
    let has_alpha = samples.chunks_exact(4).any(|pixel| pixel[3] < 255);
    Pixels::new(size.width(), size.height(), samples, has_alpha).encode(spec.format)
}
