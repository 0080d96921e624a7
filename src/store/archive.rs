//! The archive: every distinct picture that a face has had, where the operator wants that. It is a
//! cacache directory of its own below the cache's, whose index is never shortened: a line for each
//! picture that came, in their order. Nothing evicts from it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cacache::{Integrity, WriteOpts, index};
use serde::{Deserialize, Serialize};

use super::{Owner, index_file};
use crate::{
    avatar::{Entry, Key, MediaType, Picture},
    clock::Timestamp,
};

/// Where pictures are kept for good.
#[derive(Debug)]
pub(super) struct Archive {
    root: PathBuf,
    /// Contents are shared, so one change is made at a time.
    turn: Mutex<()>,
}

/// What is written beside a picture.
#[derive(Serialize, Deserialize)]
struct Note {
    instance: String,
    subject: String,
}

/// A picture that a face has had.
#[derive(Clone, Debug)]
pub struct ArchivedPicture {
    /// The instance through which it was seen.
    pub instance: String,
    /// Whose face.
    pub subject: String,
    /// When it was first seen.
    pub since: Timestamp,
    /// When the next one was first seen; none for the newest.
    pub until: Option<Timestamp>,
    /// Its name by content.
    pub content: String,
    path: PathBuf,
}

impl Archive {
    /// The archive of the cache in `dir`.
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            root: dir.join("archive"),
            turn: Mutex::default(),
        }
    }

    /// Keeps the entry's picture, unless it is the one that was kept last.
    pub(super) fn keep(&self, key: &Key, owner: &Owner, entry: &Entry, now: Timestamp) {
        let Some(kept) = &entry.picture else {
            return;
        };
        if let Err(error) = self.try_keep(key, owner, &kept.picture, now) {
            tracing::error!(%error, dir = %self.root.display(), "a picture could not be archived; check the disk's room and this user's permission");
        }
    }

    fn try_keep(
        &self,
        key: &Key,
        owner: &Owner,
        picture: &Picture,
        now: Timestamp,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let content = Integrity::from(picture.bytes());
        let _turn = self.turn();
        let path = index_file::path(&self.root, &key.to_string());
        let newest = match fs::read(path) {
            Ok(bytes) => index_file::newest(&bytes).line,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if newest.is_some_and(|line| line.integrity == Some(content.to_string())) {
            return Ok(());
        }
        if !cacache::exists_sync(&self.root, &content) {
            cacache::write_hash_sync(&self.root, picture.bytes())?;
        }
        let note = Note {
            instance: owner.instance.to_string(),
            subject: owner.subject.as_str().to_owned(),
        };
        let opts = WriteOpts::new()
            .integrity(content)
            .size(picture.bytes().len())
            .time(u128::from(now.as_millis()))
            .metadata(serde_json::to_value(note)?);
        index::insert(&self.root, &key.to_string(), opts)?;
        Ok(())
    }

    /// Removes all that is kept of a face, but for pictures that others have had, too.
    pub(super) fn forget(&self, key: &Key) -> io::Result<()> {
        let _turn = self.turn();
        let path = index_file::path(&self.root, &key.to_string());
        let lines = match fs::read(&path) {
            Ok(bytes) => index_file::lines(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut contents: Vec<_> = lines.into_iter().filter_map(|l| l.integrity).collect();
        for bucket in index_file::try_files(&self.root) {
            // What cannot be looked into may have any of them.
            let bucket = bucket?;
            if bucket == path {
                continue;
            }
            let others = index_file::lines(&fs::read(bucket)?);
            let others: Vec<_> = others.into_iter().filter_map(|l| l.integrity).collect();
            contents.retain(|content| !others.contains(content));
        }
        for content in contents {
            if let Some(path) = index_file::content_path(&self.root, &content)
                && let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        // Last, for it says what there is to remove: a forgetting that fails can be tried again.
        fs::remove_file(&path)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every picture in the archive of the cache in `dir`, each face's in their order. Only reads, so a
/// server may run meanwhile.
pub fn archived_pictures(dir: &Path) -> impl Iterator<Item = ArchivedPicture> {
    let root = dir.join("archive");
    index_file::files(&root).flat_map(move |path| {
        let lines = fs::read(path).map_or_else(|_| Vec::new(), |bytes| index_file::lines(&bytes));
        let starts: Vec<_> = lines.iter().map(|line| line.time).skip(1).collect();
        let ends = starts.into_iter().map(Some).chain([None]);
        let pasts = lines.into_iter().zip(ends).filter_map(|(line, until)| {
            let note: Note = serde_json::from_str(line.metadata.get()).ok()?;
            let content = line.integrity?;
            Some(ArchivedPicture {
                instance: note.instance,
                subject: note.subject,
                since: Timestamp::from_millis(line.time),
                until: until.map(Timestamp::from_millis),
                path: index_file::content_path(&root, &content)?,
                content,
            })
        });
        pasts.collect::<Vec<_>>()
    })
}

impl ArchivedPicture {
    /// The picture and its kind, if it is what it was.
    pub fn read(&self) -> io::Result<(Vec<u8>, MediaType)> {
        let bytes = fs::read(&self.path)?;
        let spoiled = || io::Error::new(io::ErrorKind::InvalidData, "it is not what it was");
        if !index_file::is_content(&bytes, &self.content) {
            return Err(spoiled());
        }
        let picture = Picture::validate(bytes.clone().into()).map_err(|_| spoiled())?;
        Ok((bytes, picture.media()))
    }
}
