//! The state of the process, its instances and its cache: probes, metrics and records.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::StatusCode;

use super::{
    Admin,
    records::{CacheRecord, InstanceRecord, date},
};
use crate::{
    avatar::{Outcome, Trouble},
    clock::Timestamp,
    fleet::FleetStatus,
    http::respond,
    limits::SessionState,
    pipeline::Instance,
    server::{Reply, descriptor_limit},
    store::{EvictionCause, Operation},
    telemetry::{InstanceFigures, Metrics, StoreFigures},
};

/// The reasons of pauses.
const PAUSES: [Trouble; 3] = [Trouble::RateLimited, Trouble::Auth, Trouble::SessionDown];
/// The states of sessions, as metrics name them.
const SESSIONS: [(SessionState, &str); 4] = [
    (SessionState::Unknown, "unknown"),
    (SessionState::Working, "working"),
    (SessionState::Down, "down"),
    (SessionState::Refused, "refused"),
];

/// What keeps a replica from sharing with its fleet.
fn fleet_trouble(status: &FleetStatus) -> Option<String> {
    Some(match status {
        FleetStatus {
            redis_is_up: false, ..
        } => "ok, but alone: Redis does not answer; calls to vendors come from the reserve\n".into(),
        FleetStatus {
            problem: Some(problem),
            ..
        } => format!("ok, but no whole member of the fleet: {problem}\n"),
        FleetStatus {
            pictures_are_up: false,
            ..
        } => "ok, but degraded: the S3 store does not answer; pictures of siblings come from the vendors\n".into(),
        _ => return None,
    })
}

impl Admin {
    pub(super) fn livez(&self) -> Reply {
        probe(Bytes::from_static(b"ok\n"))
    }

    /// 200 even if the disk or Redis fails: faces are then served from memory and the vendors, so the server
    /// should stay in service. The text shows the failure.
    pub(super) fn readyz(&self) -> Reply {
        let failures = self.faces.health().failures;
        let degraded = failures.iter().map(|failure| {
            let (since, reason) = (date(failure.since), &failure.reason);
            format!("ok, but degraded since {since}: {reason}\n")
        });
        let fleet = self
            .faces
            .fleet()
            .map(|fleet| fleet_trouble(&fleet.status()));
        let lines = degraded.chain(fleet.flatten());
        let lines: String = lines.collect();
        match lines.is_empty() {
            true => probe(Bytes::from_static(b"ok\n")),
            false => probe(lines.into()),
        }
    }

    /// The counters, and the gauges as they are now.
    pub(super) fn metrics(&self) -> Reply {
        let metrics = &self.metrics;
        let _scrape = metrics.instances().begin_scrape();
        for instance in self.instances.exact() {
            record(
                metrics,
                instance.name(),
                std::slice::from_ref(instance),
                None,
            );
        }
        // As many label values as patterns, however many names there are.
        for pattern in self.instances.patterns() {
            let (names, made) = (pattern.settings().names.to_string(), pattern.all());
            record(metrics, &names, &made, Some(made.len()));
        }
        let process = metrics.process();
        process.set_times(self.started, self.certificate_end);
        process.read(descriptor_limit());
        let health = self.faces.health();
        metrics.store().set(StoreFigures {
            bytes: health.totals.bytes,
            entries: health.totals.entries,
            damaged: health.damaged,
            unreadable: health.unreadable,
            free: health.free,
        });
        for cause in EvictionCause::ALL {
            let count = health.evicted.by(cause);
            metrics.store().set_evicted(cause.as_str(), count);
        }
        for operation in Operation::ALL {
            let fails = health
                .failures
                .iter()
                .any(|failure| failure.operation == operation);
            metrics.store().set_failing(operation.as_str(), fails);
        }
        respond::uncached(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            metrics.text().into(),
        )
    }

    /// The record of each instance, by name. In the background, gateways are asked for the state of their sessions,
    /// which the next records show. Gateways of patterns are not asked: their accounts may be thousands.
    pub(super) fn instance_records(&self) -> Vec<InstanceRecord> {
        for instance in self.instances.exact() {
            self.faces.check_session(instance);
        }
        let instances = self.instances.iter();
        let mut records: Vec<_> = instances
            .map(|instance| {
                let pattern = self.instances.pattern_of(instance.name());
                let pattern = pattern.map(|pattern| pattern.settings().names.to_string());
                let calls = pattern.is_none().then(|| self.calls(&instance));
                let mut record =
                    InstanceRecord::new(&instance, pattern, self.faces.clock().moment());
                record.calls = calls;
                record
            })
            .collect();
        records.sort_by(|one, other| one.instance.cmp(&other.instance));
        records
    }

    /// The number of calls of an account by outcome, without zeros.
    fn calls(&self, instance: &Instance) -> BTreeMap<&'static str, u64> {
        let outcomes = Outcome::all().map(Outcome::as_str);
        let count = |outcome| self.metrics.transactions(instance.label(), outcome);
        let counted = outcomes.map(|outcome| (outcome, count(outcome)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    pub(super) fn cache_record(&self) -> CacheRecord {
        CacheRecord::new(self.faces.cache_dir(), self.faces.health())
    }
}

/// Records the figures of accounts under one name. `names` is their number if they are of a pattern.
fn record(metrics: &Metrics, name: &str, accounts: &[Arc<Instance>], names: Option<usize>) {
    let admissions = || accounts.iter().map(|account| account.admission());
    let paused = PAUSES.map(|why| {
        let is_why = |pause: (Timestamp, Trouble)| pause.1 == why;
        let paused = admissions().filter(|one| one.cooldown().is_some_and(is_why));
        (why.as_str(), paused.count())
    });
    let sessions = SESSIONS.map(|(state, text)| {
        let accounts = admissions().filter(|one| one.session().state == state);
        (text, accounts.count())
    });
    let daily: Vec<_> = admissions().filter_map(|one| one.daily_left()).collect();
    let figures = InstanceFigures {
        budget: admissions().map(|one| one.available()).sum(),
        daily_left: (!daily.is_empty()).then(|| daily.iter().sum()),
        wanted: accounts.iter().map(|account| account.wanted().len()).sum(),
        names,
        paused: &paused,
        sessions: &sessions,
    };
    metrics.instances().set(name, &figures);
}

fn probe(text: Bytes) -> Reply {
    respond::uncached(StatusCode::OK, "text/plain; charset=utf-8", text)
}
