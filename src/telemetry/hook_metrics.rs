//! The metrics of webhooks.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The metrics of webhooks.
#[derive(Debug, Default)]
pub struct HookMetrics {
    contacts: Family<ResultLabels, Counter>,
    rejects: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

impl HookMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
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

    /// Records the contacts of an event: those whose entry was marked as outdated, those whose picture is
    /// downloaded, and the others.
    pub fn record_contacts(&self, marked: usize, downloads: usize, ignored: usize) {
        let counts = [
            ("marked", marked),
            ("downloaded", downloads),
            ("ignored", ignored),
        ];
        for (result, count) in counts {
            let contacts = self.contacts.get_or_create(&ResultLabels { result });
            contacts.inc_by(count as u64);
        }
    }

    /// Records an event that was refused for its secret or its signature.
    pub fn record_reject(&self) {
        self.rejects.inc();
    }
}
