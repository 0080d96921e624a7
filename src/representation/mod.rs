//! A face as bytes and headers. [`Renderer`] chooses the body of a reply: the original picture, a variant
//! of it (another size or format), or a placeholder.

mod cache_status;
mod headers;
pub(crate) mod openapi;
pub(crate) mod problems;
mod variant;
pub(crate) mod view;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

pub(crate) use headers::{HeaderPolicy, add_retry_after, etag};
use view::{View, WithoutPicture};

use crate::{
    avatar::{Key, Subject},
    clock::Timestamp,
    http::access_log::RequestLog,
    images::{
        self, CachedVariant, Fonts, Original, PlaceholderSpec, Thumbnailer, Variant, VariantSpec,
    },
    pipeline::{Instance, ServedFace},
    server::Reply,
};

/// The size of a placeholder where the URL gives none; WhatsApp's pictures have it.
const PLACEHOLDER_SIZE: u16 = 640;

/// A request for a face, as far as the reply depends on it.
#[derive(Debug)]
pub(crate) struct FaceRequest {
    pub(crate) instance: Arc<Instance>,
    pub(crate) subject: Subject,
    pub(crate) view: View,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
}

/// Makes replies of faces.
#[derive(Clone, Debug)]
pub(crate) struct Renderer {
    thumbnailer: Thumbnailer,
    policy: HeaderPolicy,
}

/// The body of a reply.
#[derive(Debug)]
pub(crate) struct Representation {
    content: Content,
    /// Whether `Accept` was looked at.
    varies: bool,
}

#[derive(Debug)]
enum Content {
    /// The picture as the vendor sent it.
    Original,
    /// Another size or format of the picture or the placeholder.
    Variant(Arc<Variant>),
    /// The placeholder in SVG.
    Placeholder(Bytes),
    /// No image: 404.
    Nothing,
}

/// The result of choosing a body.
#[derive(Debug)]
pub(crate) enum Rendering {
    /// The body can be sent.
    Ready(Representation),
    /// The body is a variant that is not cached. [`Renderer::make`] makes it.
    Pending(PendingVariant),
}

/// A variant to be made.
#[derive(Debug)]
pub(crate) struct PendingVariant {
    original: Original,
    spec: VariantSpec,
    /// The body if the variant cannot be made.
    otherwise: Representation,
}

impl Renderer {
    pub(crate) fn new(thumbnailer: Thumbnailer, policy: HeaderPolicy) -> Self {
        Self {
            thumbnailer,
            policy,
        }
    }

    /// Chooses the body for `face`, or a placeholder without it. Draws a placeholder at most once.
    pub(crate) fn choose(&self, face: Option<&ServedFace>, request: &FaceRequest) -> Rendering {
        let (original, spec, otherwise) = match choose(face, request) {
            (Some((original, spec)), otherwise) => (original, spec, otherwise),
            (None, representation) => return Rendering::Ready(representation),
        };
        match self.thumbnailer.get_cached(&original, spec) {
            Some(CachedVariant::Ready(variant)) => {
                Rendering::Ready(otherwise.replaced_by(Some(variant)))
            }
            Some(CachedVariant::Impossible) => Rendering::Ready(otherwise),
            None => Rendering::Pending(PendingVariant {
                original,
                spec,
                otherwise,
            }),
        }
    }

    /// Makes the variant, or else falls back to the image that it would have been made from.
    pub(crate) async fn make(&self, pending: PendingVariant) -> Representation {
        let PendingVariant {
            original,
            spec,
            otherwise,
        } = pending;
        otherwise.replaced_by(self.thumbnailer.make(original, spec).await)
    }

    /// The reply; without `face`, for a placeholder that ignores the picture (`f=y`).
    pub(crate) fn reply(
        &self,
        face: Option<&ServedFace>,
        representation: &Representation,
        request: &FaceRequest,
        now: Timestamp,
        log: &mut RequestLog,
    ) -> Reply {
        let writer = headers::Writer {
            request,
            representation,
            policy: &self.policy,
            now,
        };
        match face {
            Some(face) => writer.face(face, log),
            None => writer.forced_placeholder(log),
        }
    }
}

impl Representation {
    fn replaced_by(self, variant: Option<Arc<Variant>>) -> Self {
        Self {
            content: variant.map_or(self.content, Content::Variant),
            ..self
        }
    }
}

/// Chooses an image that can be sent at once, and the variant of it that the request prefers.
fn choose(
    face: Option<&ServedFace>,
    request: &FaceRequest,
) -> (Option<(Original, VariantSpec)>, Representation) {
    let view = &request.view;
    if let Some(stored) = face.and_then(ServedFace::picture) {
        let choice = variant::of_picture(view, &request.headers, &stored.picture);
        let variant = choice
            .variant
            .map(|spec| (Original::Picture(stored.picture.clone()), spec));
        let representation = Representation {
            content: Content::Original,
            varies: choice.varies,
        };
        return (variant, representation);
    }
    let WithoutPicture::Placeholder(style) = view.without_picture else {
        let representation = Representation {
            content: Content::Nothing,
            varies: false,
        };
        return (None, representation);
    };
    let choice = variant::of_placeholder(view, &request.headers);
    let key = Key::new(request.instance.name(), &request.subject);
    let spec = PlaceholderSpec {
        key: &key,
        subject: &request.subject,
        name: view.name.as_deref(),
        look: view.look,
    };
    let size = view.size.unwrap_or(PLACEHOLDER_SIZE);
    let fonts = match choice.variant {
        Some(_) => Fonts::Embedded,
        None => Fonts::Client,
    };
    let svg = Bytes::from(images::draw_placeholder(style, spec, size, fonts));
    let variant = choice.variant.map(|format| {
        let edge = Some(size);
        (
            Original::Placeholder(svg.clone()),
            VariantSpec { edge, format },
        )
    });
    let representation = Representation {
        content: Content::Placeholder(svg),
        varies: choice.varies,
    };
    (variant, representation)
}
