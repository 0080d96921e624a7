//! The admin listener's answers. It is not the faces' listener, so that a crowd at the front never
//! makes an orchestrator believe that the server is dead.
//!
//! * `GET /livez`: the process runs.
//! * `GET /readyz`: it serves faces. It does so without its disk, and then says so.
//! * `GET /metrics`: figures for Prometheus.
//! * `GET /openapi.json`: all of this for programs.
//! * `GET /v1/instances`: each instance's budget, pause and session.
//! * `GET /v1/cache`: how the cache is.
//! * `POST /v1/cache/tend`: keep its limits and collect its garbage now; answers when that is done.
//! * `POST /v1/purge?instance=&jid=&all=&hard=`: let what is known count for less; see [`purge`].
//! * `POST /v1/hooks/{provider}`: a gateway's event; see [`hooks`].
//! * `GET /v1/avatars/{instance}/{jid}`: what is known of a face.
//! * `DELETE /v1/avatars/{instance}/{jid}`: forget it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use serde::Serialize;

use super::{Body, Front, access, hooks, problem::Problem, purge, represent};
use crate::{
    avatar::{Entry, Outcome, Subject},
    clock::Timestamp,
    limits::SessionState,
    pipeline::Instance,
    telemetry::StoreFigures,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// This listener's routes in OpenAPI 3.1.
const ADMIN_API: &str = include_str!("openapi/admin.json");

/// Answers on the admin listener. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admin {
    front: Front,
    /// What opens everything but the probes.
    token: Option<SecretString>,
}

/// What is known of a face.
#[derive(Serialize)]
struct Record<'a> {
    instance: &'a str,
    jid: &'a str,
    picture: Option<PictureRecord<'a>>,
    last: LastRecord,
    forgotten: bool,
}

#[derive(Serialize)]
struct PictureRecord<'a> {
    media_type: &'static str,
    bytes: usize,
    width: u32,
    height: u32,
    etag: String,
    link_name: Option<&'a str>,
    changed: String,
    confirmed: String,
    fresh: bool,
}

/// How an instance is.
#[derive(Serialize)]
struct InstanceRecord<'a> {
    instance: &'a str,
    provider: &'static str,
    /// Calls that could be made at once now.
    budget: u64,
    paused: Option<&'static str>,
    paused_until: Option<String>,
    /// The vendor's session with WhatsApp, as its answers tell: `unknown`, `working`, `down` or
    /// `refused` (our credential).
    session: SessionState,
    session_since: Option<String>,
}

/// How the cache is.
#[derive(Serialize)]
struct CacheRecord {
    entries: u64,
    bytes: u64,
    /// Whether all of the disk has been looked at since the start.
    counted: bool,
    damaged: u64,
    evicted: u64,
    trouble: Option<TroubleRecord>,
}

#[derive(Serialize)]
struct TroubleRecord {
    what: String,
    since: String,
}

#[derive(Serialize)]
struct LastRecord {
    outcome: Outcome,
    asked: String,
    retry_at: String,
}

impl Admin {
    /// Probes for everybody; the rest for those who know `token`, if there is one.
    pub fn new(front: Front, token: Option<SecretString>) -> Self {
        Self { front, token }
    }

