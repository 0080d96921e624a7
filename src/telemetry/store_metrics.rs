//! The metrics of the cache's disk.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The metrics of the cache's disk.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    bytes: Gauge,
    entries: Gauge,
    evictions: Family<CauseLabels, Counter>,
    damaged: Counter,
    unreadable: Counter,
    free: Gauge,
    failing: Family<OperationLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    cause: &'static str,
}

/// The totals of the store at the moment of a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreFigures {
    /// Bytes on disk.
    pub bytes: u64,
    /// Entries on disk.
    pub entries: u64,
    /// Entries found damaged since the start.
    pub damaged: u64,
    /// Reads of entries that failed since the start.
    pub unreadable: u64,
    /// Free bytes of the file system, if they were measured.
    pub free: Option<u64>,
}

impl StoreMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "faceplate_store_bytes",
            "Bytes on disk, in blocks of 4 KiB",
            self.bytes.clone(),
        );
        registry.register(
            "faceplate_store_entries",
            "Entries on disk",
            self.entries.clone(),
        );
        registry.register(
            "faceplate_evictions",
            "Entries evicted to make room, by the limit that was exceeded",
            self.evictions.clone(),
        );
        registry.register(
            "faceplate_damaged",
            "Damaged entries found",
            self.damaged.clone(),
        );
        registry.register(
            "faceplate_unreadable",
            "Reads of entries that failed although the entry may be whole",
            self.unreadable.clone(),
        );
        registry.register(
            "faceplate_disk_free_bytes",
            "Free bytes of the cache's file system",
            self.free.clone(),
        );
        registry.register(
            "faceplate_disk_failing",
            "Whether this operation of the cache's disk fails now: 1 or 0",
            self.failing.clone(),
        );
    }

    /// Sets the totals.
    pub fn set(&self, figures: StoreFigures) {
        let signed = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        self.bytes.set(signed(figures.bytes));
        self.entries.set(signed(figures.entries));
        for (counter, figure) in [
            (&self.damaged, figures.damaged),
            (&self.unreadable, figures.unreadable),
        ] {
            counter.inc_by(figure.saturating_sub(counter.get()));
        }
        if let Some(free) = figures.free {
            self.free.set(signed(free));
        }
    }

    /// Sets the entries evicted since the start for `cause`.
    pub fn set_evicted(&self, cause: &'static str, count: u64) {
        let labels = CauseLabels { cause };
        let counter = self.evictions.get_or_create(&labels);
        counter.inc_by(count.saturating_sub(counter.get()));
    }

    /// Sets whether an operation of the disk fails now.
    pub fn set_failing(&self, operation: &'static str, fails: bool) {
        let labels = OperationLabels { operation };
        let gauge = self.failing.get_or_create(&labels);
        gauge.set(i64::from(fails));
    }
}
