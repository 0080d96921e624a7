//! A face as bytes and headers. [`Renderer`] chooses the body of a reply: the original picture, a variant
//! of it (another size or format), or a placeholder.

mod cache_status;
mod headers;
pub(crate) mod openapi;
pub(crate) mod problems;
mod variant;
pub(crate) mod view;

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};

pub(crate) use cache_status::DEFERRED;
pub(crate) use headers::{HeaderPolicy, add_retry_after, cross_origin, etag};
use view::{View, WithoutPicture};

use crate::{
    avatar::{Key, Subject},
    clock::Timestamp,
    http::access_log::RequestLog,
    images::{
        self, Asker, Fonts, Original, PlaceholderCache, PlaceholderSpec, Thumbnailer, Variant,
        VariantError, VariantResult, VariantSpec,
    },
    pipeline::{Instance, ServedFace},
    server::Reply,
};

/// The size of a placeholder where the URL gives none; WhatsApp's pictures have it.
const PLACEHOLDER_SIZE: u16 = 640;
/// The parameters whose values are unknown.
const IGNORED: HeaderName = HeaderName::from_static("x-faceplate-ignored");

/// A request for a face, as far as the reply depends on it.
#[derive(Debug)]
pub(crate) struct FaceRequest {
    pub(crate) instance: Arc<Instance>,
    pub(crate) subject: Subject,
    pub(crate) view: View,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// Whether it demands that the vendor is asked: no cache may answer the next one.
    pub(crate) is_refresh: bool,
    pub(crate) sharing: Sharing,
    /// The address that the client's limits are kept under; `None` for clients without limits.
    pub(crate) client: Option<IpAddr>,
}

/// Who may store a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Any cache: the request needed no credential.
    Public,
    /// The client alone: a credential let the request in.
    Private,
}

/// Makes replies of faces.
#[derive(Clone, Debug)]
pub(crate) struct Renderer {
    thumbnailer: Thumbnailer,
    placeholders: Arc<PlaceholderCache>,
    policy: HeaderPolicy,
}

/// The body of a reply.
#[derive(Debug)]
pub(crate) struct Representation {
    content: Content,
    /// Whether `Accept` decided, so that the reply has `Vary: Accept`.
    varies: bool,
    /// Why this is sent in place of the variant that the request is for.
    stands_in: Option<VariantError>,
}

