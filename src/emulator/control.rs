//! Controls a running emulator: tests in process, users over HTTP through `control_routes`.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    call_log::Calls,
    faults::ActiveRule,
    jid,
    population::{Picture, Profile},
    rule::{BadInput, Rule},
    state::State,
    webhooks::{Event, EventKind, Webhook},
};

/// Changes pictures and rules, and reports the calls. Clones control the same emulator.
#[derive(Clone)]
pub struct Control(pub(super) Arc<State>);

// === impl Control ===

impl Control {
    /// Puts `rule` in force and returns its number. A rule that could never apply is refused.
    pub fn inject(&self, rule: Rule) -> Result<u64, BadInput> {
        self.0.faults.add(rule)
    }

    /// Removes a rule; false if there is no such rule.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.0.faults.remove(id)
    }

    /// Removes all rules.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
    }

    /// The rules in force, spent ones included.
    pub fn faults(&self) -> Vec<ActiveRule> {
        self.0.faults.list()
    }

    /// The calls since the start or the last reset.
    pub fn calls(&self) -> Calls {
        self.0.call_log.calls()
    }

    /// Empties the log of calls.
    pub fn reset_calls(&self) {
        self.0.call_log.reset();
    }

    /// Changes the picture of `jid`, in any spelling. Vendors that have the old one in their cache go on
    /// showing it for up to 24 h.
    pub fn set_picture(&self, jid: &str, picture: Picture) -> Result<(), BadInput> {
        let canonical = jid::canonicalize(jid).ok_or_else(|| BadInput::not_a_jid(jid))?;
        self.0.whatsapp.set_picture(canonical.clone(), picture);
        self.0.webhooks.report(Event {
            alt: self.0.whatsapp.other_name(&canonical),
            jid: canonical,
            kind: EventKind::Picture,
        });
        Ok(())
    }

    /// Makes a LID and a number one person, in any spelling. Their pictures stay as they are.
    pub fn set_number(&self, lid: &str, number: &str) -> Result<(), BadInput> {
        let canonical = |jid| jid::canonicalize(jid).ok_or_else(|| BadInput::not_a_jid(jid));
        self.0
            .whatsapp
            .set_number(canonical(lid)?, canonical(number)?);
        Ok(())
    }

    /// Lets a message come in from `jid`, in any spelling.
    pub fn receive_message(&self, jid: &str) -> Result<(), BadInput> {
        let canonical = jid::canonicalize(jid).ok_or_else(|| BadInput::not_a_jid(jid))?;
        self.0.webhooks.report(Event {
            alt: self.0.whatsapp.other_name(&canonical),
            jid: canonical,
            kind: EventKind::Message,
        });
        Ok(())
    }

    /// Reports the events of an account to a webhook.
    pub fn add_webhook(&self, webhook: Webhook) -> Result<(), BadInput> {
        self.0.webhooks.add(webhook)
    }

    /// The webhooks.
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.0.webhooks.list()
    }

    /// Removes all webhooks.
    pub fn clear_webhooks(&self) {
        self.0.webhooks.clear();
    }

    /// The exact bytes that the CDN serves as the picture of `jid` now.
    pub fn face_bytes(&self, jid: &str) -> Option<Bytes> {
        self.0.face_bytes(&jid::canonicalize(jid)?)
    }

    /// The fixed profiles, with the pictures of now.
    pub fn profiles(&self) -> Vec<Profile> {
        self.0.whatsapp.profiles()
    }

    /// Empties the vendors' caches, as a restart would.
    pub fn forget_vendor_cache(&self) {
        self.0.vendor_cache.clear();
    }

    /// The token that every vendor accepts.
    pub fn token(&self) -> &str {
        &self.0.token
    }
}
