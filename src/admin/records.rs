//! The JSON records of faces, instances and the cache.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Serialize;
use utoipa::{ToSchema, openapi::Object};

use crate::{
    avatar::{Entry, Outcome, Plan, Subject},
    clock::{Moment, Timestamp},
    http::openapi,
    limits::SessionState,
    pipeline::{Instance, NextFetch},
    representation,
    server::Reply,
    store::{Failure, Health},
};

/// The entry of a face.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryRecord<'a> {
    instance: &'a str,
    jid: &'a str,
    /// The hash that stands for the face in the log. Null in the answer to a refresh, and if the instance is not
    /// configured.
    pub(super) key: Option<String>,
    picture: Option<PictureRecord<'a>>,
    last: LastRecord,
    /// Whether the face is forgotten and not asked for yet.
    forgotten: bool,
    /// How a request is answered now. Null in the answer to a refresh, and if the instance is not configured.
    pub(super) plan: Option<PlanRecord>,
    /// The response to a request without parameters. Null where `plan` is.
    pub(super) response: Option<ResponseRecord>,
}

/// How a request for a face is answered.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum PlanRecord {
    /// From the cache; the vendor is not asked.
    Serve,
    /// From the cache at once, and the vendor is asked in the background.
    ServeAndRefresh,
    /// The vendor is asked, and the request waits for it up to `cache.first_paint`.
    Ask,
}

/// The response to a request for a face, without its body. Where the vendor has to be asked, it is the response if
/// the vendor is slower than `cache.first_paint`.
#[derive(Serialize, ToSchema)]
pub(super) struct ResponseRecord {
    status: u16,
    /// The headers by their names in lower case.
    headers: BTreeMap<String, String>,
}

/// A refresh without an answer so far.
#[derive(Serialize, ToSchema)]
pub(super) struct DeferredRecord<'a> {
    /// The event, and the remedy.
    detail: &'static str,
    /// The entry as it was, if there is one.
    entry: Option<EntryRecord<'a>>,
}

/// The picture of a face.
#[derive(Serialize, ToSchema)]
struct PictureRecord<'a> {
    media_type: &'static str,
    bytes: usize,
    width: u32,
    height: u32,
    etag: String,
    /// The identity of the vendor's link, a hash that changes with the picture. Null if the picture is to be
    /// downloaded again in any case.
    link_id: Option<&'a str>,
    /// The date when the picture was first seen, as HTTP writes dates.
    changed: String,
    /// The date when the vendor last confirmed the picture.
    confirmed: String,
    /// The instance that the picture is from, if that is another one.
    from: Option<&'a str>,
    /// Whether the picture is younger than `cache.ttl`.
    fresh: bool,
}

/// The state of an instance.
#[derive(Serialize, ToSchema)]
pub(super) struct InstanceRecord {
    pub(super) instance: String,
    /// The name of the table in the configuration, if that is a pattern of names.
    pattern: Option<String>,
    provider: String,
    /// The number of calls that can be made now.
    budget: u64,
    /// The number of calls that can be made when the budget is full.
    budget_full: u64,
    /// The number of faces that the budget has refused, and that are fetched as soon as it allows.
    wanted: usize,
    /// The wanted faces that are fetched first, in their order: five at most.
    next: Vec<NextFetchRecord>,
    /// The number of calls that counted against the budget since midnight UTC, whether `daily` is set or not. A restart
    /// keeps it, but a name of a pattern that is forgotten because it has no pictures begins anew. In a fleet, the calls of
    /// this replica alone.
    calls_today: u32,
    /// The number of calls that `daily` leaves until midnight UTC, if it is set. In a fleet, this replica's calls alone
    /// are taken off.
    daily_left: Option<u64>,
    /// The number of calls since the start by outcome, without zeros. Null for an instance of a pattern.
    pub(super) calls: Option<BTreeMap<&'static str, u64>>,
    /// The reason for a pause.
    paused: Option<&'static str>,
    /// The end of the pause, as HTTP writes dates.
    paused_until: Option<String>,
    /// The vendor's session with WhatsApp, inferred from its answers: `unknown`, `working`, `down`, or
    /// `refused` for a credential that the vendor did not accept.
    session: SessionState,
    /// The date of the first answer that showed this state.
    session_since: Option<String>,
    /// The date of the vendor's last usable answer since the start: a picture, or that there is none.
    answered: Option<String>,
    /// The last call since the start that had no usable answer.
    trouble: Option<CallTroubleRecord>,
    /// How long a fetch takes just now, in milliseconds: the median of the last five minutes' latest. Null with less than
    /// three fetches in that time.
    latency: Option<u64>,
}

