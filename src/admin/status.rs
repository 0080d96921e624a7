//! The state of the process, its instances and its cache: probes, metrics and records.

use bytes::Bytes;
use http::StatusCode;

use super::{
    Admin,
    records::{CacheRecord, InstanceRecord, date},
};
use crate::{http::respond, server::Reply, telemetry::StoreFigures};

impl Admin {
    pub(super) fn livez(&self) -> Reply {
        probe(Bytes::from_static(b"ok\n"))
    }

    /// 200 even if the disk fails: faces are then served from memory and the vendors, so the server
    /// should stay in service. The text shows the failure.
    pub(super) fn readyz(&self) -> Reply {
        probe(match self.faces.health().degraded {
            Some(trouble) => Bytes::from(format!(
                "ok, but degraded since {}: {}\n",
                date(trouble.since),
                trouble.reason
            )),
            None => Bytes::from_static(b"ok\n"),
        })
    }

    /// The counters, and the gauges as they are now.
    pub(super) fn metrics(&self) -> Reply {
        let metrics = &self.metrics;
        for instance in self.instances.iter() {
            metrics.set_budget(instance.name(), instance.admission().available());
        }
        let health = self.faces.health();
        metrics.set_store(StoreFigures {
            bytes: health.totals.bytes,
            entries: health.totals.entries,
            evicted: health.evicted,
            damaged: health.damaged,
        });
        respond::uncached(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            metrics.text().into(),
        )
    }

    /// The record of each instance, by name.
    pub(super) fn instance_records(&self) -> Vec<InstanceRecord<'_>> {
        let instances = self.instances.iter();
        let mut records: Vec<_> = instances
            .map(|instance| InstanceRecord::new(instance))
            .collect();
        records.sort_by_key(|record| record.instance);
        records
    }

    pub(super) fn cache_record(&self) -> CacheRecord {
        CacheRecord::new(self.faces.health())
    }
}

fn probe(text: Bytes) -> Reply {
    respond::uncached(StatusCode::OK, "text/plain; charset=utf-8", text)
}
