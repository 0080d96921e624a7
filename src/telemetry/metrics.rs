//! Every metric's name and labels, once. No label holds a JID, a URL or a secret.

use std::{
    fmt::{self, Debug},
    sync::{Arc, LazyLock},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
        info::Info,
    },
    registry::Registry,
};

/// The process's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    server: Family<ServerLabels, Histogram, Seconds>,
    hits: Hits,
    client: Family<ClientLabels, Histogram, Seconds>,
    cache: Family<CacheLabels, Counter>,
    collapsed: Counter,
    served: Family<ServedLabels, Counter>,
    upstream: Family<UpstreamLabels, Counter>,
    budget: Family<InstanceLabels, Gauge>,
    store_bytes: Gauge,
    store_entries: Gauge,
    evictions: Counter,
    derived: Family<FormatLabels, Counter>,
    hinted: Family<ResultLabels, Counter>,
    damaged: Counter,
    signature_rejects: Counter,
    ssrf_blocked: Counter,
}

/// What nearly every request adds to, looked up once.
struct Hits {
    whole: Histogram,
    known: Histogram,
    cache: Counter,
    served: Counter,
}

/// Makes histograms of durations.
#[derive(Clone)]
struct Seconds;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabels {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientLabels {
    provider: &'static str,
    hop: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServedLabels {
    source: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FormatLabels {
    format: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InstanceLabels {
    instance: String,
}

/// Counters of the process, for parts that do not belong to one server.
#[derive(Debug, Default)]
pub struct ProcessCounters {
    /// Log lines that were not written, because standard output is read too slowly or was closed.
    pub dropped_lines: Counter,
}

/// The counters of this process.
pub static PROCESS: LazyLock<ProcessCounters> = LazyLock::new(ProcessCounters::default);

/// What the store adds up to at the moment of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreFigures {
    /// Bytes on disk.
    pub bytes: u64,
    /// Entries on disk.
    pub entries: u64,
    /// Entries evicted since the start.
    pub evicted: u64,
    /// Entries found damaged since the start.
    pub damaged: u64,
}

/// The route of faces, as [`Metrics::answered`] knows it.
pub const AVATAR: &str = "avatar";
/// A fresh picture from the cache, as [`Metrics::served`] knows it.
const HIT: (&str, &str, &str) = ("hit", "picture", "none");

impl Hits {
    fn of(
        server: &Family<ServerLabels, Histogram, Seconds>,
        cache: &Family<CacheLabels, Counter>,
        served: &Family<ServedLabels, Counter>,
    ) -> Self {
        let (status, source, reason) = HIT;
        let answered = |status| {
            let route = AVATAR;
            server.get_or_create_owned(&ServerLabels { route, status })
        };
        Self {
            whole: answered(200),
            known: answered(304),
            cache: cache.get_or_create_owned(&CacheLabels { status }),
            served: served.get_or_create_owned(&ServedLabels { source, reason }),
        }
    }
}

impl Metrics {
    /// Metrics at zero.
    pub fn new() -> Self {
        let server = Family::new_with_constructor(Seconds);
        let (cache, served) = (Family::default(), Family::default());
        let hits = Hits::of(&server, &cache, &served);
        let mut inner = Inner {
            server,
            hits,
            client: Family::new_with_constructor(Seconds),
            cache,
            collapsed: Counter::default(),
            served,
            upstream: Family::default(),
            budget: Family::default(),
            store_bytes: Gauge::default(),
            store_entries: Gauge::default(),
            evictions: Counter::default(),
            derived: Family::default(),
            hinted: Family::default(),
            damaged: Counter::default(),
            signature_rejects: Counter::default(),
            ssrf_blocked: Counter::default(),
            registry: Registry::default(),
        };
        let mut registry = Registry::default();
        registry.register(
            "http_server_request_duration_seconds",
            "Time to answer a request",
            inner.server.clone(),
        );
        registry.register(
            "http_client_request_duration_seconds",
            "Time that a vendor or the CDN took to answer",
            inner.client.clone(),
        );
        registry.register(
            "faceplate_cache_requests",
            "Requests for faces, by what the cache did",
            inner.cache.clone(),
        );
        registry.register(
            "faceplate_collapsed_requests",
            "Requests that rode on another one's call",
            inner.collapsed.clone(),
        );
        registry.register(
            "faceplate_served",
            "Images served, by source and reason",
            inner.served.clone(),
        );
        registry.register(
            "faceplate_upstream_requests",
            "Upstream transactions, by outcome",
            inner.upstream.clone(),
        );
        registry.register(
            "faceplate_upstream_budget",
            "Calls that the instance may make at once",
            inner.budget.clone(),
        );
        registry.register(
            "faceplate_store_bytes",
            "Bytes on disk, in blocks of 4 KiB",
            inner.store_bytes.clone(),
        );
        registry.register(
            "faceplate_store_entries",
            "Entries on disk",
            inner.store_entries.clone(),
        );
        registry.register(
            "faceplate_evictions",
            "Entries evicted to make room",
            inner.evictions.clone(),
        );
        registry.register(
            "faceplate_hook_contacts",
            "Contacts in the gateways' events, by whether they were known",
            inner.hinted.clone(),
        );
        registry.register(
            "faceplate_derived",
            "Pictures made in another size or format",
            inner.derived.clone(),
        );
        registry.register(
            "faceplate_damaged",
            "Entries found damaged",
            inner.damaged.clone(),
        );
        registry.register(
            "faceplate_signature_rejects",
            "Requests refused for their signature",
            inner.signature_rejects.clone(),
        );
        registry.register(
            "faceplate_ssrf_blocked",
            "Outbound requests that the address guard stopped",
            inner.ssrf_blocked.clone(),
        );
        registry.register(
            "faceplate_log_lines_dropped",
            "Log lines that were dropped because standard output was read too slowly",
            PROCESS.dropped_lines.clone(),
        );
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("faceplate_build", "The running program", build);
        inner.registry = registry;
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A request was answered.
    pub fn answered(&self, route: &'static str, status: u16, took: Duration) {
        let (hits, took) = (&self.inner.hits, took.as_secs_f64());
        match (route, status) {
            (AVATAR, 200) => hits.whole.observe(took),
            (AVATAR, 304) => hits.known.observe(took),
            _ => {
                let labels = ServerLabels { route, status };
                self.inner.server.get_or_create(&labels).observe(took);
            }
        }
    }

    /// An image was served: how the cache came by it, from where, and why not better.
    pub fn served(&self, cache: &'static str, source: &'static str, reason: &'static str) {
        let inner = &self.inner;
        if (cache, source, reason) == HIT {
            inner.hits.cache.inc();
            inner.hits.served.inc();
            return;
        }
        inner
            .cache
            .get_or_create(&CacheLabels { status: cache })
            .inc();
        inner
            .served
            .get_or_create(&ServedLabels { source, reason })
            .inc();
    }

    /// How many requests for faces the cache answered so.
    pub fn count_served(&self, cache: &'static str) -> u64 {
        let labels = CacheLabels { status: cache };
        self.inner.cache.get(&labels).map_or(0, |count| count.get())
    }

    /// How many upstream transactions with a vendor came to that.
    pub fn count_asked(&self, provider: &'static str, outcome: &'static str) -> u64 {
        let labels = UpstreamLabels { provider, outcome };
        let count = self.inner.upstream.get(&labels);
        count.map_or(0, |count| count.get())
    }

    /// A request rode on another one's transaction.
    pub fn collapsed(&self) {
        self.inner.collapsed.inc();
    }

    /// A vendor (`hop` is `api`) or the CDN (`cdn`) took this long.
    pub fn called(&self, provider: &'static str, hop: &'static str, took: Duration) {
        let labels = ClientLabels { provider, hop };
        self.inner
            .client
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// An upstream transaction ended.
    pub fn asked(&self, provider: &'static str, outcome: &'static str) {
        let labels = UpstreamLabels { provider, outcome };
        self.inner.upstream.get_or_create(&labels).inc();
    }

    /// A gateway told of contacts, so many of whom have a face here.
    pub fn hinted(&self, marked: u64, ignored: u64) {
        for (result, count) in [("marked", marked), ("ignored", ignored)] {
            let labels = ResultLabels { result };
            self.inner.hinted.get_or_create(&labels).inc_by(count);
        }
    }

    /// A picture was made in another size or format.
    pub fn derived(&self, format: &'static str) {
        let labels = FormatLabels { format };
        self.inner.derived.get_or_create(&labels).inc();
    }

    /// The guard stopped an outbound request.
    pub fn blocked(&self) {
        self.inner.ssrf_blocked.inc();
    }

    /// A request was refused for its signature.
    pub fn rejected(&self) {
        self.inner.signature_rejects.inc();
    }

    /// An instance may make so many calls at once.
    pub fn budget(&self, instance: &str, calls: u64) {
        let labels = InstanceLabels {
            instance: instance.to_owned(),
        };
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        self.inner.budget.get_or_create(&labels).set(calls);
    }

    /// What the store adds up to now.
    pub fn store(&self, figures: StoreFigures) {
        let inner = &self.inner;
        let signed = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        inner.store_bytes.set(signed(figures.bytes));
        inner.store_entries.set(signed(figures.entries));
        for (counter, figure) in [
            (&inner.evictions, figures.evicted),
            (&inner.damaged, figures.damaged),
        ] {
            counter.inc_by(figure.saturating_sub(counter.get()));
        }
    }

    /// Everything, in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = encode(&mut text, &self.inner.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl MetricConstructor<Histogram> for Seconds {
    /// From a memory hit to a vendor that hangs.
    fn new_metric(&self) -> Histogram {
        const BUCKETS: [f64; 12] = [
            0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 12.5,
        ];
        Histogram::new(BUCKETS)
    }
}
