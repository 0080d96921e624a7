//! The calls of the `cacache` crate. No other file names the crate.
//!
//! cacache writes the two formats on disk: a content file, made under a temporary name and moved to
//! the name of its SHA-256, and a line at the end of a key's index file. The rest of the store is
//! ours, because cacache lacks it or panics at it: it has no eviction, no reference count, no garbage
//! collection and no limit for an index file, its reader believes a damaged index file, and its
//! listing panics at an unknown line.
//!
//! Every call blocks. The crate's async functions move to another thread once per file, and cost
//! several times as much as one move for a whole look-up.

use std::path::Path;

pub(super) use cacache::{Error as CacacheError, Integrity};
use cacache::{WriteOpts, index};
use serde_json::Value;

use super::read_error::ReadError;

/// The name of a content with these bytes.
pub(super) fn integrity_of(bytes: &[u8]) -> Integrity {
    Integrity::from(bytes)
}

/// Whether there is a content file of this name, damaged or not.
pub(super) fn has_content(root: &Path, content: &Integrity) -> bool {
    cacache::exists_sync(root, content)
}

/// Reads a content file and checks its SHA-256.
pub(super) fn read_content(root: &Path, integrity: &str) -> Result<Vec<u8>, ReadError> {
    let content: Integrity = integrity.parse().map_err(|_| ReadError::NotAPicture)?;
    cacache::read_hash_sync(root, &content).map_err(|error| match error {
        CacacheError::IoError(error, _) if error.kind() != std::io::ErrorKind::NotFound => {
            ReadError::ContentIo(error)
        }
        error => ReadError::Content(error.into()),
    })
}

/// Writes a content file.
pub(super) fn write_content(root: &Path, bytes: &[u8]) -> Result<(), CacacheError> {
    cacache::write_hash_sync(root, bytes).map(|_| ())
}

/// Appends a line to the index file of `key`. `size` is the content's length in bytes, `time` is in
/// milliseconds since the Unix epoch.
pub(super) fn append_line(
    root: &Path,
    key: &str,
    content: Integrity,
    size: usize,
    time: u64,
    record: Value,
) -> Result<(), CacacheError> {
    let line = WriteOpts::new()
        .integrity(content)
        .size(size)
        .time(u128::from(time))
        .metadata(record);
    index::insert(root, key, line).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{
        index_file::{self, IndexFile, IndexLine},
        layout,
    };

    fn record(line: &IndexLine) -> Value {
        serde_json::from_str(line.metadata.get()).unwrap()
    }

    #[test]
    fn our_parser_of_index_files_agrees_with_cacache() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for time in 1..=100 {
            let content = integrity_of(b"content");
            let record = serde_json::json!({ "time": time.to_string() });
            append_line(root, "a key", content, 7, time, record).unwrap();
        }
        let path = layout::index_path(root, "a key");
        let theirs = index::find(root, "a key").unwrap().unwrap();
        let ours = IndexFile::parse(&fs::read(&path).unwrap()).line.unwrap();
        assert_eq!((&ours.key, ours.size), (&theirs.key, 7));
        assert_eq!(ours.integrity, Some(theirs.integrity.to_string()));
        assert_eq!(record(&ours), theirs.metadata);
        // cacache reads a compacted file, too.
        index_file::compact(root, &path, 1000).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 1000);
        let theirs = index::find(root, "a key").unwrap().unwrap();
        assert_eq!(theirs.metadata, record(&ours));
    }

    #[test]
    fn our_paths_of_content_files_agree_with_cacache() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let content = cacache::write_hash_sync(root, b"content").unwrap();
        let path = layout::content_path(root, &content.to_string()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        let id = layout::content_id(&content.to_string()).unwrap();
        assert_eq!(layout::content_id_at(root, &path), Some(id));
        assert_eq!(layout::find_content(root, &id), Some(path));
    }
}
