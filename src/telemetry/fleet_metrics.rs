//! The metrics of a fleet.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The metrics of a fleet.
#[derive(Debug)]
pub struct FleetMetrics {
    up: Family<EngineLabels, Gauge>,
    replicas: Gauge,
    round_trips: Family<CommandLabels, Histogram>,
    reserve_calls: Counter,
    conflicts: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CommandLabels {
    command: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EngineLabels {
    engine: &'static str,
}

impl FleetMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "faceplate_fleet_up",
            "Whether the last command to Redis succeeded",
            self.up.clone(),
        );
        registry.register(
            "faceplate_fleet_replicas",
            "Replicas of the fleet that live",
            self.replicas.clone(),
        );
        registry.register(
            "faceplate_fleet_round_trip_seconds",
            "Time that Redis took to answer, by command",
            self.round_trips.clone(),
        );
        registry.register(
            "faceplate_fleet_reserve_calls",
            "Calls to vendors from this replica's reserve",
            self.reserve_calls.clone(),
        );
        registry.register(
            "faceplate_fleet_conflicts",
            "Entries that a sibling had changed before this replica stored its own",
            self.conflicts.clone(),
        );
    }

    /// Records the time of a command.
    pub fn record_round_trip(&self, command: &'static str, took: Duration) {
        let labels = CommandLabels { command };
        let histogram = self.round_trips.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    /// Sets whether the last command succeeded.
    pub fn set_up(&self, is_up: bool) {
        let labels = EngineLabels { engine: "redis" };
        self.up.get_or_create(&labels).set(i64::from(is_up));
    }

    /// Sets the number of replicas that live.
    pub fn set_replicas(&self, replicas: u64) {
        self.replicas
            .set(i64::try_from(replicas).unwrap_or(i64::MAX));
    }

    /// Records a call from the reserve.
    pub fn record_reserve_call(&self) {
        self.reserve_calls.inc();
    }

    /// Records a conflict.
    pub fn record_conflict(&self) {
        self.conflicts.inc();
    }
}

impl Default for FleetMetrics {
    fn default() -> Self {
        let seconds = || {
            Histogram::new([
                0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5,
            ])
        };
        Self {
            up: Family::default(),
            replicas: Gauge::default(),
            round_trips: Family::new_with_constructor(seconds),
            reserve_calls: Counter::default(),
            conflicts: Counter::default(),
        }
    }
}
