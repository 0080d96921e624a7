//! A look at a cache directory from outside, while another process may be using it: reads only.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{Owner, catalogue::ContentId, index_file, record};
use crate::{avatar::Outcome, clock::Timestamp};

/// A cache directory to be looked at.
#[derive(Debug)]
pub struct Inspection {
    root: PathBuf,
}

/// An entry as it is on disk.
#[derive(Clone, Debug)]
pub struct InspectedEntry {
    /// The instance through which the face was seen.
    pub instance: String,
    /// Whose face.
    pub subject: String,
    /// What came of asking last.
    pub outcome: Outcome,
    /// The picture's size in bytes; none where there is none.
    pub picture: Option<u64>,
    /// When the entry was last written.
    pub written: Timestamp,
    content: Option<String>,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The index file cannot be read, or its last line is broken.
    #[error("its index is damaged")]
    Index,
    /// The picture is not there.
    #[error("its picture is missing")]
    Missing,
    /// The picture is not what it was.
    #[error("its picture is damaged")]
    Content,
}

impl Inspection {
    /// Looks at `dir`.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::read_dir(dir)?;
        Ok(Self {
            root: dir.to_path_buf(),
        })
    }

    /// How many entries there are, roughly: for a progress bar.
    pub fn size(&self) -> u64 {
        index_file::files(&self.root).count() as u64
    }

    /// Every entry, or what is wrong with it.
    pub fn entries(&self) -> impl Iterator<Item = Result<InspectedEntry, Damage>> {
        index_file::files(&self.root).filter_map(|path| {
            let bucket = match calm(&path) {
                Ok(bucket) => bucket,
                // Removed while we look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(_) => return Some(Err(Damage::Index)),
            };
            if bucket.is_damaged {
                return Some(Err(Damage::Index));
            }
            Some(InspectedEntry::of(bucket.line?).ok_or(Damage::Index))
        })
    }

    /// Reads an entry's picture, and compares it with its digest.
    pub fn verify(&self, row: &InspectedEntry) -> Result<(), Damage> {
        let Some(content) = &row.content else {
            return Ok(());
        };
        let path = index_file::content_path(&self.root, content).ok_or(Damage::Index)?;
        let bytes = fs::read(path).map_err(|_| Damage::Missing)?;
        let id = index_file::content_id(content).ok_or(Damage::Index)?;
        if Sha256::digest(&bytes).starts_with(&id.0) {
            Ok(())
        } else {
            Err(Damage::Content)
        }
    }

    /// How many pictures there are on disk, and how many of them none of `rows` refers to.
    pub fn contents(&self, rows: &[InspectedEntry]) -> (u64, u64) {
        let known: BTreeSet<ContentId> = rows
            .iter()
            .filter_map(|row| index_file::content_id(row.content.as_deref()?))
            .collect();
        let ids =
            index_file::contents(&self.root).map(|path| index_file::content_at(&self.root, &path));
        ids.fold((0, 0), |(all, orphans), id| {
            let is_orphan = id.is_none_or(|id| !known.contains(&id));
            (all + 1, orphans + u64::from(is_orphan))
        })
    }
}

/// Reads a bucket, more than once if its last line looks damaged: a server may be writing it.
fn calm(path: &Path) -> io::Result<index_file::IndexFile> {
    let mut bucket = index_file::newest(&fs::read(path)?);
    for _ in 0..3 {
        if !bucket.is_damaged {
            break;
        }
        thread::sleep(Duration::from_millis(5));
        bucket = index_file::newest(&fs::read(path)?);
    }
    Ok(bucket)
}

impl InspectedEntry {
    /// Whose entry it is, if it names somebody.
    pub(super) fn owner(&self) -> Option<Owner> {
        Some(Owner {
            instance: self.instance.as_str().into(),
            subject: self.subject.parse().ok()?,
        })
    }

    fn of(line: index_file::Line) -> Option<Self> {
        let record: record::Record = serde_json::from_str(line.metadata.get()).ok()?;
        let has_picture = record.picture.is_some();
        Some(Self {
            instance: record.instance,
            subject: record.subject,
            outcome: record.last.outcome,
            picture: has_picture.then_some(line.size),
            written: Timestamp::from_millis(line.time),
            content: line.integrity.filter(|_| has_picture),
        })
    }
}
