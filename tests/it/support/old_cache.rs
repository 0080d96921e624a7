//! Cache directories as earlier versions wrote them.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::files_below;

/// Puts `file` in place of the one picture in a cache. Version 0.1.0 stored pictures as they came, neither decoded them nor
/// removed their metadata, and marked nothing in its entries.
pub fn store_as_0_1_0(cache: &Path, file: &[u8]) {
    replace(cache, file, |line| {
        let proof = &mut line["metadata"]["picture"]["proof"];
        proof["digest"] = blake3::hash(file).to_hex().to_string().into();
        for key in ["stripped", "checked"] {
            proof.as_object_mut().unwrap().remove(key).unwrap();
        }
    });
}

/// Puts `file` in place of the one picture in the archive of a cache.
pub fn archive_as_0_1_0(cache: &Path, file: &[u8]) {
    replace(&cache.join("archive"), file, |_| {});
}

/// Puts `file` in place of the one content below `root`.
fn replace(root: &Path, file: &[u8], edit: impl FnOnce(&mut Value)) {
    let files = files_below(root.join("index-v5"));
    assert_eq!(files.len(), 1, "{files:?}");
    let index = &files[0];
    let text = fs::read_to_string(index).unwrap();
    let last = text.trim().rsplit('\n').next().unwrap();
    let (_, line) = last.split_once('\t').unwrap();
    let mut line: Value = serde_json::from_str(line).unwrap();
    let name = Sha256::digest(file);
    line["integrity"] = format!("sha256-{}", BASE64_STANDARD.encode(name)).into();
    line["size"] = file.len().into();
    edit(&mut line);
    let line = line.to_string();
    let sum = hex(&Sha256::digest(&line));
    fs::write(index, format!("\n{sum}\t{line}")).unwrap();
    let name = hex(&name);
    let (first, second, rest) = (&name[..2], &name[2..4], &name[4..]);
    let path = root.join(format!("content-v2/sha256/{first}/{second}/{rest}"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, file).unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
