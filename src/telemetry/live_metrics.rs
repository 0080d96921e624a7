//! The metrics of clients that listen to changes of faces.

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

/// The metrics of clients that listen to changes of faces.
#[derive(Debug, Default)]
pub struct LiveMetrics {
    clients: Gauge,
}

impl LiveMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "faceplate_live_clients",
            "Clients that listen to changes of faces",
            self.clients.clone(),
        );
    }

    /// Sets the number of clients that listen.
    pub fn set_clients(&self, clients: usize) {
        self.clients.set(i64::try_from(clients).unwrap_or(i64::MAX));
    }
}
