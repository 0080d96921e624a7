//! The cache directory: made if it is missing, closed to other users, and locked for this process alone. On
//! a read-only disk it is used without being written to.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::fd::OwnedFd,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use rustix::{
    fs::{Access, Mode, OFlags, open},
    process::getuid,
};

use super::layout;
use crate::sync::lock;

/// A cache directory that this process has locked.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// The open directory, from which the paths of non-blocking reads start: the kernel does not
    /// walk the path to the directory each time.
    descriptor: ArcSwap<OwnedFd>,
    /// `None` if the disk is read-only and has no lock file.
    lock_file: Mutex<Option<LockFile>>,
    /// How many times the directory was locked anew.
    epoch: AtomicU64,
}

/// The locked lock file. Dropping it releases the lock.
#[derive(Debug)]
struct LockFile(File);

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
    #[error("cannot write to the cache directory: {}: {error}; give this user (uid {uid}) write permission, or set cache.dir to another place", path.display())]
    NotWritable {
        /// The directory, or the file in it that is refused.
        path: PathBuf,
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
    /// It does not exist, and a command is not to make it.
    #[error("there is no cache directory {}; check cache.dir, start the server, which makes it, or make it for the server's user: mkdir -m 0700", .0.display())]
    Absent(PathBuf),
    /// This process is root's, and the directory another user's.
    #[error("the cache directory {} belongs to uid {owner}, who could not read files that root makes in it; start the server, which then does the work, or run this as that user: sudo -u '#{owner}' faceplate …", dir.display())]
    OfAnotherUser {
        /// The directory.
        dir: PathBuf,
        /// Its owner.
        owner: u32,
    },
}

impl Directory {
    /// Locks `dir`. A directory that this user may not write to is an error now, not at the first picture;
    /// a read-only disk is none, because a full cache serves faces from it.
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
        let is_lock_file = |file: &LockFile| is_same_file(&file.0, &self.root.join(LOCK_FILE));
        if lock_file.as_ref().is_some_and(is_lock_file) {
            return Ok(self.epoch.load(Ordering::Relaxed));
        }
        let (file, descriptor) = (make_and_lock(&self.root)?, open_descriptor(&self.root)?);
        if lock_file.is_none() && file.is_none() {
            return Ok(self.epoch.load(Ordering::Relaxed));
        }
        if lock_file.is_some() {
            tracing::warn!(dir = %self.root.display(), "the cache directory was removed or replaced; it is made and locked anew");
        }
        *lock_file = file;
        self.descriptor.store(Arc::new(descriptor));
        Ok(self.epoch.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The open directory, for paths relative to it.
    pub(super) fn descriptor(&self) -> Guard<Arc<OwnedFd>> {
        self.descriptor.load()
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that this process forks has it open, too, until its `exec`.
        let _ = self.0.unlock();
    }
}

const LOCK_FILE: &str = "lock";
/// The access that a server needs to a folder.
const READ_AND_WRITE: Access = Access::READ_OK
    .union(Access::WRITE_OK)
    .union(Access::EXEC_OK);

/// Checks that a command may work in `dir`. A command makes no directory, and does not work as root in another
/// user's directory: that user could not read the files.
pub(super) fn check_for_command(dir: &Path) -> Result<(), OpenError> {
    let Ok(metadata) = fs::metadata(dir) else {
        return Err(OpenError::Absent(dir.to_path_buf()));
    };
    if is_locked(dir) {
        return Err(OpenError::Locked {
            dir: dir.to_path_buf(),
        });
    }
    if getuid().is_root() && metadata.uid() != 0 {
        return Err(OpenError::OfAnotherUser {
            dir: dir.to_path_buf(),
            owner: metadata.uid(),
        });
    }
    Ok(())
}

/// Whether another process has locked `dir`. Makes no file.
pub fn is_locked(dir: &Path) -> bool {
    let locked = File::open(dir.join(LOCK_FILE)).map(|file| file.try_lock());
    matches!(locked, Ok(Err(TryLockError::WouldBlock)))
}

/// The first file or folder of the existing cache directory `dir` that a server could not use, and the
/// reason. For root, the server is expected to run as the directory's owner. Makes no file.
pub fn unusable_path(dir: &Path) -> Option<(PathBuf, String)> {
    let owner = fs::metadata(dir).ok()?.uid();
    let file = [(dir.join(LOCK_FILE), Access::WRITE_OK)];
    let folders = layout::all_folders(dir).map(|folder| (folder, READ_AND_WRITE));
    let all = [(dir.to_path_buf(), READ_AND_WRITE)];
    let all = all.into_iter().chain(file).chain(folders);
    let refused = |(path, access): (PathBuf, Access)| {
        let found = fs::metadata(&path).ok()?.uid();
        if getuid().is_root() {
            let why = format!("belongs to uid {found}, and the directory to uid {owner}");
            return (found != owner).then_some((path, why));
        }
        let error = rustix::fs::access(&path, access).err()?;
        (error != rustix::io::Errno::ROFS).then(|| (path, io::Error::from(error).to_string()))
    };
    all.filter_map(refused).next()
}

/// Makes `dir` if it is missing, and locks it for as long as the returned file lives. `None` if the disk
/// is read-only and has no lock file, so that no process can write to it.
fn make_and_lock(dir: &Path) -> Result<Option<LockFile>, OpenError> {
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
    close_to_others(dir);
    let path = dir.join(LOCK_FILE);
    let not_writable = |error| OpenError::NotWritable {
        path: path.clone(),
        error,
        uid: getuid().as_raw(),
    };
    let mut is_read_only = false;
    if let Err(error) = File::create(&path) {
        is_read_only = error.kind() == io::ErrorKind::ReadOnlyFilesystem;
        if !is_read_only {
            return Err(not_writable(error));
        }
    }
    // Opened for reading only: a file open for writing would keep an operator from remounting the
    // disk read-only.
    let file = match File::open(&path) {
        Err(error) if is_read_only && error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(not_writable)?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(LockFile(file))),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: to_path() }),
        Err(TryLockError::Error(error)) => Err(not_writable(error)),
    }
}

