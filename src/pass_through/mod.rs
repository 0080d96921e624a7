//! The pass-through service: forwards all other requests under a vendor's paths to the vendor, and streams bodies and
//! answers. So a program that uses a whole vendor API changes its base URL and nothing else.
//!
//! 1. [`PassThrough::find`] finds the instance whose credential the request has. Requests without such a credential
//!    are refused.
//! 2. [`PassThrough::forward`] sends the request to the instance's base URL, through its address guard. The request
//!    chooses the path and the query, and never the host.
//! 3. The answer is streamed: nothing is cached, nothing is collected, and no call is taken from the budget.

mod error;
mod headers;
mod streams;

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, Request, Response, StatusCode, Version, header, request::Parts, uri::PathAndQuery,
};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, upgrade};
use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub(crate) use error::Error;
use streams::{Download, Progress, Upload, UploadFailure};

use crate::{
    http::{Body, access_log::RequestLog},
    pipeline::Instance,
    server::{ReplyStream, RequestBody, Tunnel},
    telemetry::{Limit, Metrics},
    upstream::{CallHead, ClientError, CredentialMatch},
};

/// The settings of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a vendor may take to begin its answer after the last part of the request.
    pub answer_timeout: Duration,
    /// How long a body may send nothing.
    pub idle_timeout: Duration,
    /// The most requests of an instance that pass through at once.
    pub max_requests: usize,
    /// The longest body of a request in bytes.
    pub max_body: u64,
}

/// The service.
#[derive(Clone, Debug)]
pub struct PassThrough {
    routes: Arc<[Route]>,
    settings: Settings,
    /// Credentials of this server, which no vendor may see.
    own_tokens: Arc<[SecretString]>,
    /// Cancelled when the process is about to end: event streams end.
    shutdown: CancellationToken,
    metrics: Metrics,
}

/// An instance that requests pass through to.
#[derive(Debug)]
pub(crate) struct Route {
    instance: Arc<Instance>,
    free: Arc<Semaphore>,
}

impl Route {
    pub(crate) fn instance_name(&self) -> &Arc<str> {
        self.instance.name()
    }
}

impl PassThrough {
    /// The service for `instances`; `None` if there are none.
    pub fn new(
        mut instances: Vec<Arc<Instance>>,
        settings: Settings,
        own_tokens: &[SecretString],
        shutdown: CancellationToken,
        metrics: Metrics,
    ) -> Option<Self> {
        instances.sort_by(|a, b| a.name().cmp(b.name()));
        let routes = instances.into_iter().map(|instance| Route {
            instance,
            free: Arc::new(Semaphore::new(settings.max_requests)),
        });
        let routes: Arc<[Route]> = routes.collect();
        (!routes.is_empty()).then(|| Self {
            routes,
            settings,
            own_tokens: own_tokens.into(),
            shutdown,
            metrics,
        })
    }

    /// The instance whose credential a request has. If several instances share it, the one whose account the request
    /// names. If that is none or several, any of them, because they have to be at one gateway.
    pub(crate) fn find(&self, head: &Parts) -> Result<&Route, Error> {
        let call = CallHead::new(&head.method, &head.uri, &head.headers).ok_or(Error::Encoding)?;
        if !head.uri.path().starts_with('/') {
            return Err(Error::NoRoute);
        }
        let compare = |route: &Route| {
            let (provider, account) = (route.instance.provider(), route.instance.account());
            provider.match_credential(account, &call)
        };
        let compared: Vec<_> = self
            .routes
            .iter()
            .map(|route| (compare(route), route))
            .collect();
        let best = compared.iter().map(|(found, _)| *found).max();
        match best {
            Some(CredentialMatch::Right) => {}
            Some(CredentialMatch::Wrong) => return Err(Error::Credential),
            Some(CredentialMatch::Absent) | None => return Err(Error::NoRoute),
        }
        if call.has_dots() {
            return Err(Error::Dots);
        }
        let right = compared
            .into_iter()
            .filter(|(found, _)| *found == CredentialMatch::Right);
        let (named, unnamed): (Vec<_>, Vec<_>) = right
            .map(|(_, route)| route)
            .partition(|route| call.names(&route.instance.account().name));
        let meant = if named.is_empty() { unnamed } else { named };
        let base = |route: &Route| route.instance.client().settings().base.clone();
        let (first, others) = meant.split_first().ok_or(Error::NoRoute)?;
        match others.iter().all(|other| base(other) == base(first)) {
            true => Ok(first),
            false => Err(Error::Ambiguous),
        }
    }

