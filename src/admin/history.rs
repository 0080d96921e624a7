//! Samples of the counters, one a minute for the last hour, for the dashboard's graphs.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::Serialize;
use utoipa::ToSchema;

use super::Admin;
use crate::{avatar::Outcome, sync::lock};

/// The last hour's samples. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct History {
    samples: Arc<Mutex<VecDeque<Sample>>>,
}

/// Totals since the start, at one moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Sample {
    /// Seconds since the Unix epoch.
    at: u64,
    /// Requests for faces by the result of the look-up.
    cache: BTreeMap<&'static str, u64>,
    /// Calls to vendors by outcome.
    outcomes: BTreeMap<&'static str, u64>,
}

impl History {
    /// The time between samples.
    pub const STEP: Duration = Duration::from_secs(60);
    /// The samples of an hour.
    const MAX_SAMPLES: usize = 61;

    /// All samples, oldest first.
    pub(super) fn samples(&self) -> Vec<Sample> {
        lock(&self.samples).iter().cloned().collect()
    }
}

impl Admin {
    /// Adds a sample to the history.
    pub fn record_sample(&self) {
        let mut samples = lock(&self.history.samples);
        while samples.len() >= History::MAX_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(self.sample());
    }

    /// The totals now.
    pub(super) fn sample(&self) -> Sample {
        let metrics = &self.metrics;
        let statuses = ["hit", "stale", "miss", "expired", "refresh", "bypass"];
        let accounts = self.instances.labels();
        let total = |outcome| {
            accounts
                .iter()
                .map(|account| metrics.transactions(account, outcome))
                .sum()
        };
        Sample {
            at: self.faces.now().as_secs(),
            cache: statuses
                .into_iter()
                .map(|status| (status, metrics.cache_requests(status)))
                .collect(),
            outcomes: Outcome::all()
                .map(Outcome::as_str)
                .map(|outcome| (outcome, total(outcome)))
                .collect(),
        }
    }
}
