//! Fuzz target: damaged index files.

use std::fs;

use super::{
    index_file::{self, IndexFile},
    layout,
};

/// A line as cacache writes it.
const WHOLE_LINE: &[u8] = include_bytes!("../../fuzz/corpus/index/whole");

/// A damaged index file is read without a panic, compacting it does not change its newest entry, and damage behind a
/// whole line does not hide that line.
pub fn index_file(bytes: &[u8]) {
    has_entry(bytes);
    assert!(has_entry(&[WHOLE_LINE, b"\n", bytes].concat()));
}

fn has_entry(bytes: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("file");
    fs::write(&path, bytes).expect("a file in the temporary folder");
    let before = IndexFile::parse(bytes);
    let line = before.line.as_ref();
    if let Some(integrity) = line.and_then(|line| line.integrity.as_ref()) {
        layout::content_path(folder.path(), integrity);
        layout::content_id(integrity);
    }
    if index_file::compact(folder.path(), &path, 0).is_ok() {
        let after = IndexFile::parse(&fs::read(&path).unwrap_or_default());
        assert!(!after.is_damaged);
        assert_eq!(newest(&after), newest(&before));
    }
    before.line.is_some()
}

fn newest(file: &IndexFile) -> Option<(&str, Option<&str>, u64, u64)> {
    let line = file.line.as_ref()?;
    Some((&line.key, line.integrity.as_deref(), line.time, line.size))
}
