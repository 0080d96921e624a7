//! How much space a file system has.

use std::{io, path::Path};

/// A file system's space, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct DiskSpace {
    /// All of it.
    pub size: u64,
    /// The space that this user may still write to.
    pub free: u64,
}

/// The space of the file system that holds `dir`.
pub fn disk_space(dir: &Path) -> io::Result<DiskSpace> {
    let system = rustix::fs::statvfs(dir)?;
    Ok(DiskSpace {
        size: system.f_blocks.saturating_mul(system.f_frsize),
        free: system.f_bavail.saturating_mul(system.f_frsize),
    })
}
