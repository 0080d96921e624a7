//! The metrics of a fleet.

use std::{sync::atomic::AtomicU64, time::Duration};

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
    lag: Gauge<f64, AtomicU64>,
    commands: Family<ResultLabels, Counter>,
}

/// The result of a command to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandResult {
    /// Redis answered.
    Answered,
    /// Redis refused it, or there was no connection.
    Failed,
    /// Redis did not answer in time.
    Late,
    /// It was not sent, because several had failed in a row.
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
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
    /// The metrics, and the registry that has them alone.
    pub(super) fn with_registry() -> (Self, Registry) {
        let (metrics, mut registry) = (Self::default(), Registry::default());
        metrics.register(&mut registry);
        (metrics, registry)
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "faceplate_fleet_up",
            "Whether the last command to Redis or the S3 store succeeded",
            self.up.clone(),
        );
        registry.register(
            "faceplate_fleet_replicas",
            "Replicas of the fleet that live",
            self.replicas.clone(),
        );
        registry.register(
            "faceplate_fleet_round_trip_seconds",
            "Time that Redis or the S3 store took to answer, by command",
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
        registry.register(
            "faceplate_fleet_lag_seconds",
            "Age of the last change of the fleet when this replica heard of it",
            self.lag.clone(),
        );
        registry.register(
            "faceplate_fleet_commands",
            "Commands to Redis, by result",
            self.commands.clone(),
        );
    }

    /// Sets the age of the sibling's change that was heard of last, when it was heard of.
    pub fn set_lag(&self, lag: Duration) {
        self.lag.set(lag.as_secs_f64());
    }

    /// Records the result of a command.
    pub fn record_command(&self, result: CommandResult) {
        let result = match result {
            CommandResult::Answered => "answered",
            CommandResult::Failed => "failed",
            CommandResult::Late => "late",
            CommandResult::Skipped => "skipped",
        };
        self.commands.get_or_create(&ResultLabels { result }).inc();
    }

    /// Records the time of a command.
    pub fn record_round_trip(&self, command: &'static str, took: Duration) {
        let labels = CommandLabels { command };
        let histogram = self.round_trips.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    /// Sets whether the last command to an engine succeeded.
    pub fn set_up(&self, engine: &'static str, is_up: bool) {
        let labels = EngineLabels { engine };
        self.up.get_or_create(&labels).set(i64::from(is_up));
    }

    /// Sets the number of live replicas.
    pub fn set_replicas(&self, replicas: u64) {
        self.replicas
            .set(i64::try_from(replicas).unwrap_or(i64::MAX));
    }

    /// Records a call from the reserve.
    pub fn record_reserve_call(&self) {
        self.reserve_calls.inc();
    }

    /// The calls from the reserve since the start.
    pub fn reserve_calls(&self) -> u64 {
        self.reserve_calls.get()
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
                0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0,
            ])
        };
        Self {
            up: Family::default(),
            replicas: Gauge::default(),
            round_trips: Family::new_with_constructor(seconds),
            reserve_calls: Counter::default(),
            conflicts: Counter::default(),
            lag: Gauge::default(),
            commands: Family::default(),
        }
    }
}
