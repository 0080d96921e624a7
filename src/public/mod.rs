//! The public service: faces by URL.
//!
//! 1. [`Public::begin`] parses the URL, checks the access and finds the instance, once.
//! 2. It answers from memory if it can.
//! 3. [`Public::finish`] does the rest: it waits for the vendor, an image or the disk.
//!
//! # Files
//!
//! * `service`: the parts of the service
//! * `route`: parses paths and queries
//! * `access`: checks signatures and tokens
//! * `access_error`: why a request may not see a face
//! * `request`: a request for a face, read once
//! * `avatar`: `/avatar/{instance}/{jid}`
//! * `purge`: `PURGE` of a face
//! * `live/`: `/live/{instance}`
//! * `script`: `/faceplate.js`
//! * `error`: the errors, and the problem that each becomes
//! * `openapi`: the routes in OpenAPI

mod access;
mod access_error;
mod avatar;
mod error;
mod live;
pub(crate) mod openapi;
mod purge;
mod request;
pub(crate) mod route;
mod script;
mod service;

use std::net::IpAddr;

use http::{Method, Uri, request::Parts};

pub use access::{Access, Mode};
use avatar::{Attempt, Pending};
pub(crate) use error::Error;
pub use live::{LiveListeners, LiveSettings};
use purge::PurgeRequest;
pub(crate) use request::PendingInstance;
use request::{AvatarRequest, InstanceLookup};
use route::Route;
pub(crate) use service::{OpenApi, Public};

use crate::{
    http::{access_log::RequestLog, is_read, respond},
    pipeline::NotMade,
    server::Reply,
};

/// The result of reading a request.
pub(crate) enum BeginResult {
    /// The reply.
    Reply(Reply),
    /// Work that has to be waited for.
    Work(Work),
    /// The instance has to be made first, and then the request to be begun again.
    PendingInstance(PendingInstance),
}

/// A request that was read, and is to be finished.
pub(crate) enum Work {
    Avatar(Box<AvatarRequest>, Pending),
    Purge(PurgeRequest),
}

impl Public {
    /// Reads a request of `client` and answers it if nothing has to be waited for. `None` if its path may be
    /// another service's; then `head` is untouched, as it is where the instance has to be made first.
    pub(crate) fn begin(
        &self,
        head: &mut Parts,
        client: Option<IpAddr>,
        log: &mut RequestLog,
    ) -> Result<Option<BeginResult>, Error> {
        let Parts {
            method,
            uri,
            headers,
            ..
        } = head;
        let Some(route) = Route::parse(uri)? else {
            return Ok(None);
        };
        let is_read = is_read(method);
        let reply = match route {
            Route::Avatar(url) if is_read => {
                let found = self.avatar_request(url, method, headers, client, log)?;
                let request = match found {
                    InstanceLookup::Found(request) => request,
                    InstanceLookup::Pending(pending) => {
                        return Ok(Some(BeginResult::PendingInstance(pending)));
                    }
                };
                match self.try_avatar(&request, log)? {
                    Attempt::Reply(reply) => reply,
                    Attempt::Pending(pending) => {
                        let work = Work::Avatar(Box::new(request), pending);
                        return Ok(Some(BeginResult::Work(work)));
                    }
                }
            }
            Route::Avatar(url) if method.as_str() == "PURGE" => {
                log.set_route("purge");
                return Ok(Some(match self.purge_request(&url, headers)? {
                    InstanceLookup::Found(request) => BeginResult::Work(Work::Purge(request)),
                    InstanceLookup::Pending(pending) => BeginResult::PendingInstance(pending),
                }));
            }
            Route::Live(url) if is_read => {
                let is_head = *method == Method::HEAD;
                match self.listen(&url, uri, headers, client, is_head, log)? {
                    InstanceLookup::Found(reply) => reply,
                    InstanceLookup::Pending(pending) => {
                        return Ok(Some(BeginResult::PendingInstance(pending)));
                    }
                }
            }
            Route::Avatar(_) => return Err(Error::Method("GET, HEAD, PURGE")),
            Route::Home if self.home.is_none() => return Err(Error::NoRoute),
            _ if !is_read => return Err(Error::Method("GET, HEAD")),
            Route::Live(_) => return Err(Error::Method("GET, HEAD")),
            Route::Script => {
                log.set_route("script");
                self.script(headers)
            }
            Route::OpenApi => respond::document(self.openapi.clone()),
            Route::Home => respond::page(self.home.clone().unwrap_or_default()),
        };
        Ok(Some(BeginResult::Reply(reply)))
    }

    /// Makes the instance that a request needs, and answers the request.
    pub(crate) async fn answer_for(
        &self,
        pending: PendingInstance,
        head: &mut Parts,
        client: Option<IpAddr>,
        log: &mut RequestLog,
    ) -> Result<Reply, Error> {
        let made = self.instances.make(&pending.name, pending.demand).await;
        // Held, so that the instance is in memory when the request is begun again.
        let _instance = made.map_err(|error| match error {
            NotMade::Unknown => Error::UnknownInstance,
            NotMade::Full => Error::InstancesFull,
        })?;
        match self.begin(head, client, log)? {
            Some(BeginResult::Reply(reply)) => Ok(reply),
            Some(BeginResult::Work(work)) => self.finish(work, log).await,
            Some(BeginResult::PendingInstance(_)) | None => Err(Error::InstancesFull),
        }
    }

    /// Whether this service has a route for the path.
    pub(crate) fn has(&self, uri: &Uri) -> bool {
        !matches!(Route::parse(uri), Ok(None))
    }

    /// Finishes a request.
    pub(crate) async fn finish(&self, work: Work, log: &mut RequestLog) -> Result<Reply, Error> {
        match work {
            Work::Avatar(request, pending) => self.finish_avatar(&request, pending, log).await,
            Work::Purge(request) => self.purge(&request).await,
        }
    }
}
