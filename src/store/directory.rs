//! The cache directory: made if it is missing, and locked for this process alone.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::fd::OwnedFd,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use rustix::fs::{Mode, OFlags, open};

use crate::sync::lock;

/// A cache directory that this process has locked.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// The open directory, from which the paths of non-blocking reads start: the kernel does not
    /// walk the path to the directory each time.
    descriptor: ArcSwap<OwnedFd>,
    /// The lock lasts as long as this file is open.
    lock_file: Mutex<File>,
    /// How many times the directory was locked anew.
    epoch: AtomicU64,
}

/// Why the cache directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is missing and could not be made.
    #[error("cannot make the cache directory {}: {error}; make it yourself, or set cache.dir to a place that this user may write to", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// It exists and cannot be written to.
    #[error("cannot write to the cache directory {}: {error}; give this user (uid {uid}) write permission, or set cache.dir to another place", dir.display())]
    ReadOnly {
        /// The directory.
        dir: PathBuf,
        /// The system's error.
        error: io::Error,
        /// The user id of this process.
        uid: u32,
    },
    /// Another process has locked it.
    #[error("the cache directory {} is in use by another faceplate; stop that one, or set cache.dir to another place", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
}

impl Directory {
    /// Locks `dir`. A directory that cannot be written to is an error now, not at the first picture.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        Ok(Self {
            root: dir.to_path_buf(),
            lock_file: Mutex::new(make_and_lock(dir)?),
            descriptor: ArcSwap::from_pointee(open_descriptor(dir)?),
            epoch: AtomicU64::new(0),
        })
    }

    /// Makes and locks the directory anew if it was removed, replaced or mounted over. Returns its
    /// epoch; a new epoch means that the contents of the directory are unknown.
    pub(super) fn ensure_locked(&self) -> Result<u64, OpenError> {
        let mut lock_file = lock(&self.lock_file);
        if !is_same_file(&lock_file, &self.root.join(LOCK_FILE)) {
            let (file, descriptor) = (make_and_lock(&self.root)?, open_descriptor(&self.root)?);
            *lock_file = file;
            self.descriptor.store(Arc::new(descriptor));
            self.epoch.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(dir = %self.root.display(), "the cache directory was removed or replaced; it is made and locked anew");
        }
        Ok(self.epoch.load(Ordering::Relaxed))
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The open directory, for paths relative to it.
    pub(super) fn descriptor(&self) -> Guard<Arc<OwnedFd>> {
        self.descriptor.load()
    }
}

const LOCK_FILE: &str = "lock";

/// Makes `dir` if it is missing, and locks it for as long as the returned file is open.
fn make_and_lock(dir: &Path) -> Result<File, OpenError> {
    let to_path = || dir.to_path_buf();
    fs::DirBuilder::new()
        .recursive(true)
        // Pictures of people: readable by this user alone.
        .mode(0o700)
        .create(dir)
        .map_err(|error| OpenError::Missing {
            dir: to_path(),
            error,
        })?;
    let read_only = |error| OpenError::ReadOnly {
        dir: to_path(),
        error,
        uid: rustix::process::getuid().as_raw(),
    };
    let path = dir.join(LOCK_FILE);
    File::create(&path).map_err(read_only)?;
    // Opened for reading only: a file open for writing would keep an operator from remounting the
    // disk read-only.
    let file = File::open(&path).map_err(read_only)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: to_path() }),
        Err(TryLockError::Error(error)) => Err(read_only(error)),
    }
}

fn open_descriptor(dir: &Path) -> Result<OwnedFd, OpenError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(dir, flags, Mode::empty()).map_err(|error| OpenError::Missing {
        dir: dir.to_path_buf(),
        error: error.into(),
    })
}

fn is_same_file(open: &File, path: &Path) -> bool {
    let open = open.metadata().map(|file| (file.dev(), file.ino()));
    let at_path = fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((open, at_path), (Ok(open), Ok(at_path)) if open == at_path)
}
