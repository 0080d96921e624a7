//! The dashboard at `/`, and the figures that it shows. The page is in the binary and loads nothing from
//! elsewhere.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Admin,
    fleet::FleetRecord,
    history::Sample,
    records::{CacheRecord, InstanceRecord, date, outcome_schema},
    warm::WarmRecord,
};
use crate::{
    clock::Timestamp,
    telemetry::{resident_memory, warnings},
};

/// The page.
pub(super) const PAGE: &str = include_str!("dashboard.html");

/// Everything on the page.
#[derive(Serialize, ToSchema)]
pub(super) struct Overview {
    /// The version of this server.
    version: &'static str,
    /// The time, in seconds since the Unix epoch.
    now: u64,
    /// When this process began to serve, in seconds since the Unix epoch.
    started: u64,
    /// The URL of the gallery, which only the demo has; null without one.
    gallery: Option<String>,
    configuration: ConfigurationRecord,
    instances: Vec<InstanceRecord>,
    cache: CacheRecord,
    /// The state of the fleet; null without one.
    fleet: Option<FleetRecord>,
    /// The resident memory of the process in bytes.
    memory: Option<u64>,
    /// The last hour's totals, one a minute.
    history: Vec<Sample>,
    /// The newest warm-up of each instance.
    warm: Vec<WarmRecord>,
    /// The latest warnings and errors of the log, newest first.
    warnings: Vec<WarningRecord>,
    /// The faces whose last fetch ended in trouble since the start, newest first: 50 at most.
    in_trouble: Vec<TroubledFace>,
    /// The faces whose pictures changed last, newest first.
    faces: Vec<RecentFace>,
}

/// The configuration in use.
#[derive(Serialize, ToSchema)]
struct ConfigurationRecord {
    /// Whether it is the newest one. False if that has a problem, so that an older one stays in use.
    newest: bool,
    /// When it was read, in seconds since the Unix epoch.
    read: u64,
    /// The end of the certificate of the public listener, in seconds since the Unix epoch; null without TLS.
    certificate_end: Option<u64>,
}

/// A warning or an error of the log.
#[derive(Serialize, ToSchema)]
struct WarningRecord {
    /// Its date, as HTTP writes dates.
    at: String,
    /// Whether it is an error.
    error: bool,
    /// The message, and its fields.
    text: String,
}

/// A face whose last fetch ended in trouble.
#[derive(Serialize, ToSchema)]
struct TroubledFace {
    instance: String,
    jid: String,
    #[schema(schema_with = outcome_schema)]
    outcome: &'static str,
    /// The date of the fetch, as HTTP writes dates.
    asked: String,
    /// The date of the earliest next attempt.
    retry_at: String,
}

/// A face whose picture changed lately.
#[derive(Serialize, ToSchema)]
struct RecentFace {
    instance: String,
    jid: String,
    /// The date of the change, as HTTP writes dates.
    since: String,
}

impl Admin {
    /// The figures of the page.
    pub(super) async fn overview(&self) -> Overview {
        let mut history = self.history.samples();
        history.push(self.sample());
        let recent = self.faces.recent_updates().await.into_iter();
        let (newest, read) = self.metrics.process().last_reload();
        Overview {
            version: env!("CARGO_PKG_VERSION"),
            now: self.faces.now().as_secs(),
            started: self.started.as_secs(),
            gallery: self.home.clone(),
            configuration: ConfigurationRecord {
                newest,
                read,
                certificate_end: self.certificate_end.map(Timestamp::as_secs),
            },
            instances: self.instance_records(),
            cache: self.cache_record(),
            fleet: self.fleet_record(),
            memory: resident_memory(),
            history,
            warm: self.warm_records(),
            warnings: warnings::latest()
                .into_iter()
                .map(|warning| WarningRecord {
                    at: date(warning.at),
                    error: warning.is_error,
                    text: warning.text,
                })
                .collect(),
            in_trouble: self
                .faces
                .in_trouble()
                .into_iter()
                .map(|face| TroubledFace {
                    instance: self.shown_name(&face.owner.instance),
                    jid: face.owner.subject.as_str().to_owned(),
                    outcome: face.why.as_str(),
                    asked: date(face.asked_at),
                    retry_at: date(face.retry_at),
                })
                .collect(),
            faces: recent
                .map(|(owner, since)| RecentFace {
                    instance: self.shown_name(&owner.instance),
                    jid: owner.subject.as_str().to_owned(),
                    since: date(since),
                })
                .collect(),
        }
    }

    /// The name of the instance whose faces have this name in the cache.
    fn shown_name(&self, cache_name: &str) -> String {
        let named = self.instances.named(cache_name);
        named.map_or(cache_name.to_owned(), |named| named.name().to_string())
    }
}
