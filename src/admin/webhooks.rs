//! `POST /v1/hooks/{provider}`: takes the events of a gateway's webhook, for all accounts at that gateway. The
//! description of the gateway says how they are read. An event that is false, lost or sent twice does no harm.

use bytes::Bytes;
use http::HeaderMap;

use super::{Admin, Error};
use crate::{
    http::is_form,
    pipeline::{Demand, EventCounts},
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
        let description = self.instances.provider(provider);
        let description = description.ok_or(Error::UnknownInstance)?;
        let event = description.read_event(body, is_form(headers));
        let account = event.as_ref().ok().and_then(|event| event.account.clone());
        let names = account.as_ref().map(|account| {
            self.instances.with_account(
                account,
                |instance| *instance.provider().name == *provider,
                |pattern| *pattern.settings().provider.name == *provider,
            )
        });
        let names = names.unwrap_or_default();
        let instance = match names.as_slice() {
            [name] => self.instances.make(name, Demand::IfKnown).await.ok(),
            _ => None,
        };
        self.faces
            .record_reading(&description.name, instance.as_deref(), &event);
        let event = event.map_err(Error::WebhookEvent)?;
        // Two gateways may have accounts of one name, and the event does not tell them apart.
        if account.is_none() || names.len() > 1 {
            return Err(Error::WebhookAccount);
        }
        Ok(match instance {
            Some(instance) => self.faces.take_event(&instance, event).await,
            // The event is of an account that is not configured here, or of a name that is not made yet.
            None => self.faces.ignore_event(event.faces.len()),
        })
    }
}
