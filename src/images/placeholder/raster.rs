//! Renders a placeholder's SVG to pixels.

use std::sync::{Arc, OnceLock};

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree},
};

use super::{
    draw::draw_placeholder,
    fonts,
    spec::{Fonts, PlaceholderLook, PlaceholderSpec, PlaceholderStyle},
};
use crate::{
    avatar::{Key, Kind, Subject},
    images::{
        encode::Pixels,
        variant::{Format, TranscodeError, Variant, VariantSpec},
    },
};

/// The edge of the silhouettes that are kept.
const READY_EDGE: u16 = 256;

/// The silhouette for a face of this kind as a PNG, in the neutral colors of `d=mp`. Each is drawn once, so
/// it can be sent when there is too much work to draw anything else.
pub fn ready_silhouette(subject: &Subject) -> Option<Arc<Variant>> {
    static PERSON: OnceLock<Option<Arc<Variant>>> = OnceLock::new();
    static GROUP: OnceLock<Option<Arc<Variant>>> = OnceLock::new();
    static CHANNEL: OnceLock<Option<Arc<Variant>>> = OnceLock::new();
    let key = Key::new("", subject);
    let spec = PlaceholderSpec {
        key: &key,
        subject,
        name: None,
        initials: None,
        look: PlaceholderLook::default(),
    };
    let ready = match spec.kind() {
        Kind::Contact | Kind::Lid => &PERSON,
        Kind::Group => &GROUP,
        Kind::Newsletter => &CHANNEL,
    };
    let draw = || {
        let svg = draw_placeholder(PlaceholderStyle::Mp, spec, READY_EDGE, Fonts::Embedded);
        let edge = Some(READY_EDGE);
        let format = Format::Png;
        let drawn = render(svg.as_bytes(), VariantSpec { edge, format }).ok();
        drawn.map(|silhouette| Arc::new(silhouette.repack()))
    };
    ready.get_or_init(draw).clone()
}

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
    let has_alpha = samples
        .as_chunks::<4>()
        .0
        .iter()
        .any(|pixel| pixel[3] < 255);
    Pixels::new(size.width(), size.height(), samples, has_alpha).encode(spec.format)
}
