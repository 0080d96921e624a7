//! The admin listener's answers. It is not the faces' listener, so that a crowd at the front never
//! makes an orchestrator believe that the server is dead.
//!
//! * `GET /`: a page to look at; see [`dashboard`].
//! * `GET /v1/overview`: what stands there, for programs.
//! * `GET /livez`: the process runs.
//! * `GET /readyz`: it serves faces. It does so without its disk, and then says so.
//! * `GET /metrics`: figures for Prometheus.
//! * `GET /openapi.json`: all of this for programs.
//! * `GET /v1/instances`: each instance's budget, pause and session.
//! * `GET /v1/cache`: how the cache is.
//! * `POST /v1/cache/tend`: keep its limits and collect its garbage now; answers when that is done.
//! * `POST /v1/purge?instance=&jid=&all=&hard=`: let what is known count for less; see [`purge`].
//! * `GET|POST|DELETE /v1/warm`: fetch many faces ahead; see [`warm`].
//! * `POST /v1/hooks/{provider}`: a gateway's event; see [`hooks`].
//! * `GET /v1/avatars/{instance}/{jid}`: what is known of a face.
//! * `POST /v1/avatars/{instance}/{jid}`: ask the vendor for it anew.
//! * `DELETE /v1/avatars/{instance}/{jid}`: forget it.
//! * `GET /v1/avatars/{instance}/{jid}/picture`: the picture, if it is known.

mod dashboard;
mod purge;
mod records;
mod warm;
pub(crate) mod webhooks;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, request::Parts};
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use records::{CacheRecord, InstanceRecord, Record, date};
use secrecy::SecretString;

use crate::{
    avatar::{Ask, Subject},
    front::Front,
    http::{Body, problem::Problem},
    pipeline::{Instance, Warmups},
    public as access,
    representation::headers as represent,
    server::Reply,
    telemetry::StoreFigures,
};
pub use dashboard::History;
pub use warm::WarmRecord;
use webhooks as hooks;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// This listener's routes in OpenAPI 3.1.
const ADMIN_API: &str = include_str!("openapi.json");

/// Answers on the admin listener. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    front: Front,
    warmups: Warmups,
    history: History,
    /// What opens everything but the probes.
    token: Option<SecretString>,
}

impl Admin {
    /// Probes for everybody; the rest for those who know `token`, if there is one.
    pub fn new(
        front: Front,
        warmups: Warmups,
        history: History,
        token: Option<SecretString>,
    ) -> Self {
        Self {
            front,
            warmups,
            history,
            token,
        }
    }

    /// Notes how much was served and asked for until now.
    pub fn sample(&self) {
        self.history.note(&self.front);
    }

