//! A request for a face, read once: parsed, verified and with its instance found. Later steps work on it and
//! read nothing again.

use std::{mem, net::IpAddr, time::Duration};

use http::{HeaderMap, Method};

use super::{Error, Public, route::AvatarUrl};
use crate::{
    avatar::Ask, clock::Timestamp, http::access_log::RequestLog, pipeline::Demand,
    representation::FaceRequest, telemetry::AVATAR,
};

/// A request that may see its face.
#[derive(Debug)]
pub(crate) struct AvatarRequest {
    pub(super) face: FaceRequest,
    pub(super) ask: Ask,
    /// When its access was checked.
    pub(super) now: Timestamp,
    /// How long it waits for the vendor, if that is not the first-paint deadline.
    pub(super) wait: Option<Duration>,
}

/// The result of finding the instance of a request.
pub(super) enum InstanceLookup<R> {
    /// The request, with its instance.
    Found(R),
    /// Its instance is to be made first.
    Pending(PendingInstance),
}

/// An instance of a pattern that is not in memory, and that a request may have made.
#[derive(Debug)]
pub(crate) struct PendingInstance {
    pub(super) name: String,
    pub(super) demand: Demand,
}

impl Public {
    /// Checks the access and finds the instance. Takes `method` and `headers`, unless it fails or the instance is to be
    /// made first.
    pub(super) fn avatar_request(
        &self,
        mut url: AvatarUrl<'_>,
        method: &mut Method,
        headers: &mut HeaderMap,
        client: Option<IpAddr>,
        log: &mut RequestLog,
    ) -> Result<InstanceLookup<AvatarRequest>, Error> {
        log.set_route(AVATAR);
        // Before the instance is looked up, so that a client without access learns no names.
        let now = self.faces.now();
        let access = self.access.check(&url, headers, now);
        let sharing = access.inspect_err(|_| self.metrics.record_rejected_signature())?;
        let Some(instance) = self.instances.get(&url.instance) else {
            let has_credential = self.access.has_credential(&url, headers, now);
            let demand = Demand::of_client(has_credential, client);
            let pending = self.pending_instance(&url.instance, demand);
            return pending.map(InstanceLookup::Pending);
        };
        log.set_instance(instance.name());
        if url.wait.is_some() && !self.access.has_credential(&url, headers, now) {
            url.wait = None;
            url.view.ignored.push("wait");
        }
        Ok(InstanceLookup::Found(AvatarRequest {
            now,
            wait: url.wait,
            ask: if url.refresh { Ask::Refresh } else { Ask::View },
            face: FaceRequest {
                instance,
                subject: url.subject,
                view: url.view,
                method: mem::take(method),
                headers: mem::take(headers),
                is_refresh: url.refresh,
                sharing,
                client,
            },
        }))
    }

    /// The instance of a request, if it is of a pattern.
    pub(super) fn pending_instance(
        &self,
        name: &str,
        demand: Demand,
    ) -> Result<PendingInstance, Error> {
        match self.instances.pattern_of(name) {
            Some(_) => Ok(PendingInstance {
                name: name.to_owned(),
                demand,
            }),
            None => Err(Error::UnknownInstance),
        }
    }
}
