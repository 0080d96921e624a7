//! The clients that listen, in bounded numbers, and the rules that all of them follow.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::watch;

use super::{rules::Rules, settings::LiveSettings};
use crate::{
    pipeline::Instances,
    public::{access::Access, error::Error},
    sync::lock,
    telemetry::{Limit, Metrics},
};

/// The clients that listen. A reload keeps them. Clones share them.
#[derive(Clone, Debug)]
pub struct LiveListeners {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    counts: Mutex<Counts>,
    rules: watch::Sender<Arc<Rules>>,
    send_timeout: Duration,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The place of a client that listens.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    client: Option<IpAddr>,
}

impl LiveListeners {
    /// No clients yet. A client that reads nothing for `send_timeout` is disconnected.
    pub fn new(send_timeout: Duration, metrics: Metrics) -> Self {
        // All are refused until the rules are set.
        let closed = Rules {
            access: Arc::new(Access::closed()),
            instances: Instances::default(),
            settings: LiveSettings::default(),
        };
        Self {
            shared: Arc::new(Shared {
                counts: Mutex::default(),
                rules: watch::Sender::new(Arc::new(closed)),
                send_timeout,
                metrics,
            }),
        }
    }

    /// Sets which clients may listen. The streams of all others end.
    pub fn set_rules(&self, access: Arc<Access>, instances: Instances, settings: LiveSettings) {
        self.shared.rules.send_replace(Arc::new(Rules {
            access,
            instances,
            settings,
        }));
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.shared.rules.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Rules>> {
        self.shared.rules.subscribe()
    }

    pub(super) fn send_timeout(&self) -> Duration {
        self.shared.send_timeout
    }

    /// A place for a client; `None` if there are too many. Clients without limits have no address.
    pub(super) fn enter(
        &self,
        client: Option<IpAddr>,
        settings: &LiveSettings,
    ) -> Result<Place, Error> {
        let mut counts = lock(&self.shared.counts);
        let of_client = client.and_then(|client| counts.by_address.get(&client));
        let full = if of_client.is_some_and(|count| *count >= settings.max_per_address) {
            Some(Error::LiveFullOfClient)
        } else {
            (counts.total >= settings.max_clients).then_some(Error::LiveFull)
        };
        if let Some(full) = full {
            drop(counts);
            Limit::LiveClients.report();
            return Err(full);
        }
        counts.total += 1;
        if let Some(client) = client {
            *counts.by_address.entry(client).or_default() += 1;
        }
        self.shared.metrics.live().set_clients(counts.total);
        Ok(Place {
            shared: self.shared.clone(),
            client,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.shared.counts);
        counts.total -= 1;
        if let Some(client) = self.client
            && let Some(count) = counts.by_address.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&client);
            }
        }
        self.shared.metrics.live().set_clients(counts.total);
    }
}
