//! `faceplate cache export`: writes the archive as files, with a manifest.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    cli::progress::Progress,
    store::{ArchivedPicture, archived_pictures},
};

/// A row of the manifest.
#[derive(Serialize)]
struct Row<'a> {
    instance: &'a str,
    jid: &'a str,
    /// When the picture was first seen.
    since: String,
    /// When the next picture was first seen; `None` for the newest.
    until: Option<String>,
    /// The path, relative to the folder of the manifest.
    file: PathBuf,
    media_type: &'static str,
    bytes: usize,
    /// `sha256-` and the digest in Base64.
    integrity: String,
}

/// The result of an export.
#[derive(Serialize)]
pub(super) struct ExportCounts {
    pub(super) pictures: usize,
    /// Pictures that are missing, or whose bytes have changed.
    pub(super) damaged: usize,
}

/// Writes the archive below `cache` to `to`: a file for each picture, and `manifest.json` last.
pub(super) fn export(
    cache: &Path,
    to: &Path,
    instance: Option<&str>,
) -> Result<ExportCounts, String> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        format!("cannot write {}: {error}", path.display())
    };
    if fs::read_dir(to).is_ok_and(|mut items| items.next().is_some()) {
        return Err(format!(
            "{} is not empty; name a folder that is empty or missing",
            to.display()
        ));
    }
    fs::create_dir_all(to).map_err(|error| failed(to, &error))?;
    let wanted = archived_pictures(cache)
        .filter(|picture| instance.is_none_or(|name| name == picture.instance));
    let pictures: Vec<_> = wanted.collect();
    let (mut rows, mut damaged) = (Vec::new(), 0);
    let mut progress = Progress::start();
    for (done, picture) in pictures.iter().enumerate() {
        progress.show(done as u64, pictures.len() as u64, "");
        let Ok((whole, integrity)) = picture.read() else {
            damaged += 1;
            continue;
        };
        let media_type = whole.media().as_str();
        let file = file_of(picture, media_type.trim_start_matches("image/"));
        let path = to.join(&file);
        let folder = path.parent().unwrap_or(to);
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        fs::write(&path, whole.bytes()).map_err(|error| failed(&path, &error))?;
        rows.push(Row {
            instance: &picture.instance,
            jid: &picture.subject,
            since: date(picture.since),
            until: picture.until.map(date),
            file,
            media_type,
            bytes: whole.bytes().len(),
            integrity,
        });
    }
    let manifest = to.join("manifest.json");
    let text = serde_json::to_vec_pretty(&rows).unwrap_or_default();
    fs::write(&manifest, text).map_err(|error| failed(&manifest, &error))?;
    Ok(ExportCounts {
        pictures: rows.len(),
        damaged,
    })
}

/// The path of a picture's file: `sales/628123@c.us/1795200000000.jpeg`, with the time in milliseconds since the Unix
/// epoch.
fn file_of(picture: &ArchivedPicture, extension: &str) -> PathBuf {
    // A JID has only characters that are allowed in file names, but names in a damaged archive may have any.
    let safe = |text: &str| -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '-' | '_');
        let is_safe = |index, c| allowed(c) || (c == '.' && index > 0);
        let letters = text.chars().enumerate();
        letters
            .map(|(index, c)| if is_safe(index, c) { c } else { '_' })
            .collect()
    };
    let name = format!("{}.{extension}", picture.since.as_millis());
    Path::new(&safe(&picture.instance))
        .join(safe(&picture.subject))
        .join(name)
}

fn date(time: crate::clock::Timestamp) -> String {
    httpdate::fmt_http_date(time.as_system_time())
}
