//! The parts that all connections of a listener share.

use std::sync::Arc;

use super::{sendfile_cache::SendfileCache, settings::Settings, tls::Tls};

/// The parts that all connections of a listener share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) tls: Option<Tls>,
    pub(super) sendfile: Option<Arc<SendfileCache>>,
}

impl Shared {
    pub(super) fn new(settings: Settings, tls: Option<Tls>) -> Self {
        let sendfile = settings.sendfile.then(|| {
            let cache = Arc::new(SendfileCache::new(settings.in_flight.clone()));
            settings.sealed_files.add(&cache);
            cache
        });
        Self {
            settings,
            tls,
            sendfile,
        }
    }
}
