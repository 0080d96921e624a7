//! `/avatar/{instance}/{jid}`: always an image, unless the request is wrong or says `d=404`.
//!
//! [`Public::try_avatar`] answers if nothing has to be waited for, and else says what is missing.
//! [`Public::finish_avatar`] waits for that and continues from there.

use super::{Error, request::AvatarRequest, service::Public};
use crate::{
    avatar::Subject,
    clock::Timestamp,
    http::access_log::RequestLog,
    pipeline::{LookUp, PendingLookUp, Requester, ServedFace},
    representation::{PendingVariant, Rendering, Representation},
    server::Reply,
};

/// The result of trying to answer at once.
pub(crate) enum Attempt {
    /// The reply.
    Reply(Reply),
    /// Something has to be waited for.
    Pending(Pending),
}

/// What a request waits for.
pub(crate) enum Pending {
    /// The face.
    Face(Box<PendingLookUp>),
    /// A variant of the picture, or of the placeholder where there is no face.
    Variant {
        face: Option<ServedFace>,
        variant: PendingVariant,
        now: Timestamp,
    },
}

impl Public {
    /// Answers from memory, which is the path of a hit: no task, no future, no lock across an await.
    pub(super) fn try_avatar(
        &self,
        request: &AvatarRequest,
        log: &mut RequestLog,
    ) -> Result<Attempt, Error> {
        let AvatarRequest {
            face: wanted,
            ask,
            now,
            ..
        } = request;
        let now = *now;
        let is_faceless = matches!(wanted.subject, Subject::Faceless(_));
        let face = if is_faceless || wanted.view.force_default {
            None
        } else {
            let faces = &self.faces;
            let requester = Requester {
                client: wanted.client,
                request: log.id(),
            };
            match faces.try_look_up(&wanted.instance, wanted.subject, *ask, requester, now)? {
                LookUp::Ready(face) => Some(face),
                LookUp::Pending(look_up) => {
                    return Ok(Attempt::Pending(Pending::Face(look_up)));
                }
            }
        };
        Ok(match self.renderer.choose(face.as_ref(), wanted) {
            Rendering::Ready(representation) => {
                let reply = self.reply(face.as_ref(), &representation, request, now, log);
                Attempt::Reply(reply)
            }
            Rendering::Pending(variant) => {
                Attempt::Pending(Pending::Variant { face, variant, now })
            }
        })
    }

    /// Waits for `pending`, and answers.
    pub(super) async fn finish_avatar(
        &self,
        request: &AvatarRequest,
        pending: Pending,
        log: &mut RequestLog,
    ) -> Result<Reply, Error> {
        let wanted = &request.face;
        let (face, representation, now) = match pending {
            Pending::Face(look_up) => {
                let face = self.faces.finish_look_up(look_up, request.wait).await?;
                // Waiting took time, and ages count from the end of it.
                let now = self.faces.now();
                let representation = match self.renderer.choose(Some(&face), wanted) {
                    Rendering::Ready(representation) => representation,
                    Rendering::Pending(variant) => self.renderer.make(variant, wanted, log).await,
                };
                (Some(face), representation, now)
            }
            Pending::Variant { face, variant, now } => {
                (face, self.renderer.make(variant, wanted, log).await, now)
            }
        };
        Ok(self.reply(face.as_ref(), &representation, request, now, log))
    }

    fn reply(
        &self,
        face: Option<&ServedFace>,
        representation: &Representation,
        request: &AvatarRequest,
        now: Timestamp,
        log: &mut RequestLog,
    ) -> Reply {
        self.renderer
            .reply(face, representation, &request.face, now, log)
    }
}