/// A wanted face that is among the next to be fetched.
#[derive(Serialize, ToSchema)]
struct NextFetchRecord {
    jid: String,
    /// The class of the call: `interactive` if a request asked for the face, `refresh` if one asked for an answer past the
    /// vendor's cache, or `background`. The classes go in this order.
    class: &'static str,
    /// Whether the call counts against `refreshes` as well.
    with_refresh: bool,
    /// The date when the budget has a call for it, as HTTP writes dates. Faces that are wanted later and more urgently, and a
    /// pause, delay it.
    due: String,
}

/// A call without a usable answer.
#[derive(Serialize, ToSchema)]
struct CallTroubleRecord {
    #[schema(schema_with = outcome_schema)]
    outcome: &'static str,
    /// The description of the trouble, as in the log.
    detail: String,
    /// Its date, as HTTP writes dates.
    at: String,
    /// Whether there was no usable answer since.
    lasts: bool,
}

/// The state of the cache.
#[derive(Serialize, ToSchema)]
pub(super) struct CacheRecord {
    /// The cache directory.
    dir: String,
    entries: u64,
    /// The size of all entries in bytes.
    bytes: u64,
    /// `cache.max_bytes`.
    max_bytes: u64,
    /// Whether the whole disk was scanned since the start, so that the counts are complete.
    counted: bool,
    /// The number of entries that were found damaged since the start.
    damaged: u64,
    /// The number of entries that were evicted since the start.
    evicted: u64,
    /// The number of reads since the start that failed although the entry may be whole.
    unreadable: u64,
    /// The free bytes of the cache's file system, if they were measured.
    free: Option<u64>,
    trouble: Option<TroubleRecord>,
}

/// The failure of a disk.
#[derive(Serialize, ToSchema)]
struct TroubleRecord {
    /// The description of the failure.
    what: String,
    /// The date of its start, as HTTP writes dates.
    since: String,
}

/// The last call to the vendor for a face.
#[derive(Serialize, ToSchema)]
struct LastRecord {
    #[schema(schema_with = outcome_schema)]
    outcome: Outcome,
    /// The date of the call, as HTTP writes dates.
    asked: String,
    /// The date of the earliest next call.
    retry_at: String,
}

/// So many of the wanted faces are shown.
const SHOWN_NEXT: usize = 5;

/// An outcome is serialized as its public name.
pub(super) fn outcome_schema() -> Object {
    openapi::choice(Outcome::all().map(Outcome::as_str)).build()
}

impl<'a> EntryRecord<'a> {
    pub(super) fn new(
        instance: &'a str,
        subject: &'a Subject,
        entry: &'a Entry,
        now: Timestamp,
        ttl: Duration,
    ) -> Self {
        let picture = entry.picture.as_ref().map(|stored| {
            let (width, height) = stored.picture.dimensions();
            PictureRecord {
                media_type: stored.picture.media().as_str(),
                bytes: stored.picture.bytes().len(),
                width,
                height,
                etag: representation::etag(&stored.picture.digest()).to_string(),
                link_id: stored.link_id.as_deref(),
                changed: date(stored.changed_at),
                confirmed: date(stored.confirmed_at),
                from: stored.from.as_deref(),
                fresh: stored.age(now) < ttl,
            }
        });
        Self {
            instance,
            jid: subject.as_str(),
            key: None,
            picture,
            last: LastRecord {
                outcome: entry.last.outcome,
                asked: date(entry.last.asked_at),
                retry_at: date(entry.last.retry_at),
            },
            forgotten: entry.is_forgotten(now),
            plan: None,
            response: None,
        }
    }
}

