//! The metrics of accounts. The label `instance` is the name of a table of the configuration: all names of a pattern are
//! one, however many they are.

use std::sync::{Mutex, MutexGuard};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::sync::lock;

/// The metrics of accounts.
#[derive(Debug, Default)]
pub struct InstanceMetrics {
    budget: Family<InstanceLabels, Gauge>,
    daily: Family<InstanceLabels, Gauge>,
    wanted: Family<InstanceLabels, Gauge>,
    names: Family<InstanceLabels, Gauge>,
    paused: Family<PauseLabels, Gauge>,
    sessions: Family<SessionLabels, Gauge>,
    /// Held from the first figure of a scrape until all of them are written out, so that no other scrape sees a part.
    scrape: Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    instance: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PauseLabels {
    instance: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SessionLabels {
    instance: String,
    state: &'static str,
}

/// The figures of an instance, or the sums of those of a pattern, at the moment of a scrape.
#[derive(Debug, Default)]
pub struct InstanceFigures<'a> {
    /// Calls that may be made at once.
    pub budget: u64,
    /// Calls that the daily cap leaves, if there is one.
    pub daily_left: Option<u64>,
    /// Faces that wait for the budget.
    pub wanted: usize,
    /// The names of a pattern that are in memory.
    pub names: Option<usize>,
    /// Paused accounts, by reason.
    pub paused: &'a [(&'static str, usize)],
    /// Accounts by the state of their session.
    pub sessions: &'a [(&'static str, usize)],
}

impl InstanceMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "faceplate_upstream_budget",
            "Calls that the instance may make at once",
            self.budget.clone(),
        );
        registry.register(
            "faceplate_daily_calls_left",
            "Calls that the instance's daily cap leaves until midnight UTC",
            self.daily.clone(),
        );
        registry.register(
            "faceplate_wanted_faces",
            "Faces that are fetched as soon as the budget allows",
            self.wanted.clone(),
        );
        registry.register(
            "faceplate_instance_names",
            "Names of a pattern that are in memory",
            self.names.clone(),
        );
        registry.register(
            "faceplate_instance_paused",
            "Accounts that make no calls for now, by reason",
            self.paused.clone(),
        );
        registry.register(
            "faceplate_sessions",
            "Accounts by the state of their session, as the vendor's answers show it",
            self.sessions.clone(),
        );
    }

    /// Forgets the figures of the last scrape, and with them instances that a reload removed. The guard is to be held
    /// until the metrics are written out.
    pub fn begin_scrape(&self) -> MutexGuard<'_, ()> {
        let guard = lock(&self.scrape);
        for family in [&self.budget, &self.daily, &self.wanted, &self.names] {
            family.clear();
        }
        self.paused.clear();
        self.sessions.clear();
        guard
    }

    /// Sets the figures of an instance.
    pub fn set(&self, instance: &str, figures: &InstanceFigures<'_>) {
        let gauge = |family: &Family<InstanceLabels, Gauge>, figure: u64| {
            let labels = InstanceLabels {
                instance: instance.to_owned(),
            };
            set(&family.get_or_create(&labels), figure);
        };
        gauge(&self.budget, figures.budget);
        gauge(&self.wanted, figures.wanted as u64);
        if let Some(left) = figures.daily_left {
            gauge(&self.daily, left);
        }
        if let Some(names) = figures.names {
            gauge(&self.names, names as u64);
        }
        for (reason, accounts) in figures.paused {
            let instance = instance.to_owned();
            let labels = PauseLabels { instance, reason };
            set(&self.paused.get_or_create(&labels), *accounts as u64);
        }
        for (state, accounts) in figures.sessions {
            let instance = instance.to_owned();
            let labels = SessionLabels { instance, state };
            set(&self.sessions.get_or_create(&labels), *accounts as u64);
        }
    }
}

fn set(gauge: &Gauge, figure: u64) {
    gauge.set(i64::try_from(figure).unwrap_or(i64::MAX));
}
