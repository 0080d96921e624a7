//! The archive: every distinct picture that a face has had, if the operator wants that
//! (`cache.retain = "forever"`). It is a second cacache directory below the cache directory. Its index
//! files are never compacted: each line is one picture, oldest first. Nothing is evicted from it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde::{Deserialize, Serialize};

use super::{
    Owner, cacache_adapter,
    index_file::{self, IndexFile, IndexLine},
    layout,
};
use crate::{
    avatar::{Entry, Key, Picture},
    clock::Timestamp,
    sync::lock,
};

/// The archive of one cache directory.
#[derive(Debug)]
pub(super) struct Archive {
    root: PathBuf,
    /// Orders the changes: entries share contents.
    change: Mutex<()>,
}

/// The JSON in an index line of the archive.
#[derive(Serialize, Deserialize)]
struct ArchiveRecord {
    instance: String,
    subject: String,
}

/// A picture in the archive.
#[derive(Clone, Debug)]
pub struct ArchivedPicture {
    /// The instance through which the face was seen.
    pub instance: String,
    /// The JID, or `me`.
    pub subject: String,
    /// When the picture was first seen.
    pub since: Timestamp,
    /// When the next picture was first seen; `None` for the newest.
    pub until: Option<Timestamp>,
    /// The name of the content.
    pub content: String,
    path: PathBuf,
}

impl Archive {
    /// The archive of the cache directory `dir`.
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            root: root(dir),
            change: Mutex::default(),
        }
    }

    /// Adds the entry's picture, unless it is the one that was added last. A failure is logged only.
    pub(super) fn add(&self, key: &Key, owner: &Owner, entry: &Entry, now: Timestamp) {
        let Some(stored) = &entry.picture else {
            return;
        };
        if let Err(error) = self.try_add(key, owner, &stored.picture, now) {
            tracing::error!(%error, dir = %self.root.display(), "a picture could not be archived; check the disk's free space and this user's permission");
        }
    }

    fn try_add(
        &self,
        key: &Key,
        owner: &Owner,
        picture: &Picture,
        now: Timestamp,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let content = cacache_adapter::integrity_of(picture.bytes());
        let _change = lock(&self.change);
        let newest = match fs::read(self.index_path(key)) {
            Ok(bytes) => IndexFile::parse(&bytes).line,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if newest.is_some_and(|line| line.integrity == Some(content.to_string())) {
            return Ok(());
        }
        if !cacache_adapter::has_content(&self.root, &content) {
            cacache_adapter::write_content(&self.root, picture.bytes())?;
        }
        let record = ArchiveRecord::new(owner);
        cacache_adapter::append_line(
            &self.root,
            &key.to_string(),
            content,
            picture.bytes().len(),
            now.as_millis(),
            serde_json::to_value(record)?,
        )?;
        Ok(())
    }

    /// Removes every picture of a face, but keeps contents that other faces have had, too. Reads the
    /// whole archive's index.
    pub(super) fn forget(&self, key: &Key) -> io::Result<()> {
        let _change = lock(&self.change);
        let path = self.index_path(key);
        let mut contents = match fs::read(&path) {
            Ok(bytes) => contents_in(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for other in layout::try_index_files(&self.root) {
            // A folder that cannot be read may refer to any of the contents, so it ends the removal.
            let other = other?;
            if other != path {
                let others = contents_in(&fs::read(other)?);
                contents.retain(|content| !others.contains(content));
            }
        }
        for content in contents {
            if let Some(path) = layout::content_path(&self.root, &content)
                && let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        // Last, because it lists the contents to remove: a removal that failed can be repeated.
        fs::remove_file(&path)
    }

    /// Gives the pictures of the key `from` to `to`. Repeating it after it was cut off does no harm.
    pub(super) fn rename(&self, from: &Key, to: &Owner) -> Result<(), Box<dyn std::error::Error>> {
        let _change = lock(&self.change);
        let (old, new) = (self.index_path(from), to.key());
        let Some(lines) = read_lines(&old)? else {
            return Ok(());
        };
        let known = read_lines(&self.index_path(&new))?.unwrap_or_default();
        for line in lines {
            let is_known =
                |known: &IndexLine| (&known.integrity, known.time) == (&line.integrity, line.time);
            let Some(content) = &line.integrity else {
                continue;
            };
            if known.iter().any(is_known) {
                continue;
            }
            cacache_adapter::append_line(
                &self.root,
                &new.to_string(),
                content.parse()?,
                usize::try_from(line.size)?,
                line.time,
                serde_json::to_value(ArchiveRecord::new(to))?,
            )?;
        }
        Ok(fs::remove_file(&old)?)
    }

    fn index_path(&self, key: &Key) -> PathBuf {
        layout::index_path(&self.root, &key.to_string())
    }
}

fn root(dir: &Path) -> PathBuf {
    layout::archive_folder(dir)
}

/// Every line of an index file; `None` if there is no such file.
fn read_lines(path: &Path) -> io::Result<Option<Vec<IndexLine>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(index_file::parse_all_lines(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl ArchiveRecord {
    fn new(owner: &Owner) -> Self {
        Self {
            instance: owner.instance.to_string(),
            subject: owner.subject.as_str().to_owned(),
        }
    }
}

fn contents_in(index_file: &[u8]) -> Vec<String> {
    let lines = index_file::parse_all_lines(index_file).into_iter();
    lines.filter_map(|line| line.integrity).collect()
}

/// Every picture in the archive of the cache directory `dir`, each face's pictures oldest first. Only
/// reads, so a server may run meanwhile.
pub fn archived_pictures(dir: &Path) -> impl Iterator<Item = ArchivedPicture> {
    let root = root(dir);
    layout::index_files(&root).flat_map(move |path| {
        let bytes = fs::read(path).unwrap_or_default();
        let lines = index_file::parse_all_lines(&bytes);
        let next_times: Vec<_> = lines.iter().skip(1).map(|line| line.time).collect();
        let ends = next_times.into_iter().map(Some).chain([None]);
        let pictures = lines
            .into_iter()
            .zip(ends)
            .filter_map(|(line, end)| ArchivedPicture::decode(&root, line, end));
        pictures.collect::<Vec<_>>()
    })
}

impl ArchivedPicture {
    fn decode(root: &Path, line: IndexLine, end: Option<u64>) -> Option<Self> {
        let record: ArchiveRecord = serde_json::from_str(line.metadata.get()).ok()?;
        let content = line.integrity?;
        Some(Self {
            instance: record.instance,
            subject: record.subject,
            since: Timestamp::from_millis(line.time),
            until: end.map(Timestamp::from_millis),
            path: layout::content_path(root, &content)?,
            content,
        })
    }

    /// Reads the picture, without the metadata that the first version archived, and gives it with the name of its
    /// content. `InvalidData` if it is damaged.
    pub fn read(&self) -> io::Result<(Picture, String)> {
        let bytes = fs::read(&self.path)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the picture is damaged");
        if !layout::is_content(&bytes, &self.content) {
            return Err(damaged());
        }
        let picture = Picture::validate(bytes.into()).map_err(|_| damaged())?;
        let content = cacache_adapter::integrity_of(picture.bytes()).to_string();
        Ok((picture, content))
    }
}
