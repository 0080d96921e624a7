//! The files of cacache's index, where cacache itself does not help: it appends a line for every
//! change and never shortens a file, and its listing panics on an entry that it does not know.
//!
//! A bucket is one key's file, named by the SHA-1 of the key; a line is the SHA-256 of a JSON text,
//! a tab, and that text. The last whole line counts. A test holds this against cacache.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use arrayvec::ArrayString;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::catalogue::ContentId;
use crate::clock::Clock;

/// Below `root`, the folder of buckets.
const INDEX: &str = "index-v5";
/// Below `root`, the folder of contents.
const CONTENT: &str = "content-v2";
/// Below `root`, the folder of files that are being written.
const TMP: &str = "tmp";

/// What a line says.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Line {
    /// The key.
    pub(super) key: String,
    /// `sha256-` and the digest in Base64; none for an entry that was removed.
    pub(super) integrity: Option<String>,
    /// When the line was written, in milliseconds since the Unix epoch.
    pub(super) time: u64,
    /// The content's length.
    pub(super) size: u64,
    /// What we wrote beside it.
    pub(super) metadata: Box<RawValue>,
}

/// The path of the bucket of `key`.
pub(super) fn path(root: &Path, key: &str) -> PathBuf {
    sharded(root, &[INDEX], &hex(&sha1::Sha1::digest(key.as_bytes())))
}

/// Where cacache files what is named by `hex`: two folders of two digits, and the rest.
fn sharded(root: &Path, folders: &[&str], hex: &str) -> PathBuf {
    // One piece of memory, for this is done at every look at the disk.
    let mut path = PathBuf::with_capacity(root.as_os_str().len() + 32 + hex.len());
    path.push(root);
    for part in folders
        .iter()
        .copied()
        .chain([&hex[..2], &hex[2..4], &hex[4..]])
    {
        path.push(part);
    }
    path
}

/// Every bucket below `root`, and every folder that could not be looked into: who counts what is
/// there has to know what was not seen.
pub(super) fn try_files(root: &Path) -> impl Iterator<Item = io::Result<PathBuf>> + use<> {
    walkdir::WalkDir::new(root.join(INDEX))
        .into_iter()
        .filter_map(|item| match item {
            Ok(item) => item.file_type().is_file().then(|| Ok(item.into_path())),
            Err(error) => {
                let error = io::Error::from(error);
                (error.kind() != io::ErrorKind::NotFound).then_some(Err(error))
            }
        })
}

/// Every bucket below `root`.
pub(super) fn files(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    below(&root.join(INDEX))
}

/// Every content below `root`.
pub(super) fn contents(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    below(&root.join(CONTENT))
}

/// Every file that is being written, or was when its writer died.
pub(super) fn unfinished(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    below(&root.join(TMP))
}

