//! `PURGE /avatar/{instance}/{jid}`: expires one face. The picture is shown once more while the vendor is
//! asked again.

use std::sync::Arc;

use http::HeaderMap;
use serde::Serialize;

use super::{Error, Public, request::InstanceLookup, route::AvatarUrl};
use crate::{
    avatar::Subject,
    http::{credentials, respond},
    pipeline::{Demand, Instance, PurgeMode, PurgeScope},
    server::Reply,
};

/// A purge whose credential is right.
#[derive(Debug)]
pub(crate) struct PurgeRequest {
    instance: Arc<Instance>,
    subject: Subject,
}

/// The number of faces that were purged.
#[derive(Serialize)]
struct PurgeCount {
    purged: usize,
}

impl Public {
    /// Checks the bearer token. A signed URL gives no right to purge.
    pub(super) fn purge_request(
        &self,
        url: &AvatarUrl<'_>,
        headers: &HeaderMap,
    ) -> Result<InstanceLookup<PurgeRequest>, Error> {
        if !credentials::has_bearer(headers, &self.access.bearer_tokens) {
            return Err(Error::PurgeToken);
        }
        match self.instances.get(&url.instance) {
            Some(instance) => Ok(InstanceLookup::Found(PurgeRequest {
                instance,
                subject: url.subject,
            })),
            None => self
                .pending_instance(&url.instance, Demand::IfKnown)
                .map(InstanceLookup::Pending),
        }
    }

    pub(super) async fn purge(&self, request: &PurgeRequest) -> Result<Reply, Error> {
        let scope = PurgeScope::Face(&request.instance, request.subject);
        let counts = self.faces.purge(scope, PurgeMode::Soft).await?;
        if counts.failed > 0 {
            return Err(Error::NotOnDisk);
        }
        Ok(respond::json(&PurgeCount {
            purged: counts.done,
        }))
    }
}
