//! `POST /v1/hooks/{provider}`: takes the events of a gateway's webhook, for all accounts at that gateway. The
//! description of the gateway says how they are read. An event that is false, lost or sent twice does no harm.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::{Admin, Error};
use crate::{
    http::is_form,
    pipeline::{EventCounts, Instance},
};

/// The longest event in bytes.
pub(super) const MAX_BODY: usize = 256 * 1024;

impl Admin {
    /// Takes an event of `provider`.
    pub(super) async fn take_event(
        &self,
        provider: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<EventCounts, Error> {
        let of_provider = |instance: &&Arc<Instance>| *instance.provider().name == *provider;
        let mut candidates = self.instances.iter().filter(of_provider);
        let first = candidates.next().ok_or(Error::UnknownInstance)?;
        let event = first.provider().read_event(body, is_form(headers));
        let event = event.map_err(Error::WebhookEvent)?;
        let account = event.account.ok_or(Error::WebhookAccount)?;
        let is_named = |instance: &Arc<Instance>| instance.account().name == account;
        let named = [first].into_iter().chain(candidates);
        Ok(
            match named.into_iter().find(|instance| is_named(instance)) {
                Some(instance) => self.faces.take_event(instance, event.faces).await,
                // The event is of an account that is not configured here.
                None => self.faces.ignore_event(event.faces.len()),
            },
        )
    }
}
