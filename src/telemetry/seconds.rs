//! Histograms of times.

use prometheus_client::metrics::{family::MetricConstructor, histogram::Histogram};

/// Makes histograms of seconds.
#[derive(Clone)]
pub(super) struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    /// The buckets reach from a memory hit to a vendor that hangs.
    fn new_metric(&self) -> Histogram {
        const BUCKETS: [f64; 12] = [
            0.000_05, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 12.5,
        ];
        Histogram::new(BUCKETS)
    }
}