fn below(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        // What vanishes or cannot be read while we look is not there.
        .filter_map(Result::ok)
        .filter(|item| item.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
}

/// The content that an integrity such as `sha256-…` names.
pub(super) fn content_id(integrity: &str) -> Option<ContentId> {
    let digest = digest(integrity)?;
    Some(ContentId(digest.get(..8)?.try_into().ok()?))
}

/// Whether these are the bytes that an integrity such as `sha256-…` names.
pub(super) fn is_content(bytes: &[u8], integrity: &str) -> bool {
    digest(integrity).is_some_and(|digest| Sha256::digest(bytes)[..] == digest[..])
}

/// Where that content lies.
pub(super) fn content_path(root: &Path, integrity: &str) -> Option<PathBuf> {
    Some(sharded(
        root,
        &[CONTENT, "sha256"],
        &hex(&digest(integrity)?),
    ))
}

/// The content that lies at `path`.
pub(super) fn content_at(root: &Path, path: &Path) -> Option<ContentId> {
    let hex: String = path
        .strip_prefix(root.join(CONTENT).join("sha256"))
        .ok()?
        .iter()
        .filter_map(|part| part.to_str())
        .collect();
    let mut id = [0; 8];
    for (byte, at) in id.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(ContentId(id))
}

/// Where a content lies of which only the beginning of the name is known.
pub(super) fn find_content(root: &Path, id: &ContentId) -> Option<PathBuf> {
    let hex = hex(&id.0);
    fs::read_dir(folder_of(root, &hex))
        .ok()?
        .filter_map(|item| Some(item.ok()?.path()))
        .find(|path| content_at(root, path) == Some(*id))
}

/// The system's time for a file's date: dates are compared with dates, not with our clock.
pub(super) fn now() -> fs::FileTimes {
    let now = UNIX_EPOCH + Duration::from_millis(Clock::system().now().as_millis());
    fs::FileTimes::new().set_modified(now)
}

fn folder_of(root: &Path, hex: &str) -> PathBuf {
    let (first, second) = (&hex[..2], &hex[2..4]);
    root.join(format!("{CONTENT}/sha256/{first}/{second}"))
}

fn digest(integrity: &str) -> Option<[u8; 32]> {
    let text = integrity.strip_prefix("sha256-")?;
    // A decoder that sees where the text ends only when it is there wants some room.
    let mut digest = [0; 33];
    let length = STANDARD.decode_slice(text, &mut digest).ok()?;
    digest[..length].try_into().ok()
}

/// In hexadecimal; of a SHA-256 at most.
fn hex(bytes: &[u8]) -> ArrayString<64> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = ArrayString::new();
    for byte in bytes {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    hex
}

/// What a bucket says.
#[derive(Debug, Default)]
pub(super) struct IndexFile {
    /// The last whole line.
    pub(super) line: Option<Line>,
    /// Whether a line after it, or every line, is damaged. cacache's own reader stops at some
    /// kinds of damage and believes what was before, for ever.
    pub(super) is_damaged: bool,
}

/// Reads a bucket.
pub(super) fn newest(bytes: &[u8]) -> IndexFile {
    let mut bucket = IndexFile::default();
    let lines = bytes.split(|byte| *byte == b'\n').rev();
    for line in lines.filter(|line| !line.is_empty()) {
        match whole(line) {
            Some((line, _)) => {
                bucket.line = Some(line);
                break;
            }
            None => bucket.is_damaged = true,
        }
    }
    bucket
}

/// Every whole line of a bucket, oldest first.
pub(super) fn lines(bytes: &[u8]) -> Vec<Line> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.filter_map(|line| Some(whole(line)?.0)).collect()
}

/// Rewrites a bucket that has grown longer than `longest` with its last whole line alone.
pub(super) fn compact(root: &Path, path: &Path, longest: u64) -> io::Result<()> {
    if fs::metadata(path)?.len() <= longest {
        return Ok(());
    }
    let bytes = fs::read(path)?;
    let lines = bytes.split(|byte| *byte == b'\n').rev();
    let Some((_, line)) = lines.filter(|line| !line.is_empty()).find_map(whole) else {
        return fs::remove_file(path);
    };
    // Nothing was written here yet if no picture was.
    fs::create_dir_all(root.join(TMP))?;
    let mut file = NamedTempFile::new_in(root.join(TMP))?;
    file.write_all(b"\n")?;
    file.write_all(line)?;
    file.persist(path)?;
    Ok(())
}

/// Writes a file that has no name and is gone when this returns, in each folder where entries are
/// written.
pub(super) fn try_writing(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root.join(TMP))?;
    for folder in [TMP, INDEX, CONTENT].map(|name| root.join(name)) {
        if folder.exists() {
            // A block: an empty file may fit where nothing fits.
            tempfile::tempfile_in(folder)?.write_all(&[0; 4096])?;
        }
    }
    Ok(())
}

fn whole(line: &[u8]) -> Option<(Line, &[u8])> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (hash, json) = (&line[..tab], &line[tab + 1..]);
    if hex(&Sha256::digest(json)).as_bytes() != hash {
        return None;
    }
    Some((serde_json::from_slice(json).ok()?, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_to_the_last_line_leaves_the_one_before() {
        let line = |time: u64| {
            let json = format!(
                r#"{{"key":"k","integrity":null,"time":{time},"size":0,"metadata":null,"raw_metadata":null}}"#
            );
            let hash = hex(&Sha256::digest(json.as_bytes()));
            format!("\n{hash}\t{json}")
        };
        let mut bytes = (line(1) + &line(2)).into_bytes();
        let time = |bytes: &[u8]| newest(bytes).line.map(|line| line.time);
        assert_eq!((time(&bytes), newest(&bytes).is_damaged), (Some(2), false));
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!((time(&bytes), newest(&bytes).is_damaged), (Some(1), true));
        bytes[80] ^= 0xFF;
        assert_eq!((time(&bytes), newest(&bytes).is_damaged), (None, true));
        assert_eq!((time(b""), newest(b"").is_damaged), (None, false));
    }
}
