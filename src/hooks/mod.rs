//! The service for the events of gateways' webhooks, on a listener of its own.
//!
//! `POST /v1/hooks/{instance}/{secret}`, with anything behind it: some gateways append the kind of event. Until
//! the secret is known to be right, nothing is read but the head of the request, and nothing tells a wrong secret
//! from an unknown instance.

mod error;
mod openapi;
mod signature;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
    time::Duration,
};

use bytes::Bytes;
use error::Error;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::{
    clock::Timestamp,
    http::{Body, BoxError, access_log, collect, credentials, host, is_form, query, respond},
    pipeline::{Demand, EventCounts, Faces, Instances},
    server::Reply,
    sync::lock,
    telemetry::Metrics,
};

/// The settings of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The longest body in bytes.
    pub max_body: usize,
    /// How long a gateway may take to send a body.
    pub timeout: Duration,
}

/// The credentials that events of one instance need.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The secret in the path.
    pub secret: SecretString,
    /// The key of the signature that each body has to have.
    pub hmac_key: Option<SecretString>,
}

/// The service.
#[derive(Debug)]
pub struct Hooks {
    faces: Faces,
    instances: Instances,
    credentials: HashMap<String, Credentials>,
    settings: Settings,
    metrics: Metrics,
    /// Events that are read at once. JSON takes some thirty times its length in memory.
    reading: Semaphore,
    reports: Reports,
}

/// When each kind of trouble was logged last, by the instance's table. A gateway may send thousands of events in a minute.
#[derive(Debug, Default)]
struct Reports(Mutex<BTreeMap<(String, &'static str), Timestamp>>);

/// The request for events, as its path says it.
struct HookPath<'a> {
    instance: &'a str,
    secret: &'a str,
}

/// Events that are read at once.
const MAX_READING: usize = 4;
/// The shortest time between two lines in the log about the same trouble.
const REPORT_INTERVAL: Duration = Duration::from_secs(3600);

impl Hooks {
    /// The service for `instances`, of which those with credentials can get events.
    pub fn new(
        faces: Faces,
        instances: Instances,
        credentials: HashMap<String, Credentials>,
        settings: Settings,
        metrics: Metrics,
    ) -> Self {
        Self {
            faces,
            instances,
            credentials,
            settings,
            metrics,
            reading: Semaphore::new(MAX_READING),
            reports: Reports::default(),
        }
    }

    /// Answers a request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let result = async {
            host::check(&mut head)?;
            self.answer(&head, body).await
        };
        respond::complete(result.await, &head.method).into()
    }

    /// The answer to a head that cannot be read or is too large.
    pub fn refuse(&self, status: StatusCode) -> Reply {
        access_log::refuse_head(status, &self.metrics)
    }

    /// 1. Check the secret. 2. Check the method. 3. Read the body. 4. Check its signature. 5. Read the event.
    /// 6. Take it.
    async fn answer<B>(&self, head: &Parts, body: B) -> Result<Reply, Error>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if head.uri.path() == "/openapi.json" {
            return match head.method {
                Method::GET | Method::HEAD => Ok(respond::document(Bytes::from_static(
                    openapi::DOCUMENT.as_bytes(),
                ))),
                _ => Err(Error::Method("GET, HEAD")),
            };
        }
        let path = HookPath::parse(head.uri.path()).ok_or(Error::NoRoute)?;
        let Some(credentials) = self.authorize(&path) else {
            self.metrics.hooks().record_reject();
            self.report(
                "",
                "a request for the webhooks has a wrong secret or an unknown instance",
            );
            return Err(Error::NoRoute);
        };
        if head.method != Method::POST {
            return Err(Error::Method("POST"));
        }
        let Settings { max_body, timeout } = self.settings;
        let body = collect(body, max_body, timeout).await?;
        if let Some(key) = &credentials.hmac_key
            && !signature::is_valid(&head.headers, &body, key)
        {
            self.metrics.hooks().record_reject();
            self.report(path.instance, "an event is not signed with hook.hmac_key");
            return Err(Error::Signature);
        }
        let counts = self.take(path.instance, &head.headers, &body).await?;
        Ok(respond::json(&counts))
    }

    /// The credentials of the instance whose secret the path has; the names of a pattern share them. The secret is
    /// compared in the same time for each path, also for one of an unknown instance.
    fn authorize(&self, path: &HookPath<'_>) -> Option<&Credentials> {
        let credentials = self
            .credentials
            .get(&self.instances.table_name(path.instance));
        let none = SecretString::default();
        let secret = credentials.map_or(&none, |credentials| &credentials.secret);
        let given = query::segment(path.secret).unwrap_or_default();
        let is_right = credentials::is_secret(given.as_bytes(), secret);
        credentials.filter(|_| is_right)
    }

    async fn take(
        &self,
        name: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<EventCounts, Error> {
        let instance = self.instances.make(name, Demand::IfKnown).await;
        let description = match (&instance, self.instances.pattern_of(name)) {
            (Ok(instance), _) => instance.provider(),
            (Err(_), Some(pattern)) => &pattern.settings().provider,
            (Err(_), None) => return Err(Error::NoRoute),
        };
        let event = {
            // The semaphore is never closed.
            let _reading = self.reading.acquire().await;
            description.read_event(body, is_form(headers))
        };
        let made = instance.as_ref().ok().map(|made| &**made);
        self.faces.record_reading(&description.name, made, &event);
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                self.report(name, "an event cannot be read");
                return Err(Error::Event(error));
            }
        };
        // No client has asked for a face of this name, so none is in the cache.
        let Ok(instance) = instance else {
            return Ok(self.faces.ignore_event(event.faces.len()));
        };
        let is_own = |account: &String| *account == instance.account().name;
        if !event.account.as_ref().is_none_or(is_own) {
            let what = "an event of another account came to this instance's webhook and is ignored";
            self.report(name, what);
            return Ok(self.faces.ignore_event(event.faces.len()));
        }
        Ok(self.faces.take_event(&instance, event).await)
    }

    /// Logs trouble, once an hour for each instance, and for all names of a pattern together. The name is empty if no
    /// configured instance is concerned: what an unknown client wrote stays out of the log.
    fn report(&self, instance: &str, what: &'static str) {
        let table = self.instances.table_name(instance);
        if self.reports.is_due(&table, what, self.faces.now()) {
            tracing::warn!(instance, what, "webhook");
        }
    }
}

impl<'a> HookPath<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix("/v1/hooks/")?.split('/');
        Some(Self {
            instance: segments.next()?,
            secret: segments.next()?,
        })
    }
}

impl Reports {
    fn is_due(&self, instance: &str, what: &'static str, now: Timestamp) -> bool {
        let mut last = lock(&self.0);
        let last = last.entry((instance.to_owned(), what)).or_default();
        let is_due = now.is_after(*last, REPORT_INTERVAL);
        if is_due {
            *last = now;
        }
        is_due
    }
}
