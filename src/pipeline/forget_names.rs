//! Forgets unused names of patterns. Otherwise, each name that a client has ever asked for would stay on disk.
//!
//! A name is forgotten if it is not in memory, has no picture in the cache, and its budget is full. Nothing is lost
//! then but the name of its account, which keeps one account's pictures from the users of another.

use super::{Demand, Faces, Instances, has_unsent_changes};

impl Faces {
    /// Forgets unused names of patterns. Reads all index files of the cache.
    pub async fn forget_unused_names(&self, instances: &Instances) {
        let store = &self.shared.store;
        if instances.patterns().is_empty() {
            return;
        }
        let mut unused: Vec<_> = store.instances_on_disk().into_iter().collect();
        unused.retain(|name| {
            let pattern = instances.pattern_of(name);
            pattern.is_some_and(|pattern| !pattern.is_made(name))
        });
        if unused.is_empty() {
            return;
        }
        let Some(with_pictures) = store.names_with_pictures().await else {
            return;
        };
        for name in unused {
            let names = store.load_account_names(&name);
            let mut cache_names = names.iter().flat_map(|names| names.all());
            if cache_names.any(|name| with_pictures.contains(name)) {
                continue;
            }
            if let Some(pattern) = instances.pattern_of(&name) {
                if self.fleet().is_some() && has_unsent_changes(store, &name) {
                    // Its entries are compared with Redis, so that it can be forgotten the next time.
                    let _ = pattern.make(&name, Demand::IfKnown).await;
                } else {
                    pattern.forget(&name).await;
                }
            }
        }
    }
}
