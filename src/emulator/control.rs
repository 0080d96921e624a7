//! The hand on the emulator: tests use it in process, visitors through the routes of
//! [`super::control_routes`].

use std::sync::Arc;

use bytes::Bytes;

use super::{
    calls::Calls,
    faults::ActiveRule,
    jid,
    population::{Known, Picture},
    rule::{BadInput, Rule},
    world::World,
};

/// Changes what the emulator shows and tells what it was asked. Clones act on the same emulator.
#[derive(Clone)]
pub struct Control(pub(super) Arc<World>);

// === impl Control ===

impl Control {
    /// Puts `rule` in force and returns its number. Refused is a rule that could never strike.
    pub fn inject(&self, rule: Rule) -> Result<u64, BadInput> {
        self.0.faults.add(rule)
    }

    /// Takes one rule out of force; false when there is no such rule.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.0.faults.remove(id)
    }

    /// Takes all rules out of force.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
    }

    /// The rules in force, spent ones included.
    pub fn faults(&self) -> Vec<ActiveRule> {
        self.0.faults.list()
    }

    /// What was asked since the start or the last reset.
    pub fn calls(&self) -> Calls {
        self.0.counter.calls()
    }

    /// Starts the count again.
    pub fn reset_calls(&self) {
        self.0.counter.reset();
    }

    /// Lets `jid`, in any spelling, show `picture` from now on. Vendors that remember the old one
    /// go on showing it for up to 24 h, as they do.
    pub fn set_picture(&self, jid: &str, picture: Picture) -> Result<(), BadInput> {
        let canonical = jid::canonical(jid).ok_or_else(|| BadInput::not_a_jid(jid))?;
        self.0.network.set_picture(canonical, picture);
        Ok(())
    }

    /// The exact bytes that the CDN serves as the picture of `jid` now.
    pub fn face_bytes(&self, jid: &str) -> Option<Bytes> {
        self.0.face_bytes(&jid::canonical(jid)?)
    }

    /// The fixed cast, with what each shows now.
    pub fn known(&self) -> Vec<Known> {
        self.0.network.known()
    }

    /// Makes the vendors forget what WhatsApp told them, as a restart does.
    pub fn forget_vendor_cache(&self) {
        self.0.vendor_cache.clear();
    }

    /// The token that every vendor accepts.
    pub fn token(&self) -> &str {
        &self.0.token
    }
}
