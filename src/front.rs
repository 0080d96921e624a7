//! The public listener: finds out which service a request is for, and sends, counts and logs the
//! reply. It is the only file that knows both the public and the compatibility service.
//!
//! 1. Admit: a client that sends too many requests has to wait.
//! 2. Ask the public service, then the compatibility service, whether the path is theirs.
//! 3. Answer at once if nothing has to be waited for, else in a future.
//! 4. Write one line about the request to the access log.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    mem,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use tracing::{Instrument, Span};

use crate::{
    compat::{self, Compat, DescribedPath, Origin},
    http::{
        Body, Clients, RateExceeded,
        access_log::RequestLog,
        host, is_read,
        openapi::Document,
        problem::{self, Problem},
        respond,
    },
    images::Thumbnailer,
    pass_through::PassThrough,
    pipeline::{Faces, Instances},
    public::{self, Access, BeginResult, LiveListeners, LiveSettings, Mode, Public},
    representation::{self, HeaderPolicy, Renderer},
    server::{HeaderBlock, Peer, Reply, RequestBody},
    telemetry::{Metrics, traces},
};

/// The longest path and query, in bytes. nginx has the same limit.
const MAX_URI: usize = 8192;

/// A reply that is there, or will be. Most are there: a hit in memory needs no future, which would cost
/// more to make and to move than the hit itself.
pub enum Answer {
    /// It is there.
    Now(Ready<Result<Reply, Infallible>>),
    /// It will be.
    Later(Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>),
}

/// The front's settings and the parts that it uses.
#[derive(Debug)]
pub struct Settings {
    /// The rules of access.
    pub access: Access,
    /// The clients that listen to changes of faces.
    pub listeners: LiveListeners,
    /// How they may listen.
    pub live: LiveSettings,
    /// The clients' addresses and rates.
    pub clients: Clients,
    /// `Access-Control-Allow-Origin`.
    pub allow_origin: HeaderValue,
    /// The longest time for which a browser keeps a face.
    pub browser_ttl: Option<Duration>,
    /// The beginning of links to faces.
    pub origin: Origin,
    /// An HTML page for `/`.
    pub home: Option<Bytes>,
    /// How long a client may take to send the body of a request.
    pub body_timeout: Duration,
    /// Makes pictures smaller.
    pub thumbnailer: Thumbnailer,
    /// Lets requests pass through to gateways, if an instance has it.
    pub pass_through: Option<PassThrough>,
    /// The counters.
    pub metrics: Metrics,
}

/// The services that show faces. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Front {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clients: Clients,
    public: Public,
    compat: Compat,
    pass_through: Option<PassThrough>,
    metrics: Metrics,
    /// The headers that let pages of other origins read a problem.
    cross_origin: HeaderBlock,
}

/// A request after it was read.
enum Step {
    Reply(Reply),
    Work(Work),
    /// The instance is to be made first. With the address that the client's limits are kept under.
    PendingInstance(public::PendingInstance, Option<IpAddr>),
    /// Its body belongs to it.
    Described(compat::DescribedRequest),
}

/// A request that has to be waited for.
enum Work {
    Public(public::Work),
    Compat(Box<compat::Request>),
    /// The request is to be begun again, once its instance is made.
    PendingInstance(Box<(public::PendingInstance, Parts, Option<IpAddr>)>),
    Described(Box<(compat::DescribedRequest, RequestBody)>),
}

// === impl Front ===

impl Front {
    /// A front for `instances`.
    pub fn new(faces: Faces, instances: Instances, settings: Settings) -> Self {
        let policy = HeaderPolicy::new(
            faces.policy().ttl,
            settings.browser_ttl,
            &settings.allow_origin,
        );
        let cross_origin = representation::cross_origin(&settings.allow_origin);
        let renderer = Renderer::new(settings.thumbnailer, policy);
        let access = Arc::new(settings.access);
        let listeners = settings.listeners;
        listeners.set_rules(access.clone(), instances.clone(), settings.live);
        let signing_key = access.keys.first().filter(|_| access.mode == Mode::Signed);
        let signing_key = signing_key.cloned();
        Self {
            shared: Arc::new(Shared {
                clients: settings.clients,
                compat: Compat {
                    faces: faces.clone(),
                    instances: instances.clone(),
                    renderer: renderer.clone(),
                    origin: settings.origin,
                    signing_key,
                    body_reader: compat::BodyReader::new(settings.body_timeout),
                },
                public: Public {
                    openapi: describe(instances.clone()),
                    faces,
                    instances,
                    access,
                    listeners,
                    cross_origin: cross_origin.clone(),
                    renderer,
                    home: settings.home,
                    metrics: settings.metrics.clone(),
                },
                pass_through: settings.pass_through,
                metrics: settings.metrics,
                cross_origin,
            }),
        }
    }

