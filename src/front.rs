//! What HTTP means here. [`Front::handle`] is the way of a request:
//!
//! 1. Admit: a client that asks too often waits.
//! 2. Route: path and query become a [`Route`], or the request is wrong.
//! 3. Authorize: who may see this, and who may ask for a fresh look.
//! 4. Find the face, through the pipeline.
//! 5. Represent it: status, validators, cache headers, bytes.
//! 6. Write one line about it to the log.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use tracing::Instrument;

use crate::{
    compat::Origin,
    http::{Clients, access_log::Line, problem::Problem},
    images::Thumbnailer,
    pipeline::{Faces, Instance},
    public::{self, Access, route::Route},
    representation::headers as represent,
    server::{HeaderBlock, Peer, Reply},
    telemetry::{Metrics, traces},
};

/// An answer that is there, or will be. Most are there: a hit in memory needs no task's state to be
/// kept, which costs more to make and to move than the hit itself.
pub enum Answer {
    /// It is there.
    Now(Ready<Result<Reply, Infallible>>),
    /// It will be.
    Later(Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>),
}

/// What the front goes by.
#[derive(Debug)]
pub struct Settings {
    /// Who may see faces.
    pub access: Access,
    /// Who asks, and how often they may.
    pub clients: Clients,
    /// `Access-Control-Allow-Origin`.
    pub allow_origin: HeaderValue,
    /// Where links to faces begin.
    pub origin: Origin,
    /// An HTML page for `/`.
    pub home: Option<Bytes>,
    /// Where pictures are made smaller.
    pub thumbnailer: Thumbnailer,
    /// What is counted.
    pub metrics: Metrics,
}

/// The avatar front. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Front {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) faces: Faces,
    pub(crate) instances: HashMap<String, Arc<Instance>>,
    /// What all images have in common.
    pub(crate) common: HeaderBlock,
    pub(crate) settings: Settings,
}

impl Front {
    /// A front for `instances`.
    pub fn new(faces: Faces, instances: Vec<Arc<Instance>>, settings: Settings) -> Self {
        let instances = instances
            .into_iter()
            .map(|instance| (instance.name().to_string(), instance))
            .collect();
        Self {
            shared: Arc::new(Shared {
                faces,
                instances,
                common: represent::common(&settings.allow_origin),
                settings,
            }),
        }
    }

    /// Answers a request of `peer`: at once if nothing has to be waited for.
    pub fn handle<B: Send + Sync + 'static>(&self, request: Request<B>, peer: Peer) -> Answer {
        let mut line = Line::begin(request.method(), request.headers());
        if let Err(problem) = self.admit(&request, peer) {
            return Answer::Now(ready(Ok(self.end(&request, line, Err(problem)))));
        }
        if traces::are_on() {
            let span = traces::request(request.method(), request.headers());
            let later = self.clone().later(request, line).instrument(span);
            return Answer::Later(Box::pin(later));
        }
        match self.at_once(&request, &mut line) {
            Some(answered) => Answer::Now(ready(Ok(self.end(&request, line, answered)))),
            None => Answer::Later(Box::pin(self.clone().later(request, line))),
        }
    }

    async fn later<B: Sync>(
        self,
        request: Request<B>,
        mut line: Line,
    ) -> Result<Reply, Infallible> {
        let answered = self.answer(&request, &mut line).await;
        Ok(self.end(&request, line, answered))
    }

    /// What is sent, logged and counted.
    fn end<B>(
        &self,
        request: &Request<B>,
        mut line: Line,
        answered: Result<Reply, Problem>,
    ) -> Reply {
        let mut response = answered.unwrap_or_else(|problem| {
            if matches!(problem, Problem::Access(_)) {
                self.shared.settings.metrics.rejected();
            }
            line.refused(&problem);
            problem.into_reply()
        });
        if request.method() == Method::HEAD {
            represent::without_body(&mut response);
        }
        line.end(&mut response, &self.shared.settings.metrics);
        response
    }

    pub(crate) fn faces(&self) -> &Faces {
        &self.shared.faces
    }

    pub(crate) fn instance(&self, name: &str) -> Option<&Arc<Instance>> {
        self.shared.instances.get(name)
    }

    pub(crate) fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.shared.instances.values()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.shared.settings.metrics
    }

    fn admit<B>(&self, request: &Request<B>, peer: Peer) -> Result<(), Problem> {
        let clients = &self.shared.settings.clients;
        clients.admit(peer, request.headers())
    }

    /// The answer, if it is a face in memory. Whatever else it is, [`Front::answer`] finds out.
    fn at_once<B>(&self, request: &Request<B>, line: &mut Line) -> Option<Result<Reply, Problem>> {
        if !is_read(request.method()) {
            return None;
        }
        match Route::parse(request.uri()) {
            Ok(Route::Avatar(wanted)) => self
                .avatar_at_once(&wanted, request.method(), request.headers(), line)
                .transpose(),
            _ => None,
        }
    }

    async fn answer<B: Sync>(
        &self,
        request: &Request<B>,
        line: &mut Line,
    ) -> Result<Reply, Problem> {
        let is_read = is_read(request.method());
        match Route::parse(request.uri())? {
            Route::Avatar(wanted) if is_read => {
                self.avatar(&wanted, request.method(), request.headers(), line)
                    .await
            }
            Route::Avatar(wanted) if request.method().as_str() == "PURGE" => {
                line.route("purge");
                self.purge(&wanted, request.headers()).await
            }
            Route::Avatar(_) => Err(Problem::Method("GET, HEAD, PURGE")),
            Route::Home if self.shared.settings.home.is_none() => Err(Problem::NoRoute),
            _ if !is_read => Err(Problem::Method("GET, HEAD")),
            Route::Vendor(call) => Ok(self
                .drop_in(
                    &call,
                    request.method(),
                    request.uri(),
                    request.headers(),
                    line,
                )
                .await),
            Route::OpenApi => Ok(represent::document(public::API)),
            Route::Home => self.home(),
        }
    }

    fn home(&self) -> Result<Reply, Problem> {
        let page = self.shared.settings.home.clone();
        page.map(represent::page).ok_or(Problem::NoRoute)
    }
}

impl Future for Answer {
    type Output = Result<Reply, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Answer::Now(answer) => Pin::new(answer).poll(context),
            Answer::Later(answer) => answer.as_mut().poll(context),
        }
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