#[derive(Debug)]
enum Content {
    /// The picture as the vendor sent it, without its metadata.
    Original,
    /// Another size or format of the picture.
    Variant(Arc<Variant>),
    /// The placeholder in SVG.
    Placeholder(Bytes),
    /// The placeholder as pixels.
    RasterPlaceholder(Arc<Variant>),
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
            placeholders: Arc::default(),
            policy,
        }
    }

    /// Chooses the body for `face`, or a placeholder without it.
    pub(crate) fn choose(&self, face: Option<&ServedFace>, request: &FaceRequest) -> Rendering {
        let Some(stored) = face.and_then(ServedFace::picture) else {
            return self.choose_placeholder(request, None);
        };
        let choice = variant::of_picture(&request.view, &request.headers, &stored.picture);
        let original = Representation::new(Content::Original, choice.varies);
        match choice.variant {
            Some(spec) => self.variant_of(
                Original::Picture(stored.picture.clone()),
                spec,
                original,
                request,
            ),
            // The original has the size, but browsers cannot show it either.
            None if request.view.size.is_some()
                && self.thumbnailer.is_undecodable(&stored.picture) =>
            {
                self.choose_placeholder(request, Some(VariantError::Undecodable))
            }
            None => Rendering::Ready(original),
        }
    }

    /// Chooses a placeholder, which may stand in for a picture.
    fn choose_placeholder(
        &self,
        request: &FaceRequest,
        stands_in: Option<VariantError>,
    ) -> Rendering {
        let view = &request.view;
        let WithoutPicture::Placeholder(style) = view.without_picture else {
            let nothing = Representation::new(Content::Nothing, false);
            return Rendering::Ready(Representation {
                stands_in,
                ..nothing
            });
        };
        let choice = variant::of_placeholder(view, &request.headers);
        let key = request.key();
        let spec = PlaceholderSpec {
            key: &key,
            subject: &request.subject,
            name: view.name.as_deref(),
            initials: view.initials.as_deref(),
            look: view.look,
        };
        let size = view.size.unwrap_or(PLACEHOLDER_SIZE);
        let fonts = match choice.variant {
            Some(_) => Fonts::Embedded,
            None => Fonts::Client,
        };
        let drawn = self.placeholders.get_or_draw(style, spec, size, fonts);
        let placeholder = Representation {
            content: Content::Placeholder(drawn.svg.clone()),
            varies: choice.varies,
            stands_in,
        };
        match choice.variant {
            Some(format) => {
                let edge = Some(size);
                let spec = VariantSpec { edge, format };
                self.variant_of(Original::Placeholder(drawn), spec, placeholder, request)
            }
            None => Rendering::Ready(placeholder),
        }
    }

    /// The variant if it is cached, or what stands in for it if that is known.
    fn variant_of(
        &self,
        original: Original,
        spec: VariantSpec,
        otherwise: Representation,
        request: &FaceRequest,
    ) -> Rendering {
        match self.thumbnailer.get_cached(&original, spec) {
            Some(made) => self.settle(made, otherwise, request),
            None => Rendering::Pending(PendingVariant {
                original,
                spec,
                otherwise,
            }),
        }
    }

    /// Makes the variant, or else falls back to the image that it would have been made from.
    pub(crate) async fn make(
        &self,
        mut pending: PendingVariant,
        request: &FaceRequest,
        log: &RequestLog,
    ) -> Representation {
        let asker = Asker {
            client: request.client,
            request: log.id(),
            key: request.key(),
        };
        // In a second round, the placeholder of a picture that cannot be decoded is made.
        loop {
            let PendingVariant {
                original,
                spec,
                otherwise,
            } = pending;
            let made = self.thumbnailer.make(original, spec, asker).await;
            match self.settle(made, otherwise, request) {
                Rendering::Ready(representation) => return representation,
                Rendering::Pending(next) => pending = next,
            }
        }
    }

    /// The variant, or what stands in for it.
    fn settle(
        &self,
        made: VariantResult,
        otherwise: Representation,
        request: &FaceRequest,
    ) -> Rendering {
        let unavailable = match made {
            Ok(variant) => return Rendering::Ready(otherwise.replaced_by(variant)),
            Err(unavailable) => unavailable,
        };
        match otherwise.content {
            Content::Original if unavailable == VariantError::Undecodable => {
                self.choose_placeholder(request, Some(unavailable))
            }
            _ => Rendering::Ready(otherwise.standing_in(unavailable, request)),
        }
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
        let mut reply = match face {
            Some(face) => writer.face(face, log),
            None => writer.forced_placeholder(log),
        };
        let ignored = &request.view.ignored;
        if !ignored.is_empty() {
            reply.headers.add(IGNORED, &ignored.join(", "));
        }
        reply
    }
}

impl FaceRequest {
    /// The key that gives the placeholder its color; all names of a person have the same.
    fn key(&self) -> Key {
        let person = self.instance.person(self.subject);
        Key::new(self.instance.name(), &person)
    }
}

impl Representation {
    fn new(content: Content, varies: bool) -> Self {
        Self {
            content,
            varies,
            stands_in: None,
        }
    }

    fn replaced_by(self, variant: Arc<Variant>) -> Self {
        let content = match self.content {
            Content::Original => Content::Variant(variant),
            _ => Content::RasterPlaceholder(variant),
        };
        Self { content, ..self }
    }

    /// The representation in place of a variant of this one: a picture as it is, and an SVG for clients that name
    /// SVG in `Accept`. Other clients get a silhouette that is drawn once.
    fn standing_in(self, why: VariantError, request: &FaceRequest) -> Self {
        let stands_in = self.stands_in.or(Some(why));
        match self.content {
            Content::Placeholder(_) => Self {
                content: match variant::names_svg(&request.headers) {
                    true => self.content,
                    false => match images::ready_silhouette(&request.subject) {
                        Some(silhouette) => Content::RasterPlaceholder(silhouette),
                        None => self.content,
                    },
                },
                varies: true,
                stands_in,
            },
            _ => Self { stands_in, ..self },
        }
    }

    /// Whether it shows the face's picture, in any size or format.
    fn is_picture(&self) -> bool {
        matches!(self.content, Content::Original | Content::Variant(_))
    }
}