/// Takes the permissions of other users away from the directory, or from the folders in it if the directory
/// is not this user's: the index has phone numbers, and the contents are pictures of people.
fn close_to_others(dir: &Path) {
    let Ok(metadata) = fs::metadata(dir) else {
        return;
    };
    if metadata.uid() == getuid().as_raw() {
        close_folder(dir, &metadata);
        return;
    }
    if getuid().is_root() {
        let owner = metadata.uid();
        tracing::warn!(dir = %dir.display(), owner, "the cache directory belongs to another user, who cannot read the files that root makes in it; run this as that user, or chown the directory to root");
    }
    for folder in layout::all_folders(dir) {
        if let Ok(metadata) = fs::metadata(&folder)
            && metadata.uid() == getuid().as_raw()
        {
            close_folder(&folder, &metadata);
        }
    }
    if metadata.mode() & 0o002 != 0 {
        tracing::warn!(dir = %dir.display(), mode = %format!("{:o}", metadata.mode() & 0o7777), "other users can write to the cache directory, and it belongs to another user; chown it to this user, or chmod o-w it");
    }
}

fn close_folder(folder: &Path, metadata: &fs::Metadata) {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        return;
    }
    match fs::set_permissions(folder, Permissions::from_mode(mode & 0o700)) {
        Ok(()) => {
            tracing::warn!(folder = %folder.display(), mode = %format!("{mode:o}"), "other users could use a folder of the cache; it is closed to them now");
        }
        Err(error) => {
            tracing::warn!(folder = %folder.display(), mode = %format!("{mode:o}"), %error, "other users can use a folder of the cache; chmod 0700 it");
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_released_although_a_forked_child_has_its_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let inherited = lock(&directory.lock_file).as_ref().unwrap().0.try_clone();
        assert!(is_locked(folder.path()));
        drop(directory);
        assert!(!is_locked(folder.path()));
        drop(inherited.unwrap());
    }
}
