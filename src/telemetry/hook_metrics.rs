//! The metrics of webhooks.

use std::sync::Arc;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The metrics of webhooks.
#[derive(Debug, Default)]
pub struct HookMetrics {
    events: Family<ReadingLabels, Counter>,
    contacts: Family<ResultLabels, Counter>,
    rejects: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadingLabels {
    provider: Arc<str>,
    reading: &'static str,
}

/// How an event was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventReading {
    /// It is one of the kinds that the gateway's description has.
    Known,
    /// It is of none of these kinds.
    Unknown,
    /// It is of a known kind, and names no contact where the description says.
    NoContact,
    /// It cannot be read.
    Malformed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// What became of a contact in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactResult {
    /// The entry was marked as outdated.
    Marked,
    /// The link of the event was downloaded.
    Downloaded,
    /// The address guard blocks the link.
    Blocked,
    /// The link was not downloaded for another reason.
    Failed,
    /// Nothing.
    Ignored,
}

impl HookMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "faceplate_hook_events",
            "Webhook events with the right secret, by how the gateway's description reads them",
            self.events.clone(),
        );
        registry.register(
            "faceplate_hook_contacts",
            "Contacts in webhook events, by what became of them",
            self.contacts.clone(),
        );
        registry.register(
            "faceplate_hook_rejects",
            "Webhook events refused for their secret or signature",
            self.rejects.clone(),
        );
    }

    /// Records an event of a gateway.
    pub fn record_event(&self, provider: &Arc<str>, reading: EventReading) {
        let labels = ReadingLabels {
            provider: provider.clone(),
            reading: match reading {
                EventReading::Known => "known",
                EventReading::Unknown => "unknown",
                EventReading::NoContact => "no_contact",
                EventReading::Malformed => "malformed",
            },
        };
        self.events.get_or_create(&labels).inc();
    }

    /// Records what became of this many contacts of an event.
    pub fn record_contacts(&self, result: ContactResult, count: usize) {
        let labels = ResultLabels {
            result: match result {
                ContactResult::Marked => "marked",
                ContactResult::Downloaded => "downloaded",
                ContactResult::Blocked => "blocked",
                ContactResult::Failed => "failed",
                ContactResult::Ignored => "ignored",
            },
        };
        let contacts = self.contacts.get_or_create(&labels);
        contacts.inc_by(count as u64);
    }

    /// Records an event that was refused for its secret or its signature.
    pub fn record_reject(&self) {
        self.rejects.inc();
    }
}
