//! Webhooks of the gateways: a contact's picture may have changed, so it is asked for again when it is
//! looked at next, inside the budget and past what the gateway itself keeps. A hint, and no more:
//! nothing is lost by one that lies, is lost, or comes twice.
//!
//! `POST /v1/hooks/{provider}` takes what WAHA's family and Evolution's send: an object that names the
//! account in `session` or `instance`, the kind of event in `event`, and the contacts somewhere below
//! `payload` or `data`.
//!
//! * Evolution (and whatever is made from Baileys): `contacts.update`, `contacts.upsert`, with
//!   `remoteJid` or `id`, and `groups.update`.
//! * WAHA: `engine.event` with whatsmeow's `events.Picture` inside (`JID`), `group.v2.update` (`id`).

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    avatar::Subject,
    front::Front,
    http::problem::Problem,
    pipeline::{Instance, PurgeMode, PurgeScope},
};

/// The largest event that is read.
pub(crate) const LONGEST: usize = 256 * 1024;
/// More contacts than any gateway puts in one event.
const MOST_CONTACTS: usize = 1000;
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

/// What an event came to.
#[derive(Serialize)]
pub(crate) struct Heard {
    /// Faces that will be asked for again.
    marked: usize,
    /// Names of nobody that is known here, or that are none.
    ignored: usize,
}

/// Takes an event of `provider`.
pub(crate) async fn take(front: &Front, provider: &str, body: &Bytes) -> Result<Heard, Problem> {
    let event: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Problem::Event("send a JSON object"))?;
    let jids = contacts(&event);
    let Some(instance) = addressed(front, provider, &event)? else {
        // Another account at the same gateway.
        return Ok(heard(front, 0, jids.len()));
    };
    let (mut marked, mut ignored) = (0, 0);
    for jid in jids {
        let subject: Option<Subject> = jid.parse().ok().filter(|subject| *subject != Subject::Me);
        let purged = match subject {
            Some(subject) => {
                let which = PurgeScope::Face(&instance, subject);
                front.faces().purge(which, PurgeMode::Changed).await.ok()
            }
            None => None,
        };
        if purged.is_some_and(|purged| purged.done > 0) {
            marked += 1;
        } else {
            ignored += 1;
        }
    }
    Ok(heard(front, marked, ignored))
}

/// The instance that an event is for, if it is one of ours.
fn addressed(
    front: &Front,
    provider: &str,
    event: &Map<String, Value>,
) -> Result<Option<Arc<Instance>>, Problem> {
    let mut theirs = front
        .instances()
        .filter(|instance| instance.vendor().as_str() == provider)
        .peekable();
    if theirs.peek().is_none() {
        return Err(Problem::NoInstance);
    }
    let account = ACCOUNTS
        .iter()
        .find_map(|name| event.get(*name)?.as_str())
        .ok_or(Problem::Event("name the account in session or instance"))?;
    let mut named = theirs.filter(|instance| instance.account().name == account);
    Ok(named.next().cloned())
}

fn heard(front: &Front, marked: usize, ignored: usize) -> Heard {
    front.metrics().hinted(marked as u64, ignored as u64);
    Heard { marked, ignored }
}

/// Every JID of an event that can mean a new picture.
fn contacts(event: &Map<String, Value>) -> Vec<&str> {
    let mut jids = Vec::new();
    for name in ["payload", "data"] {
        let Some(inside) = event.get(name) else {
            continue;
        };
        let kinds = [event.get("event"), inside.get("event")];
        let is_about_faces = kinds
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|kind| {
                let kind = kind.to_ascii_lowercase();
                ["contact", "picture", "group"]
                    .iter()
                    .any(|word| kind.contains(word))
            });
        if is_about_faces {
            collect(inside, &mut jids);
        }
    }
    jids
}

fn collect<'a>(value: &'a Value, jids: &mut Vec<&'a str>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, jids)),
        Value::Object(members) => {
            // One name for each contact: an event may have it under several.
            let named = JIDS.iter().find_map(|name| members.get(*name)?.as_str());
            if let Some(jid) = named.filter(|_| jids.len() < MOST_CONTACTS)
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