impl From<Plan> for PlanRecord {
    fn from(plan: Plan) -> Self {
        match plan {
            Plan::Serve => PlanRecord::Serve,
            Plan::ServeAndRefresh => PlanRecord::ServeAndRefresh,
            Plan::Wait(_) => PlanRecord::Ask,
        }
    }
}

impl ResponseRecord {
    pub(super) fn new(reply: &Reply) -> Self {
        let headers = reply.headers.to_map();
        let headers = headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        });
        Self {
            status: reply.status.as_u16(),
            headers: headers.collect(),
        }
    }
}

impl<'a> DeferredRecord<'a> {
    pub(super) fn new(entry: Option<EntryRecord<'a>>) -> Self {
        Self {
            detail: "the vendor has not answered within cache.first_paint; the fetch goes on, and GET shows the entry when it has ended",
            entry,
        }
    }
}

impl InstanceRecord {
    /// The record of an instance, which may be of a pattern.
    pub(super) fn new(instance: &Instance, pattern: Option<String>, now: Moment) -> Self {
        let admission = instance.admission();
        let (paused, session) = (admission.cooldown(), admission.session());
        let answered = instance.answers().answered_at();
        let trouble = instance.answers().trouble();
        let latency = instance.wanted().latency(now);
        let next = instance.wanted().next(admission, SHOWN_NEXT);
        let is_known = session.state != SessionState::Unknown;
        Self {
            session: session.state,
            session_since: is_known.then(|| date(session.since)),
            answered: answered.map(date),
            trouble: trouble.map(|trouble| CallTroubleRecord {
                outcome: trouble.why.as_str(),
                detail: trouble.detail,
                at: date(trouble.at),
                lasts: answered.is_none_or(|answered| answered < trouble.at),
            }),
            latency: (!latency.is_zero()).then_some(latency.as_millis() as u64),
            instance: instance.name().to_string(),
            pattern,
            provider: instance.provider().name.to_string(),
            budget: admission.available(),
            budget_full: admission.burst(),
            wanted: instance.wanted().len(),
            next: next.into_iter().map(NextFetchRecord::from).collect(),
            calls_today: admission.calls_today(),
            daily_left: admission.daily_left(),
            calls: None,
            paused: paused.map(|(_, why)| why.as_str()),
            paused_until: paused.map(|(until, _)| date(until)),
        }
    }
}

impl From<NextFetch> for NextFetchRecord {
    fn from(next: NextFetch) -> Self {
        Self {
            jid: next.subject.as_str().to_owned(),
            class: next.priority.as_str(),
            with_refresh: next.with_refresh,
            due: date(next.due),
        }
    }
}

impl CacheRecord {
    pub(super) fn new(dir: &Path, health: Health) -> Self {
        Self {
            dir: dir.display().to_string(),
            entries: health.totals.entries,
            bytes: health.totals.bytes,
            max_bytes: health.max_bytes,
            counted: health.is_complete,
            damaged: health.damaged,
            evicted: health.evicted.total(),
            unreadable: health.unreadable,
            free: health.free,
            trouble: TroubleRecord::new(&health.failures),
        }
    }
}

impl TroubleRecord {
    /// All failures as one record; `None` if there are none.
    fn new(failures: &[Failure]) -> Option<Self> {
        let reasons: Vec<_> = failures.iter().map(|failure| &*failure.reason).collect();
        let since = failures.iter().map(|failure| failure.since).min()?;
        Some(Self {
            what: reasons.join("; "),
            since: date(since),
        })
    }
}

/// The date as HTTP writes it (RFC 9110 §5.6.7).
pub(super) fn date(time: Timestamp) -> String {
    httpdate::fmt_http_date(time.as_system_time())
}