    /// Answers a request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let answered = if let Err(problem) = self.admit(&head) {
            Err(problem)
        } else if path.starts_with("/v1/hooks/") || path == "/v1/warm" {
            self.with_body(&head, body).await
        } else {
            self.answer(&head.method, &head.uri).await
        };
        let mut response = answered.unwrap_or_else(Problem::into_reply);
        if head.method == Method::HEAD {
            represent::without_body(&mut response);
        }
        response.into()
    }

    async fn answer(&self, method: &Method, uri: &Uri) -> Result<Reply, Problem> {
        let path = uri.path();
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if matches!(path, "/livez" | "/readyz") {
            return if is_read {
                Ok(self.probe(path))
            } else {
                Err(Problem::Method("GET, HEAD"))
            };
        }
        if let "/" | "/v1/overview" | "/metrics" | "/v1/instances" | "/v1/cache" | "/openapi.json" =
            path
        {
            return match path {
                _ if !is_read => Err(Problem::Method("GET, HEAD")),
                "/" => Ok(represent::page(Bytes::from_static(
                    dashboard::PAGE.as_bytes(),
                ))),
                "/v1/overview" => {
                    let overview =
                        dashboard::overview(&self.front, &self.warmups, &self.history).await;
                    Ok(represent::json(&overview))
                }
                "/metrics" => Ok(self.metrics()),
                "/openapi.json" => Ok(represent::document(ADMIN_API)),
                "/v1/instances" => Ok(represent::json(&InstanceRecord::all(
                    self.front.instances(),
                ))),
                _ => Ok(represent::json(&CacheRecord::of(
                    self.front.faces().health(),
                ))),
            };
        }
        if path == "/v1/cache/tend" {
            if *method != Method::POST {
                return Err(Problem::Method("POST"));
            }
            self.front.faces().run_maintenance().await;
            return Ok(represent::json(&CacheRecord::of(
                self.front.faces().health(),
            )));
        }
        if path == "/v1/purge" {
            if *method != Method::POST {
                return Err(Problem::Method("POST"));
            }
            let purged = purge::run(&self.front, uri.query().unwrap_or_default()).await?;
            return Ok(represent::json(&purged));
        }
        if let Some(path) = path.strip_suffix("/picture") {
            let (instance, subject) = self.face(path)?;
            return match is_read {
                true => dashboard::picture(&self.front, instance, subject).await,
                false => Err(Problem::Method("GET, HEAD")),
            };
        }
        let (instance, subject) = self.face(path)?;
        match *method {
            Method::GET | Method::HEAD => self.record(instance, subject).await,
            Method::POST => {
                let refreshed = self.front.faces().look_up(instance, subject, Ask::Refresh);
                refreshed.await.map_err(Problem::Unsupported)?;
                self.record(instance, subject).await
            }
            Method::DELETE => self.forget(instance, subject).await,
            _ => Err(Problem::Method("GET, HEAD, POST, DELETE")),
        }
    }

    /// What comes with a body is read only for those who may send it, and no further than it may go.
    async fn with_body<B>(&self, head: &Parts, body: B) -> Result<Reply, Problem>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let provider = head.uri.path().strip_prefix("/v1/hooks/");
        if provider.is_some() && head.method != Method::POST {
            return Err(Problem::Method("POST"));
        }
        let longest = match provider {
            Some(_) => hooks::LONGEST,
            None => warm::LONGEST,
        };
        let body = Limited::new(body, longest).collect().await;
        let body = body.map_err(|_| Problem::TooLarge)?.to_bytes();
        match provider {
            Some(provider) => {
                let heard = hooks::take(&self.front, provider, &body).await?;
                Ok(represent::json(&heard))
            }
            None => {
                let query = head.uri.query().unwrap_or_default();
                warm::answer(&self.front, &self.warmups, &head.method, query, &body).await
            }
        }
    }

    fn face(&self, path: &str) -> Result<(&Arc<Instance>, Subject), Problem> {
        let (instance, jid) = path
            .strip_prefix("/v1/avatars/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(Problem::NoAdminRoute)?;
        let instance = self.front.instance(instance).ok_or(Problem::NoInstance)?;
        let jid = percent_decode_str(jid)
            .decode_utf8()
            .map_err(|_| Problem::Encoding)?;
        Ok((instance, jid.parse().map_err(Problem::Jid)?))
    }

    async fn record(&self, instance: &Instance, subject: Subject) -> Result<Reply, Problem> {
        let faces = self.front.faces();
        let entry = faces
            .entry(instance, subject)
            .await
            .map_err(Problem::Unsupported)?;
        let entry = entry.ok_or(Problem::NoRecord)?;
        let record = Record::of(instance.name(), &subject, &entry, faces.now(), |age| {
            age < faces.policy().ttl
        });
        Ok(represent::json(&record))
    }

    async fn forget(&self, instance: &Instance, subject: Subject) -> Result<Reply, Problem> {
        let forgotten = self.front.faces().forget(instance, subject).await;
        if forgotten.map_err(Problem::Unsupported)? {
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        } else {
            Err(Problem::NotOnDisk)
        }
    }

    /// Faces are served from memory and the vendors while the disk is in trouble, so that is no
    /// reason to take the server out of service; but whoever looks shall see it.
    fn probe(&self, path: &str) -> Reply {
        let trouble = self.front.faces().health().degraded;
        let text = match trouble.filter(|_| path == "/readyz") {
            Some(trouble) => Bytes::from(format!(
                "ok, but degraded since {}: {}\n",
                date(trouble.since),
                trouble.reason
            )),
            None => Bytes::from_static(b"ok\n"),
        };
        represent::plain(StatusCode::OK, "text/plain; charset=utf-8", text)
    }

    fn metrics(&self) -> Reply {
        let metrics = self.front.metrics();
        for instance in self.front.instances() {
            metrics.budget(instance.name(), instance.admission().available());
        }
        let health = self.front.faces().health();
        metrics.store(StoreFigures {
            bytes: health.totals.bytes,
            entries: health.totals.entries,
            evicted: health.evicted,
            damaged: health.damaged,
        });
        represent::plain(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            metrics.text().into(),
        )
    }

    /// Lets a request pass that may: the probes of everybody; else of those who know the token, and of
    /// no page of anybody else's in the operator's browser, which may know it too.
    fn admit(&self, head: &Parts) -> Result<(), Problem> {
        let path = head.uri.path();
        if matches!(path, "/livez" | "/readyz") {
            return Ok(());
        }
        let headers = &head.headers;
        match &self.token {
            Some(token) if access::has_token(headers, token) => {}
            Some(_) if path == "/" => return Err(Problem::AdminPage),
            Some(_) => return Err(Problem::AdminToken),
            None if access::names_us(headers) => {}
            None => return Err(Problem::AdminHost),
        }
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        if !is_read && access::is_of_another_site(headers) {
            return Err(Problem::AnotherSite);
        }
        Ok(())
    }
}
