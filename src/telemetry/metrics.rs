//! All metrics, with their names and labels. No label holds a JID, a URL or a secret.

use std::{
    fmt::{self, Debug},
    sync::{Arc, LazyLock, OnceLock},
    time::Duration,
};

use prometheus_client::{
    encoding::{
        EncodeLabelSet,
        text::{encode_eof, encode_registry},
    },
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use super::{
    fleet_metrics::FleetMetrics, hook_metrics::HookMetrics, instance_metrics::InstanceMetrics,
    live_metrics::LiveMetrics, process_metrics::ProcessMetrics, reached_limits::Limit,
    seconds::Seconds, store_metrics::StoreMetrics,
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
    instances: InstanceMetrics,
    process: ProcessMetrics,
    store: StoreMetrics,
    hooks: HookMetrics,
    live: LiveMetrics,
    /// Only a replica of a fleet has them.
    fleet: OnceLock<(FleetMetrics, Registry)>,
    variants: Family<FormatLabels, Counter>,
    image_queue: Gauge,
    limits_reached: Family<LimitLabels, Counter>,
    signature_rejects: Counter,
    ssrf_blocked: Counter,
}

/// The metrics of a memory hit, looked up once.
struct Hits {
    ok: Histogram,
    not_modified: Histogram,
    cache: Counter,
    served: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabels {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientLabels {
    instance: Arc<str>,
    provider: Arc<str>,
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
    instance: Arc<str>,
    provider: Arc<str>,
    outcome: &'static str,
}

/// An account as metrics name it: the table of the configuration, and the vendor.
#[derive(Clone, Debug)]
pub struct AccountLabel {
    /// The name of the table; all names of a pattern share theirs.
    pub instance: Arc<str>,
    /// The vendor.
    pub provider: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FormatLabels {
    format: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

/// Counters of the process, for parts that do not belong to one server.
#[derive(Debug, Default)]
pub struct ProcessCounters {
    /// Log lines that were not written, because standard output is read too slowly or was closed.
    pub dropped_lines: Counter,
    /// Response headers that were left out, because their value had control characters.
    pub refused_headers: Counter,
    /// How often each limit was reached.
    pub(super) limits: [Counter; Limit::ALL.len()],
}

/// The counters of this process.
pub static PROCESS: LazyLock<ProcessCounters> = LazyLock::new(ProcessCounters::default);

/// The name of the route of faces in [`Metrics::record_response`].
pub const AVATAR: &str = "avatar";
/// A fresh picture from the cache, in the words of [`Metrics::record_image`].
const HIT: (&str, &str, &str) = ("hit", "picture", "none");

impl Hits {
    fn new(
        server: &Family<ServerLabels, Histogram, Seconds>,
        cache: &Family<CacheLabels, Counter>,
        served: &Family<ServedLabels, Counter>,
    ) -> Self {
        let (status, source, reason) = HIT;
        let histogram = |status| {
            let route = AVATAR;
            server.get_or_create_owned(&ServerLabels { route, status })
        };
        Self {
            ok: histogram(200),
            not_modified: histogram(304),
            cache: cache.get_or_create_owned(&CacheLabels { status }),
            served: served.get_or_create_owned(&ServedLabels { source, reason }),
        }
    }
}

impl UpstreamLabels {
    fn new(account: &AccountLabel, outcome: &'static str) -> Self {
        let AccountLabel { instance, provider } = account.clone();
        Self {
            instance,
            provider,
            outcome,
        }
    }
}

impl Metrics {
    /// Metrics at zero.
    pub fn new() -> Self {
        let server = Family::new_with_constructor(Seconds);
        let (cache, served) = (Family::default(), Family::default());
        let hits = Hits::new(&server, &cache, &served);
        let mut inner = Inner {
            server,
            hits,
            client: Family::new_with_constructor(Seconds),
            cache,
            collapsed: Counter::default(),
            served,
            upstream: Family::default(),
            instances: InstanceMetrics::default(),
            process: ProcessMetrics::default(),
            store: StoreMetrics::default(),
            hooks: HookMetrics::default(),
            live: LiveMetrics::default(),
            fleet: OnceLock::new(),
            variants: Family::default(),
            image_queue: Gauge::default(),
            limits_reached: Family::default(),
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
            "Requests for faces, by cache status",
            inner.cache.clone(),
        );
        registry.register(
            "faceplate_collapsed_requests",
            "Requests that shared the vendor call of another request",
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
        inner.instances.register(&mut registry);
        inner.process.register(&mut registry);
        inner.store.register(&mut registry);
        inner.hooks.register(&mut registry);
        inner.live.register(&mut registry);
        registry.register(
            "faceplate_derived",
            "Variants made of pictures, in another size or format",
            inner.variants.clone(),
        );
        registry.register(
            "faceplate_image_queue",
            "Variants and placeholders that wait for an image thread",
            inner.image_queue.clone(),
        );
        registry.register(
            "faceplate_limit_reached",
            "Times that a limit was reached, by limit",
            inner.limits_reached.clone(),
        );
        registry.register(
            "faceplate_signature_rejects",
            "Requests rejected because of their signature",
            inner.signature_rejects.clone(),
        );
        registry.register(
            "faceplate_ssrf_blocked",
            "Outbound requests that the address guard blocked",
            inner.ssrf_blocked.clone(),
        );
        registry.register(
            "faceplate_log_lines_dropped",
            "Log lines that were dropped because standard output was read too slowly",
            PROCESS.dropped_lines.clone(),
        );
        registry.register(
            "faceplate_refused_headers",
            "Response headers that were left out because of their value",
            PROCESS.refused_headers.clone(),
        );
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("faceplate_build", "The running program", build);
        inner.registry = registry;
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Records the response to a request, and the time it took.
    pub fn record_response(&self, route: &'static str, status: u16, took: Duration) {
        let (hits, took) = (&self.inner.hits, took.as_secs_f64());
        match (route, status) {
            (AVATAR, 200) => hits.ok.observe(took),
            (AVATAR, 304) => hits.not_modified.observe(took),
            _ => {
                let labels = ServerLabels { route, status };
                self.inner.server.get_or_create(&labels).observe(took);
            }
        }
    }

    /// Records an image: its cache status, its source, and the reason if it is no fresh picture.
    pub fn record_image(&self, cache: &'static str, source: &'static str, reason: &'static str) {
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

    /// The number of requests for faces with this cache status.
    pub fn cache_requests(&self, cache: &'static str) -> u64 {
        let labels = CacheLabels { status: cache };
        self.inner.cache.get(&labels).map_or(0, |count| count.get())
    }

    /// The number of transactions of an account that had this outcome.
    pub fn transactions(&self, account: &AccountLabel, outcome: &'static str) -> u64 {
        let labels = UpstreamLabels::new(account, outcome);
        let count = self.inner.upstream.get(&labels);
        count.map_or(0, |count| count.get())
    }

    /// Records a request that shared the transaction of another request.
    pub fn record_collapsed(&self) {
        self.inner.collapsed.inc();
    }

    /// Records the time of a call to a vendor (`hop` is `api`) or the CDN (`cdn`).
    pub fn record_call(&self, account: &AccountLabel, hop: &'static str, took: Duration) {
        let AccountLabel { instance, provider } = account.clone();
        let labels = ClientLabels {
            instance,
            provider,
            hop,
        };
        self.inner
            .client
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// Records the outcome of a transaction with a vendor.
    pub fn record_transaction(&self, account: &AccountLabel, outcome: &'static str) {
        let labels = UpstreamLabels::new(account, outcome);
        self.inner.upstream.get_or_create(&labels).inc();
    }

    /// Records a variant of a picture in this format.
    pub fn record_variant(&self, format: &'static str) {
        let labels = FormatLabels { format };
        self.inner.variants.get_or_create(&labels).inc();
    }

    /// Sets the number of variants that wait for an image thread.
    pub fn set_image_queue(&self, jobs: usize) {
        let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
        self.inner.image_queue.set(jobs);
    }

    /// Records that a limit of this server was reached. [`Limit::report`] is for parts that know no server.
    pub fn record_limit_reached(&self, limit: Limit) {
        let labels = LimitLabels {
            limit: limit.as_str(),
        };
        self.inner.limits_reached.get_or_create(&labels).inc();
        limit.log();
    }

    /// Records an outbound request that the address guard blocked.
    pub fn record_blocked(&self) {
        self.inner.ssrf_blocked.inc();
    }

    /// Records a request that was rejected because of its signature.
    pub fn record_rejected_signature(&self) {
        self.inner.signature_rejects.inc();
    }

    /// The metrics of accounts.
    pub fn instances(&self) -> &InstanceMetrics {
        &self.inner.instances
    }

    /// The metrics of the process.
    pub fn process(&self) -> &ProcessMetrics {
        &self.inner.process
    }

    /// The metrics of the store.
    pub fn store(&self) -> &StoreMetrics {
        &self.inner.store
    }

    /// The metrics of webhooks.
    pub fn hooks(&self) -> &HookMetrics {
        &self.inner.hooks
    }

    /// The metrics of clients that listen.
    pub fn live(&self) -> &LiveMetrics {
        &self.inner.live
    }

    /// The metrics of a fleet.
    pub fn fleet(&self) -> &FleetMetrics {
        &self.inner.fleet.get_or_init(FleetMetrics::with_registry).0
    }

    /// All metrics in the OpenMetrics text format.
    pub fn text(&self) -> String {
        for limit in Limit::ALL {
            let labels = LimitLabels {
                limit: limit.as_str(),
            };
            let counter = self.inner.limits_reached.get_or_create(&labels);
            counter.inc_by(limit.count().saturating_sub(counter.get()));
        }
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = encode_registry(&mut text, &self.inner.registry);
        if let Some((_, registry)) = self.inner.fleet.get() {
            let _ = encode_registry(&mut text, registry);
        }
        let _ = encode_eof(&mut text);
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
