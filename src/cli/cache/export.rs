//! `faceplate cache export`: the archive as files, with a manifest.

use std::{
    fs,
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;
use serde::Serialize;

use crate::store::{ArchivedPicture, archived_pictures};

/// A row of the manifest.
#[derive(Serialize)]
struct Row<'a> {
    instance: &'a str,
    jid: &'a str,
    /// When the picture was first seen.
    since: String,
    /// When the next one was; none for the newest.
    until: Option<String>,
    /// Below the folder of the manifest.
    file: PathBuf,
    media_type: &'static str,
    bytes: usize,
    /// `sha256-` and the digest in Base64.
    integrity: &'a str,
}

/// What came of an export.
#[derive(Serialize)]
pub(super) struct Exported {
    pub(super) pictures: usize,
    /// Pictures that are missing, or are not what they were.
    pub(super) damaged: usize,
}

/// Writes the archive below `cache` to `to`: a file for each picture, and `manifest.json` last.
pub(super) fn export(
    cache: &Path,
    to: &Path,
    instance: Option<&str>,
    bar: &ProgressBar,
) -> Result<Exported, String> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        format!("cannot write {}: {error}", path.display())
    };
    if fs::read_dir(to).is_ok_and(|mut items| items.next().is_some()) {
        return Err(format!(
            "{} is not empty; name a folder that is, or is not there yet",
            to.display()
        ));
    }
    fs::create_dir_all(to).map_err(|error| failed(to, &error))?;
    let wanted =
        archived_pictures(cache).filter(|past| instance.is_none_or(|name| name == past.instance));
    let pasts: Vec<_> = wanted.collect();
    bar.set_length(pasts.len() as u64);
    let (mut rows, mut damaged) = (Vec::new(), 0);
    for past in &pasts {
        bar.inc(1);
        let Ok((bytes, media)) = past.read() else {
            damaged += 1;
            continue;
        };
        let media_type = media.as_str();
        let file = file_of(past, media_type.trim_start_matches("image/"));
        let path = to.join(&file);
        let folder = path.parent().unwrap_or(to);
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        fs::write(&path, &bytes).map_err(|error| failed(&path, &error))?;
        rows.push(Row {
            instance: &past.instance,
            jid: &past.subject,
            since: date(past.since),
            until: past.until.map(date),
            file,
            media_type,
            bytes: bytes.len(),
            integrity: &past.content,
        });
    }
    let manifest = to.join("manifest.json");
    let text = serde_json::to_vec_pretty(&rows).unwrap_or_default();
    fs::write(&manifest, text).map_err(|error| failed(&manifest, &error))?;
    Ok(Exported {
        pictures: rows.len(),
        damaged,
    })
}

/// `sales/628123@c.us/1795200000000.jpeg`: milliseconds since the Unix epoch, as every file system takes them.
fn file_of(past: &ArchivedPicture, extension: &str) -> PathBuf {
    // A JID's characters are a file name's; what is on disk may be anything.
    let safe = |text: &str| -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '-' | '_');
        let is_safe = |index, c| allowed(c) || (c == '.' && index > 0);
        let letters = text.chars().enumerate();
        letters
            .map(|(index, c)| if is_safe(index, c) { c } else { '_' })
            .collect()
    };
    let name = format!("{}.{extension}", past.since.as_millis());
    Path::new(&safe(&past.instance))
        .join(safe(&past.subject))
        .join(name)
}

fn date(time: crate::clock::Timestamp) -> String {
    httpdate::fmt_http_date(time.as_system_time())
}
