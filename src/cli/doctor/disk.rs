//! Checks the cache directory: it can be written to, and its disk has room.

use super::Finding;
use crate::{
    clock::Clock,
    store::{OpenError, Settings, Store, disk_space},
};

pub(super) fn examine(settings: &Settings) -> Vec<Finding> {
    let dir = settings.dir.display();
    let mut findings = vec![match Store::open(settings, Clock::system()) {
        Ok(_) => Finding::ok("cache.dir", format!("{dir} can be written to")),
        Err(OpenError::Locked { .. }) => {
            Finding::ok("cache.dir", format!("{dir} is in use by a running server"))
        }
        Err(error) => Finding::fail("cache.dir", "cannot be used", error.to_string()),
    }];
    let Ok(space) = disk_space(&settings.dir) else {
        return findings;
    };
    let limits = &settings.maintenance;
    let free = format!("{} MiB free of {} MiB", space.free >> 20, space.size >> 20);
    findings.push(if space.free < limits.min_free {
        Finding::fail(
            "cache.min_free",
            format!("{free}, which is less than {} MiB", limits.min_free >> 20),
            "free space on the disk, or lower cache.min_free; until then faces are evicted as far as that helps",
        )
    } else if limits.max_bytes > space.size.saturating_sub(limits.min_free) {
        Finding::warn(
            "cache.max_bytes",
            format!(
                "{free}; the limit, {} MiB, is larger than the disk",
                limits.max_bytes >> 20
            ),
            "lower cache.max_bytes; until then only cache.min_free limits the cache",
        )
    } else {
        Finding::ok("cache.max_bytes", free)
    });
    findings
}
