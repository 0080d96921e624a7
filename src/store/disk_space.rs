//! How much space a file system has.

use std::{io, path::Path};

/// A file system's space.
#[derive(Clone, Copy, Debug)]
pub struct DiskSpace {
    /// All bytes.
    pub size: u64,
    /// Bytes that this user may still write.
    pub free: u64,
    /// All inodes; zero where the file system counts none.
    pub inodes: u64,
    /// Inodes that this user may still use.
    pub free_inodes: u64,
}

/// The space of the file system that holds `dir`.
pub fn disk_space(dir: &Path) -> io::Result<DiskSpace> {
    let system = rustix::fs::statvfs(dir)?;
    Ok(DiskSpace {
        size: system.f_blocks.saturating_mul(system.f_frsize),
        free: system.f_bavail.saturating_mul(system.f_frsize),
        inodes: system.f_files,
        free_inodes: system.f_favail,
    })
}
