//! `POST /v1/hooks/{provider}`: takes the gateways' webhook events. A contact's picture may have changed, so its
//! entry is marked outdated: the next request for it asks the vendor within the budget, past the gateway's own
//! cache. An event that is false, lost or sent twice does no harm.
//!
//! An event is an object that names the account in `session` or `instance`, the kind of event in `event`, and
//! contacts anywhere below `payload` or `data`, as WAHA, its relatives and Evolution send it:
//!
//! * Evolution (and others made from Baileys): `contacts.update`, `contacts.upsert`, with `remoteJid` or `id`,
//!   and `groups.update`.
//! * WAHA: `engine.event` with whatsmeow's `events.Picture` inside (`JID`), `group.v2.update` (`id`).

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Admin, Error};
use crate::{
    avatar::Subject,
    pipeline::{Instance, PurgeMode, PurgeScope},
};

/// The longest event in bytes.
pub(super) const MAX_BODY: usize = 256 * 1024;
/// More contacts than any gateway puts in one event.
const MAX_CONTACTS: usize = 1000;
/// The names of members that hold a JID.
const JIDS: [&str; 7] = [
    "id",
    "jid",
    "JID",
    "remoteJid",
    "chatId",
    "contactId",
    "groupJid",
];
/// The names of members that hold the account's name.
const ACCOUNTS: [&str; 4] = ["session", "instance", "instanceName", "instance_id"];

/// The result of an event.
#[derive(Serialize, ToSchema)]
pub(super) struct EventResult {
    /// The number of faces that were marked outdated.
    marked: usize,
    /// The number of contacts that are not in the cache or have no JID.
    ignored: usize,
}

impl Admin {
    /// Takes an event of `provider`.
    pub(super) async fn take_event(
        &self,
        provider: &str,
        body: &Bytes,
    ) -> Result<EventResult, Error> {
        let event: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| Error::WebhookEvent("send a JSON object"))?;
        let jids = contacts(&event);
        let (mut marked, mut ignored) = (0, 0);
        match self.addressee(provider, &event)? {
            Some(instance) => {
                for jid in jids {
                    match self.mark_outdated(instance, jid).await {
                        true => marked += 1,
                        false => ignored += 1,
                    }
                }
            }
            // The event is of an account that is not configured here.
            None => ignored = jids.len(),
        }
        self.metrics
            .record_webhook_contacts(marked as u64, ignored as u64);
        Ok(EventResult { marked, ignored })
    }

    /// The instance that an event is for. `None` if its account is not configured.
    fn addressee(
        &self,
        provider: &str,
        event: &Map<String, Value>,
    ) -> Result<Option<&Arc<Instance>>, Error> {
        let mut candidates = self
            .instances
            .iter()
            .filter(|instance| *instance.provider().name == *provider)
            .peekable();
        if candidates.peek().is_none() {
            return Err(Error::UnknownInstance);
        }
        let account = ACCOUNTS.iter().find_map(|name| event.get(*name)?.as_str());
        let account = account.ok_or(Error::WebhookEvent(
            "name the account in session or instance",
        ))?;
        Ok(candidates.find(|instance| instance.account().name == account))
    }

    /// Marks the entry of `jid` outdated. Returns whether there was one.
    async fn mark_outdated(&self, instance: &Instance, jid: &str) -> bool {
        let Ok(subject @ Subject::Chat(_)) = jid.parse() else {
            return false;
        };
        let scope = PurgeScope::Face(instance, subject);
        let counts = self.faces.purge(scope, PurgeMode::Changed).await;
        counts.is_ok_and(|counts| counts.done > 0)
    }
}

/// The JIDs of an event that can be about a new picture.
fn contacts(event: &Map<String, Value>) -> Vec<&str> {
    let mut jids = Vec::new();
    for name in ["payload", "data"] {
        let Some(inside) = event.get(name) else {
            continue;
        };
        let kinds = [event.get("event"), inside.get("event")];
        let is_about_pictures = kinds
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|kind| {
                let kind = kind.to_ascii_lowercase();
                ["contact", "picture", "group"]
                    .iter()
                    .any(|word| kind.contains(word))
            });
        if is_about_pictures {
            collect(inside, &mut jids);
        }
    }
    jids
}

fn collect<'a>(value: &'a Value, jids: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, jids)),
        Value::Object(members) => {
            // One member for each contact: an event may repeat its JID in several.
            let named = JIDS.iter().find_map(|name| members.get(*name)?.as_str());
            if let Some(jid) = named.filter(|_| jids.len() < MAX_CONTACTS)
                && !jids.contains(&jid)
            {
                jids.push(jid);
            }
            members
                .values()
                .filter(|value| value.is_array() || value.is_object())
                .for_each(|value| collect(value, jids));
        }
        _ => {}
    }
}