    /// Answers a request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let answered = match head.uri.path().strip_prefix("/v1/hooks/") {
            Some(provider) => self.hook(provider, &head.method, &head.headers, body).await,
            None => self.answer(&head.method, &head.uri, &head.headers).await,
        };
        let mut response = answered.unwrap_or_else(Problem::into_response);
        if head.method == Method::HEAD {
            represent::without_body(&mut response);
        }
        response
    }

    async fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Problem> {
        let path = uri.path();
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if matches!(path, "/livez" | "/readyz") {
            return if is_read {
                Ok(self.probe(path))
            } else {
                Err(Problem::Method("GET, HEAD"))
            };
        }
        if !self.is_open_to(headers) {
            return Err(Problem::AdminToken);
        }
        if let "/metrics" | "/v1/instances" | "/v1/cache" | "/openapi.json" = path {
            return match path {
                _ if !is_read => Err(Problem::Method("GET, HEAD")),
                "/metrics" => Ok(self.metrics()),
                "/openapi.json" => Ok(represent::document(ADMIN_API)),
                "/v1/instances" => Ok(represent::json(&self.instances())),
                _ => Ok(represent::json(&self.cache())),
            };
        }
        if path == "/v1/cache/tend" {
            if *method != Method::POST {
                return Err(Problem::Method("POST"));
            }
            self.front.faces().tend_now().await;
            return Ok(represent::json(&self.cache()));
        }
        if path == "/v1/purge" {
            if *method != Method::POST {
                return Err(Problem::Method("POST"));
            }
            let purged = purge::run(&self.front, uri.query().unwrap_or_default()).await?;
            return Ok(represent::json(&purged));
        }
        let (instance, subject) = self.face(path)?;
        match *method {
            Method::GET | Method::HEAD => self.record(instance, subject).await,
            Method::DELETE => self.forget(instance, subject).await,
            _ => Err(Problem::Method("GET, HEAD, DELETE")),
        }
    }

    async fn hook<B>(
        &self,
        provider: &str,
        method: &Method,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Response<Body>, Problem>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if !self.is_open_to(headers) {
            return Err(Problem::AdminToken);
        }
        if *method != Method::POST {
            return Err(Problem::Method("POST"));
        }
        let body = Limited::new(body, hooks::LONGEST).collect().await;
        let body = body.map_err(|_| Problem::TooLarge)?.to_bytes();
        let heard = hooks::take(&self.front, provider, &body).await?;
        Ok(represent::json(&heard))
    }

    fn face(&self, path: &str) -> Result<(&Instance, Subject), Problem> {
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

    async fn record(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<Response<Body>, Problem> {
        let faces = self.front.faces();
        let entry = faces
            .record(instance, subject)
            .await
            .map_err(Problem::Unsupported)?;
        let entry = entry.ok_or(Problem::NoRecord)?;
        let record = Record::of(instance.name(), &subject, &entry, faces.now(), |age| {
            age < faces.policy().ttl
        });
        Ok(represent::json(&record))
    }

    async fn forget(
        &self,
        instance: &Instance,
        subject: Subject,
    ) -> Result<Response<Body>, Problem> {
        let forgotten = self.front.faces().forget(instance, subject).await;
        if forgotten.map_err(Problem::Unsupported)? {
            let mut response = Response::new(Body::new(Bytes::new()));
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        } else {
            Err(Problem::NotOnDisk)
        }
    }

    /// Faces are served from memory and the vendors while the disk is in trouble, so that is no
    /// reason to take the server out of service; but whoever looks shall see it.
    fn probe(&self, path: &str) -> Response<Body> {
        let trouble = self.front.faces().health().trouble;
        let text = match trouble.filter(|_| path == "/readyz") {
            Some(trouble) => Bytes::from(format!(
                "ok, but degraded since {}: {}\n",
                date(trouble.since),
                trouble.what
            )),
            None => Bytes::from_static(b"ok\n"),
        };
        represent::plain(
            StatusCode::OK,
            HeaderValue::from_static("text/plain; charset=utf-8"),
            text,
        )
    }

    fn metrics(&self) -> Response<Body> {
        let metrics = self.front.metrics();
        for instance in self.front.instances() {
            metrics.budget(instance.name(), instance.gate().left());
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
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
            metrics.text().into(),
        )
    }

    fn instances(&self) -> Vec<InstanceRecord<'_>> {
        let mut records: Vec<_> = self
            .front
            .instances()
            .map(|instance| {
                let paused = instance.gate().paused();
                let session = instance.gate().session();
                let is_told = session.state != SessionState::Unknown;
                InstanceRecord {
                    session: session.state,
                    session_since: is_told.then(|| date(session.since)),
                    instance: instance.name(),
                    provider: instance.vendor().as_str(),
                    budget: instance.gate().left(),
                    paused: paused.map(|(_, why)| why.as_str()),
                    paused_until: paused.map(|(until, _)| date(until)),
                }
            })
            .collect();
        records.sort_by_key(|record| record.instance);
        records
    }

    fn cache(&self) -> CacheRecord {
        let health = self.front.faces().health();
        CacheRecord {
            entries: health.totals.entries,
            bytes: health.totals.bytes,
            counted: health.is_complete,
            damaged: health.damaged,
            evicted: health.evicted,
            trouble: health.trouble.map(|trouble| TroubleRecord {
                since: date(trouble.since),
                what: trouble.what,
            }),
        }
    }

    fn is_open_to(&self, headers: &HeaderMap) -> bool {
        self.token
            .as_ref()
            .is_none_or(|token| access::has_bearer(headers, std::slice::from_ref(token)))
    }
}

impl<'a> Record<'a> {
    fn of(
        instance: &'a str,
        subject: &'a Subject,
        entry: &'a Entry,
        now: Timestamp,
        is_fresh: impl Fn(std::time::Duration) -> bool,
    ) -> Self {
        let picture = entry.picture.as_ref().map(|kept| {
            let (width, height) = kept.picture.dimensions();
            PictureRecord {
                media_type: kept.picture.media().as_str(),
                bytes: kept.picture.bytes().len(),
                width,
                height,
                etag: represent::etag(&kept.picture.digest()).to_string(),
                link_name: kept.name.as_deref(),
                changed: date(kept.changed),
                confirmed: date(kept.confirmed),
                fresh: is_fresh(kept.age(now)),
            }
        });
        Self {
            instance,
            jid: subject.as_str(),
            picture,
            last: LastRecord {
                outcome: entry.last.outcome,
                asked: date(entry.last.asked),
                retry_at: date(entry.last.retry_at),
            },
            forgotten: entry.is_forgotten(now),
        }
    }
}

fn date(time: Timestamp) -> String {
    httpdate::fmt_http_date(time.as_system_time())
}
