//! What HTTP means here. [`Front::handle`] is the way of a request:
//!
//! 1. Route: path and query become a [`Route`], or the request is wrong.
//! 2. Authorize: who may see this, and who may ask for a fresh look.
//! 3. Find the face, through the pipeline.
//! 4. Represent it: status, validators, cache headers, bytes.
//! 5. Write one line about it to the log.

mod access;
mod admin;
mod avatar;
mod conditional;
mod log;
mod problem;
mod purge;
mod range;
mod represent;
mod route;
mod signature;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;

pub use access::{Access, Mode};
pub use admin::Admin;
use log::Line;
use problem::Problem;
use route::Route;
pub use signature::{Scope, SigningKey, Ticket};

use crate::{
    pipeline::{Faces, Instance},
    telemetry::Metrics,
};

/// Every answer is whole before it is sent.
pub type Body = Full<Bytes>;

/// What the front goes by.
#[derive(Debug)]
pub struct Settings {
    /// Who may see faces.
    pub access: Access,
    /// `Access-Control-Allow-Origin`.
    pub allow_origin: HeaderValue,
    /// An HTML page for `/`.
    pub home: Option<Bytes>,
    /// What is counted.
    pub metrics: Metrics,
}

/// The avatar front. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Front {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    faces: Faces,
    instances: HashMap<String, Arc<Instance>>,
    settings: Settings,
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
                settings,
            }),
        }
    }

    /// Answers a request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body> {
        let mut line = Line::begin(request.method());
        let answered = self.answer(&request, &mut line).await;
        let mut response = answered.unwrap_or_else(|problem| {
            if matches!(problem, Problem::Access(_)) {
                self.shared.settings.metrics.rejected();
            }
            line.refused(&problem);
            problem.into_response()
        });
        if request.method() == Method::HEAD {
            represent::without_body(&mut response);
        }
        line.end(&response, &self.shared.settings.metrics);
        response
    }

    fn faces(&self) -> &Faces {
        &self.shared.faces
    }

    fn instance(&self, name: &str) -> Option<&Arc<Instance>> {
        self.shared.instances.get(name)
    }

    fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.shared.instances.values()
    }

    fn metrics(&self) -> &Metrics {
        &self.shared.settings.metrics
    }

    async fn answer<B>(
        &self,
        request: &Request<B>,
        line: &mut Line,
    ) -> Result<Response<Body>, Problem> {
        let is_purge = request.method().as_str() == "PURGE";
        if !is_purge && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Problem::Method("GET, HEAD, PURGE"));
        }
        match Route::parse(request.uri())? {
            Route::Avatar(wanted) if is_purge => {
                line.route("purge");
                self.purge(&wanted, request.headers()).await
            }
            Route::Home if is_purge => Err(Problem::Method("GET, HEAD")),
            Route::Home => self.home(),
            Route::Avatar(wanted) => {
                line.route("avatar");
                self.avatar(wanted, request.method(), request.headers(), line)
                    .await
            }
        }
    }

    fn home(&self) -> Result<Response<Body>, Problem> {
        let page = self.shared.settings.home.clone();
        page.map(represent::page).ok_or(Problem::NoRoute)
    }
}
