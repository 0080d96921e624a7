//! The admin service: probes, metrics, and the operator's routes, which [`routes`] lists. It has a listener
//! of its own, so that overload on the public listener does not fail health checks.
//!
//! # Files
//!
//! * `service`: the parts of the service
//! * `routes`: the table of routes
//! * `auth`: the token, `Host` and cross-site checks
//! * `error`: the errors, and the problem that each becomes
//! * `records`: the JSON records of faces, instances and the cache
//! * `openapi`: the OpenAPI document of the routes
//! * `status`: probes, metrics, and the records of instances and the cache
//! * `fleet`: the state of the fleet
//! * `dashboard`: the page at `/` and its figures
//! * `history`: samples of the counters for the page's graphs
//! * `entries`: shows, refreshes and forgets one face
//! * `push`: takes a picture from a program
//! * `aliases`: the numbers behind LIDs
//! * `purge`: expires or removes entries
//! * `rename`: moves the faces of a former account to an instance
//! * `warm`: starts, shows and stops warm-ups
//! * `webhooks`: takes gateways' events on this listener

mod aliases;
mod auth;
mod dashboard;
mod entries;
mod error;
mod fleet;
mod history;
mod openapi;
mod purge;
mod push;
mod records;
mod rename;
mod routes;
mod service;
mod status;
mod warm;
mod webhooks;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, request::Parts};

use error::Error;
pub use history::History;
use routes::Endpoint;
pub use service::Admin;
pub use warm::{WarmRecord, WarmState};

use crate::{
    http::{Body, BoxError, access_log, collect, gzip, host, problem::Problem, respond},
    pipeline::{Demand, Instance},
    server::Reply,
};

impl Admin {
    /// Answers a request.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let answer = async {
            host::check(&mut head)?;
            self.answer(&head, body).await
        };
        let answer = answer.await;
        let mut reply = answer.unwrap_or_else(|error| Problem::from(error).into_reply());
        gzip::compress(&head.headers, &mut reply);
        respond::finish(&mut reply, &head.method);
        keep_to_origin(&mut reply);
        reply.into()
    }

    /// The answer to a head that cannot be read or is too large.
    pub fn refuse(&self, status: StatusCode) -> Reply {
        let mut reply = access_log::refuse_head(status, &self.metrics);
        keep_to_origin(&mut reply);
        reply
    }

    /// 1. Find the route. 2. Check the access. 3. Check the method. 4. Read the body. 5. Answer.
    async fn answer<B>(&self, head: &Parts, body: B) -> Result<Reply, Error>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let found = routes::find(head.uri.path());
        if !found.is_some_and(|(route, _)| route.is_probe()) {
            let is_page = found.is_some_and(|(route, _)| route.endpoint == Endpoint::Dashboard);
            auth::check(self.token.as_ref(), head, is_page)?;
        }
        let (route, parameters) = found.ok_or(Error::NoRoute)?;
        let method = &head.method;
        if !route.allows(method) {
            return Err(Error::Method(route.methods));
        }
        let max_body = match (route.endpoint, method) {
            (Endpoint::Entry, &Method::PUT) => {
                self.longest_push(&parameters, &head.headers).await?
            }
            _ => route.max_body,
        };
        let body = match max_body {
            0 => Bytes::new(),
            limit => collect(body, limit, self.body_timeout).await?,
        };
        let query = head.uri.query().unwrap_or_default();
        match route.endpoint {
            Endpoint::Livez => Ok(self.livez()),
            Endpoint::Readyz => Ok(self.readyz()),
            Endpoint::Dashboard => Ok(respond::page(dashboard::PAGE.into())),
            Endpoint::Overview => Ok(respond::json(&self.overview().await)),
            Endpoint::Metrics => Ok(self.metrics()),
            Endpoint::OpenApi => Ok(respond::document(Bytes::from_static(
                openapi::DOCUMENT.as_bytes(),
            ))),
            Endpoint::Instances => Ok(respond::json(&self.instance_records())),
            Endpoint::Pause => self.lift_pause(parameters.instance).await,
            Endpoint::Aliases => match *method {
                Method::PUT => self.set_aliases(parameters.instance, &body).await,
                Method::DELETE => self.remove_aliases(parameters.instance).await,
                _ => self.show_aliases(parameters.instance).await,
            },
            Endpoint::Cache => Ok(respond::json(&self.cache_record())),
            Endpoint::Fleet => self.show_fleet(),
            Endpoint::Maintenance => {
                self.faces.run_maintenance().await;
                Ok(respond::json(&self.cache_record()))
            }
            Endpoint::Rename => Ok(respond::json(&self.rename(query).await?)),
            Endpoint::Purge => Ok(respond::json(&self.purge(query).await?)),
            Endpoint::Warm => self.warm(method, query, &body).await,
            Endpoint::Webhook => {
                let result = self
                    .take_event(parameters.provider, &head.headers, &body)
                    .await?;
                Ok(respond::json(&result))
            }
            Endpoint::Entry => {
                let (named, subject) = self.face(&parameters).await?;
                match *method {
                    Method::POST => self.refresh_entry(named, subject).await,
                    Method::PUT => self.push(named, subject, &head.headers, body).await,
                    Method::DELETE => self.forget_entry(named, subject).await,
                    _ => self.show_entry(named, subject).await,
                }
            }
            Endpoint::Picture => {
                let (named, subject) = self.face(&parameters).await?;
                self.picture(named, subject).await
            }
        }
    }

    async fn lift_pause(&self, name: &str) -> Result<Reply, Error> {
        let instance = self.instances.make(name, Demand::IfKnown).await;
        let instance = instance.map_err(Error::from)?;
        match self.faces.lift_pause(&instance).await {
            true => Ok(Reply::empty(StatusCode::NO_CONTENT)),
            false => Err(Error::NoPause),
        }
    }

    /// The instance called `name`, which is made if it is of a pattern.
    async fn instance(&self, name: &str) -> Result<Arc<Instance>, Error> {
        let instance = self.instances.make(name, Demand::Credential).await;
        instance.map_err(Error::from)
    }
}

/// A page of another site may not load anything of this listener.
fn keep_to_origin(reply: &mut Reply) {
    let corp = HeaderName::from_static("cross-origin-resource-policy");
    reply.headers.add(corp, "same-origin");
}