    /// Whether the answer to a request may be streamed, which takes hyper.
    pub fn may_stream<B>(&self, request: &Request<B>) -> bool {
        request.uri().path().starts_with(public::route::LIVE) || self.passes_through(request)
    }

    /// Whether a request is one of those that pass through to a gateway, by its path and method alone.
    pub fn passes_through<B>(&self, request: &Request<B>) -> bool {
        let (uri, method) = (request.uri(), request.method());
        self.shared.pass_through.is_some()
            && !self.shared.public.has(uri)
            && !self.shared.compat.has(method, uri, request.headers())
    }

    /// Lets a request pass through to its gateway.
    pub async fn pass_through(self, request: Request<RequestBody>, peer: Peer) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let mut log = RequestLog::start(&head.method, &head.headers);
        log.set_route("pass-through");
        let shared = &self.shared;
        let admitted = self.admit(&mut head, peer, &mut log);
        let found = admitted.and_then(|_| {
            let service = shared.pass_through.as_ref();
            let service = service.ok_or(public::Error::NoRoute)?;
            Ok((service, service.find(&head)?))
        });
        let (service, route) = match found {
            Ok(found) => found,
            Err(problem) => return Response::from(self.end(Err(problem), is_head, log)),
        };
        log.set_instance(route.instance_name());
        match service.forward(route, head, body, log).await {
            Ok(response) => response,
            Err((error, log)) => Response::from(self.end(Err(error.into()), is_head, log)),
        }
    }

    /// Answers a request of `peer`, at once if nothing has to be waited for.
    pub fn handle(&self, request: Request<impl Into<RequestBody>>, peer: Peer) -> Answer {
        let (mut head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let mut log = RequestLog::start(&head.method, &head.headers);
        let span = if traces::is_enabled() {
            let is_trusted = self.shared.clients.proxies.contains(peer);
            traces::request_span(&head.method, is_trusted.then_some(&head.headers))
        } else {
            Span::none()
        };
        let result = match span.in_scope(|| self.begin(&mut head, peer, &mut log)) {
            Ok(Step::Work(work)) => return self.later(work, is_head, log, span),
            Ok(Step::PendingInstance(pending, client)) => {
                let work = Work::PendingInstance(Box::new((pending, head, client)));
                return self.later(work, is_head, log, span);
            }
            Ok(Step::Described(request)) => {
                let work = Work::Described(Box::new((request, body.into())));
                return self.later(work, is_head, log, span);
            }
            Ok(Step::Reply(reply)) => Ok(reply),
            Err(problem) => Err(problem),
        };
        let reply = span.in_scope(|| self.end(result, is_head, log));
        Answer::Now(ready(Ok(reply)))
    }

    /// The answer to a head that cannot be read or is too large.
    pub fn refuse(&self, status: StatusCode) -> Reply {
        self.end(Err(Problem::unread(status)), false, RequestLog::unread())
    }

    /// Finishes `work` in a future of its own.
    fn later(&self, work: Work, is_head: bool, mut log: RequestLog, span: Span) -> Answer {
        let front = self.clone();
        let later = async move {
            let shared = &front.shared;
            let result = match work {
                Work::Public(work) => {
                    let result = shared.public.finish(work, &mut log).await;
                    result.map_err(Problem::from)
                }
                Work::Compat(request) => Ok(shared.compat.answer(*request, &mut log).await),
                Work::PendingInstance(request) => {
                    let (pending, mut head, client) = *request;
                    let result = shared
                        .public
                        .answer_for(pending, &mut head, client, &mut log);
                    result.await.map_err(Problem::from)
                }
                Work::Described(request) => {
                    let (request, body) = *request;
                    let compat = &shared.compat;
                    Ok(compat.answer_described(request, body, &mut log).await)
                }
            };
            Ok(front.end(result, is_head, log))
        };
        Answer::Later(Box::pin(later.instrument(span)))
    }

    /// Reads the request, once. Its headers move into the work that is left to do.
    fn begin(&self, head: &mut Parts, peer: Peer, log: &mut RequestLog) -> Result<Step, Problem> {
        let shared = &self.shared;
        let client = self.admit(head, peer, log)?;
        match shared.public.begin(head, client, log)? {
            Some(BeginResult::Reply(reply)) => return Ok(Step::Reply(reply)),
            Some(BeginResult::Work(work)) => return Ok(Step::Work(Work::Public(work))),
            Some(BeginResult::PendingInstance(pending)) => {
                return Ok(Step::PendingInstance(pending, client));
            }
            None => {}
        }
        let Some(call) = compat::Call::parse(&head.uri) else {
            return self.begin_described(head, client);
        };
        if !is_read(&head.method) {
            return Err(Problem::method_not_allowed(compat::METHODS));
        }
        let request = compat::Request {
            call,
            method: mem::take(&mut head.method),
            uri: mem::take(&mut head.uri),
            headers: mem::take(&mut head.headers),
            client,
        };
        Ok(Step::Work(Work::Compat(Box::new(request))))
    }

    /// Reads a picture call that a configured gateway's description has.
    fn begin_described(&self, head: &mut Parts, client: Option<IpAddr>) -> Result<Step, Problem> {
        let compat = &self.shared.compat;
        match compat.described_path(&head.method, &head.uri, &head.headers) {
            DescribedPath::Unknown => Err(public::Error::NoRoute.into()),
            DescribedPath::OtherMethod(allowed) => Err(Problem::method_not_allowed(allowed)),
            DescribedPath::Call => Ok(Step::Described(compat::DescribedRequest {
                method: mem::take(&mut head.method),
                uri: mem::take(&mut head.uri),
                headers: mem::take(&mut head.headers),
                client,
            })),
        }
    }

    /// Checks what every request has to keep to, and returns the address that the client's limits are kept under.
    fn admit(
        &self,
        head: &mut Parts,
        peer: Peer,
        log: &mut RequestLog,
    ) -> Result<Option<IpAddr>, Problem> {
        let admitted = self.shared.clients.admit(peer, &head.headers);
        let client = admitted.inspect_err(|exceeded| log.set_client(exceeded.client))?;
        host::check(head)?;
        if head.uri.path().len() + head.uri.query().map_or(0, str::len) > MAX_URI {
            return Err(uri_too_long());
        }
        Ok(client)
    }

    /// Turns a problem into a reply, and counts and logs either.
    fn end(&self, result: Result<Reply, Problem>, is_head: bool, mut log: RequestLog) -> Reply {
        let mut reply = result.unwrap_or_else(|problem| {
            log.set_problem(&problem);
            problem.into_reply()
        });
        // Without these, a page of another origin is told of a network error instead.
        let is_error = reply.status.is_client_error() || reply.status.is_server_error();
        if is_error && reply.headers.get(&header::CONTENT_TYPE) == Some(problem::MEDIA) {
            reply.headers.add_all(&self.shared.cross_origin);
        }
        if is_head {
            respond::remove_body(&mut reply);
        }
        log.finish(&mut reply, &self.shared.metrics);
        reply
    }
}

