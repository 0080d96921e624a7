//! `/live/{instance}`: tells clients which faces of an instance have changed, as server-sent events.
//!
//! 1. [`Public::listen`] checks the access, finds the instance and takes a place for the client.
//! 2. A task of the client (`stream`) waits for changes and writes them, until the client leaves, its access ends, or
//!    the server shuts down. A reload checks the access again.

mod event;
mod listeners;
mod rules;
mod settings;
mod stream;

use std::{mem, net::IpAddr};

use http::{HeaderMap, HeaderName, Uri, header};

pub use listeners::LiveListeners;
pub use settings::LiveSettings;

use super::{error::Error, request::InstanceLookup, route::LiveUrl, service::Public};
use crate::{
    http::access_log::RequestLog,
    pipeline::Demand,
    server::{Reply, ReplyStream},
};

/// The media type of server-sent events.
pub(super) const EVENTS: &str = "text/event-stream";
/// Keeps nginx from holding events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

impl Public {
    /// Answers with the changes of an instance's faces. Takes `headers`, unless it fails or the instance is to be made
    /// first.
    pub(super) fn listen(
        &self,
        url: &LiveUrl<'_>,
        uri: &Uri,
        headers: &mut HeaderMap,
        client: Option<IpAddr>,
        is_head: bool,
        log: &mut RequestLog,
    ) -> Result<InstanceLookup<Reply>, Error> {
        log.set_route("live");
        let (rules, now) = (self.listeners.rules(), self.faces.now());
        // Before the instance is looked up, so that a client without access learns no names.
        let until = rules.allow(url, headers, now);
        let until = until.inspect_err(|error| {
            if matches!(error, Error::Access(_)) {
                self.metrics.record_rejected_signature();
            }
        })?;
        let Some(instance) = self.instances.get(&url.instance) else {
            let has_credential = self.access.has_live_credential(url, headers, now);
            let demand = Demand::of_client(has_credential, client);
            let pending = self.pending_instance(&url.instance, demand);
            return pending.map(InstanceLookup::Pending);
        };
        log.set_instance(instance.name());
        let (parts, stream) = ReplyStream::new();
        if !is_head {
            let last = event::last_id(headers, url);
            let listener = stream::Listener {
                place: self.listeners.enter(client, &rules.settings)?,
                send_timeout: self.listeners.send_timeout(),
                heartbeat: rules.settings.heartbeat,
                rules: self.listeners.subscribe(),
                uri: uri.clone(),
                headers: mem::take(headers),
                until,
                feed: self.faces.changes(&instance, last),
                faces: self.faces.clone(),
                parts,
            };
            tokio::spawn(listener.run());
        }
        let mut reply = Reply::with_stream(EVENTS, stream);
        let fields = &mut reply.headers;
        fields.add(header::CACHE_CONTROL, "no-store");
        fields.add(ACCEL_BUFFERING, "no");
        fields.add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        fields.add(header::REFERRER_POLICY, "no-referrer");
        fields.add_all(&self.cross_origin);
        Ok(InstanceLookup::Found(reply))
    }
}
