//! The operator's page at `/` of the admin listener, and what it shows. It is in the binary, and loads
//! nothing from elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{StatusCode, header};
use serde::Serialize;

use super::{
    records::{CacheRecord, InstanceRecord, date},
    warm::WarmRecord,
};
use crate::{
    avatar::{Outcome, Subject},
    clock::Timestamp,
    front::Front,
    http::problem::Problem,
    images::{Format, Original, VariantSpec},
    pipeline::{Instance, Warmups},
    representation::headers as represent,
    server::Reply,
};

/// The page.
pub(crate) const PAGE: &str = include_str!("dashboard.html");

/// What was served and asked for in the last hour. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct History {
    samples: Arc<Mutex<VecDeque<Sample>>>,
}

/// Totals since the start, at a moment.
#[derive(Clone, Debug, Serialize)]
struct Sample {
    /// Seconds since the Unix epoch.
    at: u64,
    /// Requests for faces by what the cache did.
    cache: BTreeMap<&'static str, u64>,
    /// Upstream transactions by outcome.
    outcomes: BTreeMap<&'static str, u64>,
}

/// Everything on the page.
#[derive(Serialize)]
pub(crate) struct Overview<'a> {
    version: &'static str,
    now: u64,
    instances: Vec<InstanceRecord<'a>>,
    cache: CacheRecord,
    /// Bytes of memory that the process has.
    memory: Option<u64>,
    history: Vec<Sample>,
    warm: Vec<WarmRecord>,
    faces: Vec<Face>,
}

/// A face on the wall.
#[derive(Serialize)]
struct Face {
    instance: String,
    jid: String,
    since: String,
}

impl History {
    /// How often totals are noted.
    pub const STEP: Duration = Duration::from_secs(60);
    /// An hour's.
    const MOST: usize = 61;

    pub(crate) fn note(&self, front: &Front) {
        let mut samples = self.samples();
        while samples.len() >= Self::MOST {
            samples.pop_front();
        }
        samples.push_back(Sample::now(front));
    }

    fn samples(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sample {
    fn now(front: &Front) -> Self {
        let metrics = front.metrics();
        let statuses = ["hit", "stale", "miss", "expired", "refresh", "bypass"];
        let outcomes = Outcome::all().map(Outcome::as_str);
        let of = |outcome| {
            let vendors = front.instances().map(|instance| instance.vendor().as_str());
            // Instances share their vendor's counter.
            let vendors: BTreeSet<_> = vendors.collect();
            let counts = vendors.into_iter();
            counts
                .map(|vendor| metrics.count_asked(vendor, outcome))
                .sum()
        };
        Self {
            at: front.faces().now().as_secs(),
            cache: statuses
                .into_iter()
                .map(|status| (status, metrics.count_served(status)))
                .collect(),
            outcomes: outcomes.map(|outcome| (outcome, of(outcome))).collect(),
        }
    }
}

/// What the page shows.
pub(crate) async fn overview<'a>(
    front: &'a Front,
    warmups: &Warmups,
    history: &History,
) -> Overview<'a> {
    let mut samples: Vec<_> = history.samples().iter().cloned().collect();
    samples.push(Sample::now(front));
    let runs = warmups.progress();
    let newest = front.faces().recent_updates().await;
    let shown = newest
        .into_iter()
        .map(|(owner, since): (_, Timestamp)| Face {
            instance: owner.instance.to_string(),
            jid: owner.subject.as_str().to_owned(),
            since: date(since),
        });
    Overview {
        version: env!("CARGO_PKG_VERSION"),
        now: front.faces().now().as_secs(),
        instances: InstanceRecord::all(front.instances()),
        cache: CacheRecord::of(front.faces().health()),
        memory: resident(),
        history: samples,
        warm: runs
            .iter()
            .map(|(name, progress)| WarmRecord::of(name, progress))
            .collect(),
        faces: shown.collect(),
    }
}

/// The picture of a face, small, if it is known: nobody is asked for it.
pub(crate) async fn picture(
    front: &Front,
    instance: &Instance,
    subject: Subject,
) -> Result<Reply, Problem> {
    let record = front.faces().entry(instance, subject).await;
    let entry = record.map_err(Problem::Unsupported)?;
    let kept = entry.as_ref().and_then(|entry| entry.picture.as_ref());
    let picture = &kept.ok_or(Problem::NoPicture)?.picture;
    let variant = VariantSpec {
        edge: Some(96),
        format: Format::Jpeg,
    };
    let original = Original::Picture(picture.clone());
    let small = front
        .shared
        .settings
        .thumbnailer
        .make(original, variant)
        .await;
    let (media, bytes): (_, Bytes) = match &small {
        Some(derived) => (derived.format.as_str(), derived.bytes.clone()),
        None => (picture.media().as_str(), picture.bytes().clone()),
    };
    let mut response = represent::plain(StatusCode::OK, media, bytes);
    let fields = &mut response.headers;
    fields.add(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; sandbox",
    );
    Ok(response)
}

/// What the kernel says of this process.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
