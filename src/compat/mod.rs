//! The compatibility service: the vendors' own picture calls, so that a vendor's client changes its base
//! URL and nothing else.
//!
//! The client sends its credential, which must be the configured one of the account that it names. It gets
//! the vendor's JSON with a link to this server, or the image where it accepts images only (`<img>`).
//!
//! # Files
//!
//! * `call`: a picture call of the first gateways, read from a request
//! * `endpoint`: the type that describes such a call
//! * `endpoints`: the table of them
//! * `hypersender`: Hypersender's call
//! * `wachat`: Wachat's call
//! * `waha`: WAHA's and Wappfy's calls
//! * `wawp`: Wawp's calls
//! * `described`: picture calls of gateways whose descriptions have answers
//! * `authorized_call`: a call whose credential is right, and the interface of its answers
//! * `failure`: the ways in which a call fails
//! * `relay`: WAHA's profile and list of chats, passed on with other links
//! * `body_reader`: the bodies of such calls, within bounds
//! * `openapi`: the calls in OpenAPI
//! * `described_openapi`: those of descriptions in OpenAPI

mod authorized_call;
mod body_reader;
mod call;
mod described;
mod described_openapi;
mod endpoint;
mod endpoints;
mod failure;
mod hypersender;
pub(crate) mod openapi;
mod relay;
mod wachat;
mod waha;
mod wawp;

use http::{HeaderMap, Uri, header};
use secrecy::SecretString;

use authorized_call::{Answers, AuthorizedCall};
pub(crate) use body_reader::BodyReader;
pub(crate) use call::{Call, Request};
pub(crate) use described::{DescribedPath, DescribedRequest};
use endpoint::Success;
use failure::Failure;

use crate::{
    avatar::{Ask, Empty, Subject},
    http::{Scope, SigningKey, Ticket, accept, access_log::RequestLog, problem::Problem},
    pipeline::{Demand, Faces, Instance, Instances, LookUpError, NotMade, Requester, ServedFace},
    representation::{
        self, FaceRequest, Renderer, Rendering, Sharing, openapi::IMAGES, problems, view::View,
    },
    server::Reply,
};

/// The methods of every picture call, as `Allow` lists them.
pub(crate) const METHODS: &str = "GET, HEAD";

/// The lifetime of a link, in seconds. The vendors' links are said to be good for a day.
const LINK_LIFETIME: u64 = 24 * 3600;

/// The compatibility service.
#[derive(Debug)]
pub(crate) struct Compat {
    pub(crate) faces: Faces,
    pub(crate) instances: Instances,
    pub(crate) renderer: Renderer,
    pub(crate) origin: Origin,
    /// Signs the links, where URLs have to be signed.
    pub(crate) signing_key: Option<SigningKey>,
    pub(crate) body_reader: BodyReader,
}

/// The beginning of links to this server.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The configured one.
    Fixed(String),
    /// The host of the request, under this scheme.
    OfRequest(&'static str),
}

impl Compat {
    /// Answers as the vendor would.
    pub(crate) async fn answer(&self, request: Request, log: &mut RequestLog) -> Reply {
        log.set_route("dropin");
        let mut reply = self.answer_call(request, log).await;
        // `Accept` decides between JSON and an image, for failures too.
        reply.headers.replace(header::VARY, "Accept");
        reply
    }

    async fn answer_call(&self, request: Request, log: &mut RequestLog) -> Reply {
        let call = &request.call;
        let (names, subject) = match self.authorize(call, &request.headers) {
            Ok(found) => found,
            Err(failure) => return call.failure(failure),
        };
        let [name] = names.as_slice() else {
            return refuse(described::ambiguous(), log);
        };
        let instance = match self.instances.make(name, Demand::Credential).await {
            Ok(instance) => instance,
            Err(NotMade::Unknown) => return call.failure(Failure::UnknownAccount),
            Err(NotMade::Full) => return refuse(problems::instances_full(), log),
        };
        if let Success::Relay(relay) = call.endpoint.success {
            return self.relay(relay, &instance, &request, log).await;
        }
        let call = AuthorizedCall {
            instance,
            subject,
            ask: if call.refresh {
                Ask::Refresh
            } else {
                Ask::View
            },
            method: request.method,
            uri: request.uri,
            headers: request.headers,
            client: request.client,
        };
        self.answer_face(call, &request.call, log).await
    }

