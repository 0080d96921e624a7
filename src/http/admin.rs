//! The admin listener's answers. It is not the faces' listener, so that a crowd at the front never
//! makes an orchestrator believe that the server is dead.
//!
//! * `/livez`: the process runs.
//! * `/readyz`: it serves faces.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use secrecy::SecretString;

use super::{Body, access, problem::Problem, represent};

/// Answers on the admin listener.
#[derive(Debug)]
pub struct Admin {
    /// What opens everything but the probes.
    token: Option<SecretString>,
}

impl Admin {
    /// Probes for everybody; the rest for those who know `token`, if there is one.
    pub fn new(token: Option<SecretString>) -> Self {
        Self { token }
    }

    /// Answers a request.
    pub fn handle<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut response = self.answer(request).unwrap_or_else(Problem::into_response);
        if request.method() == Method::HEAD {
            represent::without_body(&mut response);
        }
        response
    }

    fn answer<B>(&self, request: &Request<B>) -> Result<Response<Body>, Problem> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Problem::Method);
        }
        match request.uri().path() {
            "/livez" | "/readyz" => Ok(probe()),
            _ if !self.is_open_to(request.headers()) => Err(Problem::AdminToken),
            _ => Err(Problem::NoAdminRoute),
        }
    }

    fn is_open_to(&self, headers: &HeaderMap) -> bool {
        self.token
            .as_ref()
            .is_none_or(|token| access::has_bearer(headers, std::slice::from_ref(token)))
    }
}

fn probe() -> Response<Body> {
    represent::plain(
        StatusCode::OK,
        HeaderValue::from_static("text/plain; charset=utf-8"),
        Bytes::from_static(b"ok\n"),
    )
}