/// The public routes in OpenAPI 3.1, among them the picture calls of the gateways that `instances` have.
fn describe(instances: Instances) -> public::OpenApi {
    LazyLock::new(Box::new(move || {
        let mut document = Document::default();
        public::openapi::describe(&mut document, common_problems);
        compat::openapi::describe(&mut document, common_problems, &instances);
        let text = document.finish(public::openapi::TITLE, public::openapi::DESCRIPTION);
        Bytes::from(text)
    }))
}

/// The problems that every route may have.
fn common_problems() -> Vec<Problem> {
    let wait = Duration::ZERO;
    vec![uri_too_long(), RateExceeded { wait, client: None }.into()]
}

fn uri_too_long() -> Problem {
    Problem::new(
        StatusCode::URI_TOO_LONG,
        "uri-too-long",
        "The path and query are too long",
        "they may have 8192 bytes together",
    )
}

// === impl Answer ===

impl Future for Answer {
    type Output = Result<Reply, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Answer::Now(answer) => Pin::new(answer).poll(context),
            Answer::Later(answer) => answer.as_mut().poll(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::public::route::Route;

    #[test]
    fn each_path_of_the_openapi_document_is_a_route() {
        let document = describe(Instances::default());
        let document: Value = serde_json::from_slice(&document).unwrap();
        let paths = document["paths"].as_object().unwrap();
        for path in paths.keys() {
            let path = path.replace("{jid}", "628123@c.us").replace(['{', '}'], "");
            let uri: http::Uri = path.parse().unwrap();
            let is_public = Route::parse(&uri).is_ok_and(|route| route.is_some());
            assert!(is_public || compat::Call::parse(&uri).is_some(), "{path}");
        }
    }
}
