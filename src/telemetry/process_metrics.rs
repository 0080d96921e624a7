//! The metrics of the process: the usual ones of Prometheus' clients, and the state of its configuration.

use std::{fs, sync::atomic::AtomicU64};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use crate::clock::Timestamp;

/// The metrics of the process.
#[derive(Debug, Default)]
pub struct ProcessMetrics {
    start: Gauge,
    memory: Gauge,
    open: Gauge,
    most_open: Gauge,
    processor: Counter<f64, AtomicU64>,
    reload_success: Gauge,
    reload_time: Gauge,
    certificate_end: Gauge,
}

/// A clock tick of `/proc`, which Linux fixes for programs.
const TICKS_PER_SECOND: f64 = 100.0;

impl ProcessMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "process_start_time_seconds",
            "The start of the process, in seconds since 1970",
            self.start.clone(),
        );
        registry.register(
            "process_resident_memory_bytes",
            "Memory of the process that is in RAM",
            self.memory.clone(),
        );
        registry.register(
            "process_open_fds",
            "Open file descriptors",
            self.open.clone(),
        );
        registry.register(
            "process_max_fds",
            "The most file descriptors that may be open",
            self.most_open.clone(),
        );
        registry.register(
            "process_cpu_seconds",
            "Processor time of the process",
            self.processor.clone(),
        );
        registry.register(
            "faceplate_config_last_reload_successful",
            "Whether the configuration was read without a problem the last time: 1 or 0",
            self.reload_success.clone(),
        );
        registry.register(
            "faceplate_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was read, in seconds since 1970",
            self.reload_time.clone(),
        );
        registry.register(
            "faceplate_certificate_expiry_timestamp_seconds",
            "The end of the certificate in use, in seconds since 1970; 0 without TLS",
            self.certificate_end.clone(),
        );
    }

    /// Records that the configuration was read.
    pub fn record_reload(&self, succeeded: bool, now: Timestamp) {
        self.reload_success.set(i64::from(succeeded));
        if succeeded {
            self.reload_time.set(seconds(now));
        }
    }

    /// Whether the configuration was read without a problem the last time, and when the one in use was read, in seconds since
    /// 1970.
    pub fn last_reload(&self) -> (bool, u64) {
        let time = u64::try_from(self.reload_time.get());
        (self.reload_success.get() == 1, time.unwrap_or_default())
    }

    /// Sets the start of the process, and the end of its certificate if it has one.
    pub fn set_times(&self, started: Timestamp, certificate_end: Option<Timestamp>) {
        self.start.set(seconds(started));
        self.certificate_end.set(certificate_end.map_or(0, seconds));
    }

    /// Reads the figures of the process. Those that cannot be read keep their values.
    pub fn read(&self, most_open: u64) {
        self.most_open
            .set(i64::try_from(most_open).unwrap_or(i64::MAX));
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // Reading them opens one more.
            let count = open.count().saturating_sub(1);
            self.open.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        if let Some(memory) = resident_memory() {
            self.memory.set(i64::try_from(memory).unwrap_or(i64::MAX));
        }
        let used = fs::read_to_string("/proc/self/stat");
        let used = used.ok().and_then(|text| processor_time(&text));
        if let Some(more) = used
            .map(|used| used - self.processor.get())
            .filter(|more| *more > 0.0)
        {
            self.processor.inc_by(more);
        }
    }
}

/// The process's resident memory in bytes, as the kernel reports it.
pub fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The seconds of processor time in the text of `/proc/self/stat`.
fn processor_time(stat: &str) -> Option<f64> {
    // The name of the program comes before, in parentheses, and may have anything in it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn seconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name_of_the_program() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        let stat = format!("1 (a) b (c) {fields}");
        assert_eq!(processor_time(&stat), Some(2.0));
        assert_eq!(processor_time("1 (cut"), None);
    }
}
