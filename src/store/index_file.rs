//! The files of cacache's index: parsing and shortening them. cacache appends a line for every change
//! and never shortens a file; its own reader stops at some kinds of damage, and its listing panics on
//! an entry that it does not know.
//!
//! An index file belongs to one key. A line is the SHA-256 of a JSON text in hexadecimal, a tab, and
//! that text. The last intact line counts. Tests compare this with cacache's own reader.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::layout;
use crate::hex;

/// A line of an index file.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct IndexLine {
    /// The key.
    pub(super) key: String,
    /// The name of the content; `None` for an entry that was removed.
    pub(super) integrity: Option<String>,
    /// When the line was written, in milliseconds since the Unix epoch.
    pub(super) time: u64,
    /// The content's length in bytes.
    pub(super) size: u64,
    /// The store's [`Record`](super::record::Record).
    pub(super) metadata: Box<RawValue>,
}

/// An index file as it is read.
#[derive(Debug, Default)]
pub(super) struct IndexFile {
    /// The last intact line.
    pub(super) line: Option<IndexLine>,
    /// Whether a line after it, or every line, is damaged.
    pub(super) is_damaged: bool,
}

impl IndexFile {
    /// Parses an index file from its end to the last intact line.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut file = Self::default();
        let lines = bytes.split(|byte| *byte == b'\n').rev();
        for line in lines.filter(|line| !line.is_empty()) {
            file.line = parse_line(line);
            if file.line.is_some() {
                break;
            }
            file.is_damaged = true;
        }
        file
    }
}

/// Every intact line of an index file, oldest first.
pub(super) fn parse_all_lines(bytes: &[u8]) -> Vec<IndexLine> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter_map(parse_line).collect()
}

/// Rewrites the index file at `path` with its last intact line alone, if it is longer than `max_length`
/// bytes. Removes a file that has no intact line.
pub(super) fn compact(root: &Path, path: &Path, max_length: u64) -> io::Result<()> {
    if fs::metadata(path)?.len() <= max_length {
        return Ok(());
    }
    let bytes = fs::read(path)?;
    let mut lines = bytes.split(|byte| *byte == b'\n').rev();
    let Some(line) = lines.find(|line| parse_line(line).is_some()) else {
        return fs::remove_file(path);
    };
    // cacache makes this folder with the first picture.
    let temporary = layout::temporary_folder(root);
    fs::create_dir_all(&temporary)?;
    let mut file = NamedTempFile::new_in(temporary)?;
    file.write_all(b"\n")?;
    file.write_all(line)?;
    file.persist(path)?;
    Ok(())
}

/// The line, if its digest is that of its text.
fn parse_line(line: &[u8]) -> Option<IndexLine> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (digest, json) = (&line[..tab], &line[tab + 1..]);
    if hex::encode::<64>(&Sha256::digest(json)).as_bytes() != digest {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_to_the_last_line_of_an_index_file_leaves_the_line_before_it() {
        let line = |time: u64| {
            let json = format!(
                r#"{{"key":"k","integrity":null,"time":{time},"size":0,"metadata":null,"raw_metadata":null}}"#
            );
            let digest = hex::encode::<64>(&Sha256::digest(json.as_bytes()));
            format!("\n{digest}\t{json}")
        };
        let mut bytes = (line(1) + &line(2)).into_bytes();
        let parse = |bytes: &[u8]| {
            let file = IndexFile::parse(bytes);
            (file.line.map(|line| line.time), file.is_damaged)
        };
        assert_eq!(parse(&bytes), (Some(2), false));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(parse(&bytes), (Some(1), true));
        bytes[80] ^= 0xFF;
        assert_eq!(parse(&bytes), (None, true));
        assert_eq!(parse(b""), (None, false));
    }
}
