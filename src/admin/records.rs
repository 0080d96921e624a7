//! What the admin listener tells of faces, instances and the cache.

use serde::Serialize;

use crate::{
    avatar::{Entry, Outcome, Subject},
    clock::Timestamp,
    limits::SessionState,
    pipeline::Instance,
    representation::headers as represent,
    store::Health,
};

/// What is known of a face.
#[derive(Serialize)]
pub(crate) struct Record<'a> {
    instance: &'a str,
    jid: &'a str,
    picture: Option<PictureRecord<'a>>,
    last: LastRecord,
    forgotten: bool,
}

#[derive(Serialize)]
struct PictureRecord<'a> {
    media_type: &'static str,
    bytes: usize,
    width: u32,
    height: u32,
    etag: String,
    link_name: Option<&'a str>,
    changed: String,
    confirmed: String,
    fresh: bool,
}

/// How an instance is.
#[derive(Serialize)]
pub(crate) struct InstanceRecord<'a> {
    instance: &'a str,
    provider: &'static str,
    /// Calls that could be made at once now.
    budget: u64,
    /// Calls that could be made at once after a rest.
    budget_full: u64,
    paused: Option<&'static str>,
    paused_until: Option<String>,
    /// The vendor's session with WhatsApp, as its answers tell: `unknown`, `working`, `down` or
    /// `refused` (our credential).
    session: SessionState,
    session_since: Option<String>,
}

/// How the cache is.
#[derive(Serialize)]
pub(crate) struct CacheRecord {
    entries: u64,
    bytes: u64,
    /// `cache.max_bytes`.
    max_bytes: u64,
    /// Whether all of the disk has been looked at since the start.
    counted: bool,
    damaged: u64,
    evicted: u64,
    trouble: Option<TroubleRecord>,
}

#[derive(Serialize)]
struct TroubleRecord {
    what: String,
    since: String,
}

#[derive(Serialize)]
struct LastRecord {
    outcome: Outcome,
    asked: String,
    retry_at: String,
}

impl<'a> Record<'a> {
    pub(crate) fn of(
        instance: &'a str,
        subject: &'a Subject,
        entry: &'a Entry,
        now: Timestamp,
        is_fresh: impl Fn(std::time::Duration) -> bool,
    ) -> Self {
        let picture = entry.picture.as_ref().map(|kept| {
            let (width, height) = kept.picture.dimensions();
            PictureRecord {
                media_type: kept.picture.media().as_str(),
                bytes: kept.picture.bytes().len(),
                width,
                height,
                etag: represent::etag(&kept.picture.digest()).to_string(),
                link_name: kept.name.as_deref(),
                changed: date(kept.changed_at),
                confirmed: date(kept.confirmed_at),
                fresh: is_fresh(kept.age(now)),
            }
        });
        Self {
            instance,
            jid: subject.as_str(),
            picture,
            last: LastRecord {
                outcome: entry.last.outcome,
                asked: date(entry.last.asked_at),
                retry_at: date(entry.last.retry_at),
            },
            forgotten: entry.is_forgotten(now),
        }
    }
}

impl<'a> InstanceRecord<'a> {
    pub(crate) fn of(instance: &'a Instance) -> Self {
        let admission = instance.admission();
        let (paused, session) = (admission.cooldown(), admission.session());
        let is_told = session.state != SessionState::Unknown;
        Self {
            session: session.state,
            session_since: is_told.then(|| date(session.since)),
            instance: instance.name(),
            provider: instance.vendor().as_str(),
            budget: admission.available(),
            budget_full: admission.burst(),
            paused: paused.map(|(_, why)| why.as_str()),
            paused_until: paused.map(|(until, _)| date(until)),
        }
    }

    /// Every instance's, by name.
    pub(crate) fn all(instances: impl Iterator<Item = &'a std::sync::Arc<Instance>>) -> Vec<Self> {
        let mut records: Vec<_> = instances.map(|instance| Self::of(instance)).collect();
        records.sort_by_key(|record| record.instance);
        records
    }
}

impl CacheRecord {
    pub(crate) fn of(health: Health) -> Self {
        Self {
            entries: health.totals.entries,
            bytes: health.totals.bytes,
            max_bytes: health.max_bytes,
            counted: health.is_complete,
            damaged: health.damaged,
            evicted: health.evicted,
            trouble: health.degraded.map(|trouble| TroubleRecord {
                since: date(trouble.since),
                what: trouble.reason,
            }),
        }
    }
}

pub(crate) fn date(time: Timestamp) -> String {
    httpdate::fmt_http_date(time.as_system_time())
}
