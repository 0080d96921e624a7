//! Where cacache keeps its files below the cache directory, and how it names them:
//!
//! | path | holds |
//! | --- | --- |
//! | `index-v5/ab/cd/…` | the index file of one key, named by the SHA-1 of the key |
//! | `content-v2/sha256/ab/cd/…` | one content, which is a picture's bytes, named by its SHA-256 |
//! | `tmp/…` | files that are being written |
//! | `instances/…` | the store's own state files |
//! | `archive/…` | another such directory, with earlier pictures |
//!
//! Index lines name a content by its *integrity*: `sha256-` and the digest in Base64.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::entry_table::ContentId;
use crate::hex;

const INDEX: &str = "index-v5";
const CONTENT: &str = "content-v2";
const TEMPORARY: &str = "tmp";
const STATES: &str = "instances";
const ARCHIVE: &str = "archive";

/// The path of the index file of `key`.
pub(super) fn index_path(root: &Path, key: &str) -> PathBuf {
    let hex = hex::encode::<40>(&sha1::Sha1::digest(key.as_bytes()));
    sharded_path(root, &[INDEX], &hex)
}

/// The path of the content that `integrity` names, or `None` if it names none.
pub(super) fn content_path(root: &Path, integrity: &str) -> Option<PathBuf> {
    let hex = hex::encode::<64>(&digest(integrity)?);
    Some(sharded_path(root, &[CONTENT, "sha256"], &hex))
}

/// cacache files a name under two folders of two digits each.
fn sharded_path(root: &Path, folders: &[&str], hex: &str) -> PathBuf {
    let mut path = root.to_path_buf();
    path.extend(folders);
    path.extend([&hex[..2], &hex[2..4], &hex[4..]]);
    path
}

/// The id of the content that `integrity` names.
pub(super) fn content_id(integrity: &str) -> Option<ContentId> {
    let digest = digest(integrity)?;
    Some(ContentId(digest.get(..8)?.try_into().ok()?))
}

/// The id of the content file at `path`.
pub(super) fn content_id_at(root: &Path, path: &Path) -> Option<ContentId> {
    let hex: String = path
        .strip_prefix(root.join(CONTENT).join("sha256"))
        .ok()?
        .iter()
        .filter_map(|part| part.to_str())
        .collect();
    hex::decode(hex.get(..16)?).map(ContentId)
}

/// The path of the content with this id, if there is one. Searches the one folder where it may be.
pub(super) fn find_content(root: &Path, id: &ContentId) -> Option<PathBuf> {
    let hex = hex::encode::<16>(&id.0);
    let (first, second) = (&hex[..2], &hex[2..4]);
    let folder = root.join(format!("{CONTENT}/sha256/{first}/{second}"));
    std::fs::read_dir(folder)
        .ok()?
        .filter_map(|item| Some(item.ok()?.path()))
        .find(|path| content_id_at(root, path) == Some(*id))
}

/// Whether `bytes` are the content that `integrity` names.
pub(super) fn is_content(bytes: &[u8], integrity: &str) -> bool {
    digest(integrity).is_some_and(|digest| Sha256::digest(bytes)[..] == digest[..])
}

fn digest(integrity: &str) -> Option<[u8; 32]> {
    let text = integrity.strip_prefix("sha256-")?;
    // The decoder wants room for a whole group of three bytes at the end.
    let mut digest = [0; 33];
    let length = STANDARD.decode_slice(text, &mut digest).ok()?;
    digest[..length].try_into().ok()
}

/// Every index file, and an error for every folder that cannot be read. The index in memory is
/// complete only if there was no error.
pub(super) fn try_index_files(root: &Path) -> impl Iterator<Item = io::Result<PathBuf>> + use<> {
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

/// Every index file that can be listed.
pub(super) fn index_files(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    files_below(&root.join(INDEX))
}

/// Every content file that can be listed.
pub(super) fn content_files(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    files_below(&root.join(CONTENT))
}

/// Every file that is being written, or that a killed process left unfinished.
pub(super) fn temporary_files(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    files_below(&root.join(TEMPORARY))
}

fn files_below(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        // Files may be removed while they are listed.
        .filter_map(Result::ok)
        .filter(|item| item.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
}

/// The folder for files that are being written. It is on the file system of their final place.
pub(super) fn temporary_folder(root: &Path) -> PathBuf {
    root.join(TEMPORARY)
}

/// Every folder directly below the cache directory.
pub(super) fn all_folders(root: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let root = root.to_path_buf();
    let names = [TEMPORARY, INDEX, CONTENT, STATES, ARCHIVE];
    names.into_iter().map(move |name| root.join(name))
}

/// The folder of the state files.
pub(super) fn state_folder(root: &Path) -> PathBuf {
    root.join(STATES)
}

/// The folder of the archive.
pub(super) fn archive_folder(root: &Path) -> PathBuf {
    root.join(ARCHIVE)
}

/// The folders in which files are made.
pub(super) fn folders(root: &Path) -> [PathBuf; 3] {
    [TEMPORARY, INDEX, CONTENT].map(|name| root.join(name))
}
