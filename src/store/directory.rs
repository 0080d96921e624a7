//! The cache directory: made if it is missing, and taken for this process alone.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A cache directory that is ours.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// The lock goes when the file is closed.
    _lock: File,
}

/// Why the cache directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Missing, and it could not be made.
    #[error("cannot make the cache directory {}: {error}; make it yourself, or set cache.dir to a place that this user may write to", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There, but not writable.
    #[error("cannot write to the cache directory {}: {error}; give this user (uid {uid}) write permission, or set cache.dir to another place", dir.display())]
    ReadOnly {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
        /// Who is asking.
        uid: u32,
    },
    /// In use.
    #[error("the cache directory {} is in use by another faceplate; stop that one, or set cache.dir to another place", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
}

impl Directory {
    /// Takes `dir`, and finds out now, not at the first picture, whether it can be written to.
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let at = || dir.to_path_buf();
        fs::DirBuilder::new()
            .recursive(true)
            // Faces of people: nobody else's business.
            .mode(0o700)
            .create(dir)
            .map_err(|error| OpenError::Missing { dir: at(), error })?;
        let read_only = |error| OpenError::ReadOnly {
            dir: at(),
            error,
            uid: rustix::process::getuid().as_raw(),
        };
        let path = dir.join("lock");
        File::create(&path).map_err(read_only)?;
        // Held open for reading only: a file open for writing would keep an operator from
        // remounting the disk read-only.
        let lock = File::open(&path).map_err(read_only)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                root: at(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: at() }),
            Err(TryLockError::Error(error)) => Err(read_only(error)),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}
