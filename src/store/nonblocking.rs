//! Reading without waiting. An entry whose files the kernel has in memory is read where it is asked for:
//! to hand it to another thread and back costs more than to read it (`make bench-peers`, disk hit). Where
//! the disk would have to be waited for, nothing is read, and the caller hands over after all.
//!
//! Linux says which is which, for the path (`openat2` with `RESOLVE_CACHED`, 5.12) and for the bytes
//! (`preadv2` with `RWF_NOWAIT`, 4.14). A system or a sandbox that has neither makes every look one that
//! would have to wait.

use std::{
    io::{self, IoSliceMut},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, openat2},
    io::{ReadWriteFlags, preadv2},
};

use super::{
    directory::Directory,
    index_file,
    metadata::{EntryMetadata, MetadataCache, ReadError},
};
use crate::avatar::{Entry, Key, Picture};

/// What can be told of a cache directory without waiting.
#[derive(Debug)]
pub(super) struct NonblockingReader {
    directory: Arc<Directory>,
    metadata: MetadataCache,
}

/// The bucket of an entry that was written once.
const USUAL_BUCKET: usize = 1024;
/// What is set aside at most for what is expected: an index may say anything.
const MOST: usize = 1024 * 1024;
/// The smallest page that Linux has.
const PAGE: usize = 4096;

impl NonblockingReader {
    /// Of this directory.
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self {
            directory,
            metadata: MetadataCache::new(),
        }
    }

    /// The entry of `key`, if it is whole and in the page cache.
    pub(super) fn try_read_cached(&self, key: &Key) -> Result<Entry, ReadError> {
        let start = self.directory.start();
        let metadata = self.metadata.get_or_read(key, || {
            let file = match read(&**start, &below(key), USUAL_BUCKET) {
                Ok(bytes) => index_file::newest(&bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(ReadError::Absent);
                }
                Err(error) => return Err(error.into()),
            };
            let line = file.line.filter(|_| !file.is_damaged);
            EntryMetadata::of(line.ok_or(ReadError::Torn)?)
        })?;
        metadata.entry(|content, size, proof| {
            let path = index_file::content_path(Path::new(""), content);
            let bytes = read(&**start, &path.ok_or(ReadError::NotAPicture)?, size)?;
            // One hash is enough to know the bytes again, and BLAKE3 is the quicker one.
            let proven = proof.and_then(|proof| Picture::from_proof(bytes.into(), proof));
            proven.ok_or(ReadError::NotAPicture)
        })
    }

    /// The index has come to say something else of `key`.
    pub(super) fn changed(&self, key: &Key) {
        self.metadata.remove(key);
    }

    /// It is another directory.
    pub(super) fn all_changed(&self) {
        self.metadata.clear();
    }
}

/// Where the bucket of `key` lies below the cache directory.
fn below(key: &Key) -> PathBuf {
    index_file::path(Path::new(""), &key.to_string())
}

/// The bytes of the file at `path` below `start`, about `expected` many, if that takes no waiting.
fn read(start: impl AsFd, path: &Path, expected: usize) -> io::Result<Vec<u8>> {
    // Whatever else may lie there, a FIFO say, is not waited for either.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat2(start, path, flags, Mode::empty(), ResolveFlags::CACHED)?;
    let mut bytes = vec![0; expected.min(MOST) + 1];
    let mut length = 0;
    // Fewer bytes than asked for may be all there are, or all that need no waiting; the latter is
    // counted in pages.
    loop {
        let mut rest = [IoSliceMut::new(&mut bytes[length..])];
        match preadv2(&file, &mut rest, length as u64, ReadWriteFlags::NOWAIT)? {
            0 => break,
            read => length += read,
        }
        if !length.is_multiple_of(PAGE) && length < bytes.len() {
            break;
        }
        if length == bytes.len() {
            bytes.resize(2 * length, 0);
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::CWD;

    use super::*;

    #[test]
    fn a_file_is_read_whole_whatever_length_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        fs::write(&path, &bytes).unwrap();
        for expected in [1, 9_999, 10_001, 100_000] {
            assert_eq!(read(CWD, &path, expected).unwrap(), bytes, "{expected}");
        }
    }

    #[test]
    fn a_missing_file_is_known_to_be_absent_after_the_first_lookup_until_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let is_absent = || read(CWD, &path, 10).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        assert!(fs::read(&path).is_err());
        assert!(is_absent());
        fs::write(&path, b"here").unwrap();
        assert!(!is_absent());
    }

    #[test]
    fn what_is_not_there_or_no_file_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(CWD, &folder.path().join("none"), 10).is_err());
        assert!(read(CWD, folder.path(), 10).is_err());
    }
}