    /// Answers a call whose credential is right.
    async fn answer_face(
        &self,
        call: AuthorizedCall,
        answers: &(impl Answers + Sync),
        log: &mut RequestLog,
    ) -> Reply {
        let AuthorizedCall {
            instance, subject, ..
        } = &call;
        log.set_instance(instance.name());
        let looked_up = match *subject {
            // A vendor answers so about a chat in its list that has no picture.
            Subject::Faceless(_) => Ok(None),
            subject => {
                let requester = Requester {
                    client: call.client,
                    request: log.id(),
                };
                let look_up = self.faces.look_up(instance, subject, call.ask, requester);
                look_up.await.map(Some)
            }
        };
        let face = match looked_up {
            Ok(face) => face,
            Err(LookUpError::Unsupported(_)) => return answers.failure(Failure::Malformed),
            Err(LookUpError::NoSpace) => return refuse(problems::no_space(), log),
        };
        let picture = face.as_ref().and_then(ServedFace::picture);
        let sends_image = answers.are_images() && picture.is_some();
        if sends_image || prefers_images(&call.headers) {
            let wanted = FaceRequest {
                instance: call.instance,
                subject: call.subject,
                view: View::default(),
                method: call.method,
                headers: call.headers,
                is_refresh: call.ask == Ask::Refresh,
                // The request has the vendor's credential.
                sharing: Sharing::Private,
                client: call.client,
            };
            return self.image(face.as_ref(), &wanted, log).await;
        }
        match face.as_ref().map_or(Ok(false), failure::has_picture) {
            Ok(true) => {
                let link = self.link(&call.instance, call.subject, &call.uri, &call.headers);
                answers.picture(&link, picture)
            }
            Ok(false) => answers.none(face.as_ref().map_or(Empty::Unknown, failure::reason)),
            Err(failure) => {
                let mut reply = answers.failure(failure);
                if let Some(face) = &face {
                    representation::add_retry_after(face, self.faces.now(), &mut reply.headers);
                }
                reply
            }
        }
    }

    async fn image(
        &self,
        face: Option<&ServedFace>,
        wanted: &FaceRequest,
        log: &mut RequestLog,
    ) -> Reply {
        let now = self.faces.now();
        let representation = match self.renderer.choose(face, wanted) {
            Rendering::Ready(representation) => representation,
            Rendering::Pending(variant) => self.renderer.make(variant, wanted, log).await,
        };
        self.renderer.reply(face, &representation, wanted, now, log)
    }

    /// The names of the instances whose account the call names and whose credential it has: at least one.
    fn authorize(
        &self,
        call: &Call,
        headers: &HeaderMap,
    ) -> Result<(Vec<String>, Subject), Failure> {
        if call.account.is_empty() {
            return Err(Failure::Malformed);
        }
        let provider = (call.endpoint.provider)(headers);
        // Every credential of the vendor's is compared, and only a client that knows one learns whether
        // an account exists. The names of a pattern share theirs.
        let is_credential = |secret: &SecretString| call.has_credential(headers, secret);
        let tables = self.instances.credentials(provider);
        let is_known = tables.fold(false, |is_known, secret| is_credential(secret) | is_known);
        if !is_known {
            return Err(Failure::Unauthorized);
        }
        let names = self.instances.with_account(
            &call.account,
            |instance| {
                *instance.provider().name == *provider && is_credential(&instance.account().token)
            },
            |pattern| {
                let settings = pattern.settings();
                *settings.provider.name == *provider && is_credential(&settings.token)
            },
        );
        if names.is_empty() {
            return Err(Failure::UnknownAccount);
        }
        Ok((names, call.subject()?))
    }

    /// A link to the picture, signed if URLs have to be.
    fn link(
        &self,
        instance: &Instance,
        subject: Subject,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> String {
        let origin = match &self.origin {
            Origin::Fixed(origin) => origin.clone(),
            Origin::OfRequest(scheme) => {
                let host = host(uri, headers);
                format!("{scheme}://{}", host.unwrap_or_default())
            }
        };
        let path = format!("{origin}/avatar/{}/{}", instance.name(), subject.as_str());
        let Some(key) = &self.signing_key else {
            return path;
        };
        let ticket = Ticket {
            scope: Scope::Face(subject),
            expires: self.faces.now().as_secs() + LINK_LIFETIME,
            refresh: false,
        };
        format!("{path}?{}", key.query(instance.name(), &ticket))
    }
}

/// The problem as the reply, where the vendor has no words for it.
fn refuse(problem: Problem, log: &mut RequestLog) -> Reply {
    log.set_problem(&problem);
    problem.into_reply()
}

/// The host of a request: in its URI for HTTP/2, else in `Host`.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    match uri.authority() {
        Some(authority) if uri.host().is_some() => Some(authority.to_string()),
        _ => Some(headers.get(header::HOST)?.to_str().ok()?.to_owned()),
    }
}

/// Whether the client prefers an image to JSON, as `<img>` does.
fn prefers_images(headers: &HeaderMap) -> bool {
    let weight = |media: &str| accept::weight(headers, media).unwrap_or(0.0);
    let images = IMAGES.iter().map(|media| weight(media));
    images.fold(0.0, f32::max) > weight("application/json")
}
