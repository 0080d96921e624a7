//! What is sent of a face: the picture as it came, one made from it, or a drawing.

pub(crate) mod headers;
pub(crate) mod variant;

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    avatar::Key,
    images::{self, Fonts, Original, PlaceholderSpec, Variant, VariantSpec},
    pipeline::ServedFace,
    public::route::Fallback,
};
use headers::Context;
use variant as negotiate;

/// How large a drawing is where no size is asked for: WhatsApp's pictures are as large.
const DRAWING_SIZE: u16 = 640;

/// What is sent.
pub(crate) struct Shown {
    pub(crate) what: What,
    /// Whether the client's `Accept` had a say.
    pub(crate) by_accept: bool,
}

pub(crate) enum What {
    /// The picture as it came.
    Picture,
    /// Another size or format of the picture, or of the drawing.
    Variant(Arc<Variant>),
    /// The drawing in SVG.
    Drawing(Bytes),
    /// No image.
    Nothing,
}

impl Shown {
    /// The same, unless there is something better.
    pub(crate) fn or_better(self, better: Option<Arc<Variant>>) -> Self {
        Self {
            what: better.map_or(self.what, What::Variant),
            ..self
        }
    }
}

/// What a request is for: something that can be sent as it is, and something better that may have to
/// be made first. Without `served`, the drawing.
pub(crate) fn choose(
    served: Option<&ServedFace>,
    context: &Context<'_>,
) -> (Option<(Original, VariantSpec)>, Shown) {
    let view = context.view;
    if let Some(kept) = served.and_then(ServedFace::picture) {
        let chosen = negotiate::choose(view, context.headers, &kept.picture);
        let better = chosen
            .variant
            .map(|variant| (Original::Picture(kept.picture.clone()), variant));
        let (what, by_accept) = (What::Picture, chosen.by_accept);
        return (better, Shown { what, by_accept });
    }
    let Fallback::Draw(style) = view.default else {
        let (what, by_accept) = (What::Nothing, false);
        return (None, Shown { what, by_accept });
    };
    let (format, by_accept) = negotiate::choose_drawing(view, context.headers);
    let key = Key::new(context.instance, context.subject);
    let spec = PlaceholderSpec {
        key: &key,
        subject: context.subject,
        name: view.name.as_deref(),
        look: view.look,
    };
    let size = view.size.unwrap_or(DRAWING_SIZE);
    let fonts = match format {
        Some(_) => Fonts::Embedded,
        None => Fonts::Client,
    };
    let svg = Bytes::from(images::draw_placeholder(style, spec, size, fonts));
    let better = format.map(|format| {
        let edge = Some(size);
        (
            Original::Placeholder(svg.clone()),
            VariantSpec { edge, format },
        )
    });
    let what = What::Drawing(svg);
    (better, Shown { what, by_accept })
}