    /// Sends the request to the vendor, and streams the answer.
    pub(crate) async fn forward(
        &self,
        route: &Route,
        head: Parts,
        body: RequestBody,
        log: RequestLog,
    ) -> Result<Response<Body>, (Error, RequestLog)> {
        let (answer, permit) = match self.send(route, head, body).await {
            Ok(sent) => sent,
            Err(error) => return Err((error, log)),
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(answer, permit, log).await;
        }
        Ok(self.respond(answer, permit, log))
    }

    async fn send(
        &self,
        route: &Route,
        head: Parts,
        body: RequestBody,
    ) -> Result<(Response<Incoming>, OwnedSemaphorePermit), Error> {
        let Settings {
            answer_timeout,
            idle_timeout,
            max_body,
            ..
        } = self.settings;
        let permit = route.free.clone().try_acquire_owned().map_err(|_| {
            Limit::PassThrough.report();
            Error::Full
        })?;
        let progress = Progress::new();
        let upload = Upload::new(body, max_body, idle_timeout, &progress);
        if upload.is_too_long() {
            return Err(Error::BodyTooLarge(max_body));
        }
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let mut request = Request::new(upload.boxed_unsync());
        *request.headers_mut() = headers::for_vendor(&head.headers, &self.own_tokens);
        if head.version == Version::HTTP_11 && headers::asks_for_web_socket(&head.headers) {
            headers::add_web_socket(request.headers_mut());
        }
        *request.method_mut() = head.method;
        let answer = tokio::select! {
            answer = route.instance.client().forward(request, target) => answer,
            () = progress.vendor_is_late(answer_timeout) => return Err(Error::Late(answer_timeout)),
        };
        let answer = answer.map_err(|error| match (progress.failure(), error) {
            (Some(UploadFailure::TooLong), _) => Error::BodyTooLarge(max_body),
            (Some(UploadFailure::Idle), _) => Error::ClientIdle(idle_timeout),
            (_, ClientError::Forbidden(refusal, _)) => Error::Blocked(refusal.to_string()),
            (_, error) => Error::Unreachable(error.to_string()),
        })?;
        Ok((answer, permit))
    }

    /// Joins the client's connection with the vendor's, which has become a WebSocket.
    async fn switch(
        &self,
        mut answer: Response<Incoming>,
        permit: OwnedSemaphorePermit,
        log: RequestLog,
    ) -> Result<Response<Body>, (Error, RequestLog)> {
        let upgraded = match upgrade::on(&mut answer).await {
            Ok(upgraded) => upgraded,
            Err(error) => return Err((Error::Unreachable(error.to_string()), log)),
        };
        let (mut head, _) = answer.into_parts();
        headers::remove_hop_by_hop(&mut head.headers);
        headers::add_web_socket(&mut head.headers);
        let log = log.of_stream(head.status, &mut head.headers, &self.metrics);
        let tunnel = Tunnel::new(upgraded, self.settings.idle_timeout, (log, permit));
        head.extensions.insert(tunnel);
        Ok(Response::from_parts(head, Either::Left(Full::default())))
    }

    fn respond(
        &self,
        answer: Response<Incoming>,
        permit: OwnedSemaphorePermit,
        log: RequestLog,
    ) -> Response<Body> {
        let (mut head, body) = answer.into_parts();
        headers::remove_hop_by_hop(&mut head.headers);
        // Event streams would not end by themselves, and the server waits for its answers before it stops.
        let end = is_event_stream(&head.headers).then(|| self.shutdown.clone().cancelled_owned());
        let log = log.of_stream(head.status, &mut head.headers, &self.metrics);
        let body = Download::new(body, self.settings.idle_timeout, end, log, permit);
        Response::from_parts(head, Either::Right(ReplyStream::of_body(body)))
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE);
    let media = media.and_then(|media| media.to_str().ok());
    media.is_some_and(|media| media.starts_with("text/event-stream"))
}
