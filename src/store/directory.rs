//! The cache directory: made if it is missing, and taken for this process alone.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::fd::OwnedFd,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use rustix::fs::{Mode, OFlags, open};

/// A cache directory that is ours.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Where paths below it begin that are looked up often: the kernel need not walk to it each time.
    start: ArcSwap<OwnedFd>,
    /// The lock goes when the file is closed.
    lock: Mutex<File>,
    /// Counts how often it was taken anew.
    taken: AtomicU64,
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
        Ok(Self {
            root: dir.to_path_buf(),
            lock: Mutex::new(lock(dir)?),
            start: ArcSwap::from_pointee(start(dir)?),
            taken: AtomicU64::new(0),
        })
    }

    /// Takes the directory anew if it was removed, replaced or mounted over. Returns how often that
    /// was done so far: with another number, nothing is known of what is in it.
    pub(super) fn retake(&self) -> Result<u64, OpenError> {
        let mut ours = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_same_file(&ours, &self.root.join(LOCK)) {
            let (lock, start) = (lock(&self.root)?, start(&self.root)?);
            *ours = lock;
            self.start.store(Arc::new(start));
            self.taken.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(dir = %self.root.display(), "the cache directory was removed or replaced; it is taken anew");
        }
        Ok(self.taken.load(Ordering::Relaxed))
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory, for paths that are relative to it.
    pub(super) fn start(&self) -> Guard<Arc<OwnedFd>> {
        self.start.load()
    }
}

const LOCK: &str = "lock";

/// Makes `dir` if it is missing, and locks it for as long as the file is open.
fn lock(dir: &Path) -> Result<File, OpenError> {
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
    let path = dir.join(LOCK);
    File::create(&path).map_err(read_only)?;
    // Held open for reading only: a file open for writing would keep an operator from remounting
    // the disk read-only.
    let lock = File::open(&path).map_err(read_only)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: at() }),
        Err(TryLockError::Error(error)) => Err(read_only(error)),
    }
}

fn start(dir: &Path) -> Result<OwnedFd, OpenError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(dir, flags, Mode::empty()).map_err(|error| OpenError::Missing {
        dir: dir.to_path_buf(),
        error: error.into(),
    })
}

fn is_same_file(open: &File, path: &Path) -> bool {
    let open = open.metadata().map(|about| (about.dev(), about.ino()));
    let there = fs::metadata(path).map(|about| (about.dev(), about.ino()));
    matches!((open, there), (Ok(open), Ok(there)) if open == there)
}
