//! A look at a cache directory from outside, while another process may be using it: reads only.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{Owner, bucket, catalogue::ContentId, line};
use crate::{avatar::Outcome, clock::Timestamp};

/// A cache directory to be looked at.
#[derive(Debug)]
pub struct Survey {
    root: PathBuf,
}

/// An entry as it is on disk.
#[derive(Clone, Debug)]
pub struct Row {
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

impl Survey {
    /// Looks at `dir`.
    pub fn of(dir: &Path) -> io::Result<Self> {
        fs::read_dir(dir)?;
        Ok(Self {
            root: dir.to_path_buf(),
        })
    }

    /// How many entries there are, roughly: for a progress bar.
    pub fn size(&self) -> u64 {
        bucket::files(&self.root).count() as u64
    }

    /// Every entry, or what is wrong with it.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row, Damage>> {
        bucket::files(&self.root).filter_map(|path| {
            let bucket = match calm(&path) {
                Ok(bucket) => bucket,
                // Removed while we look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(_) => return Some(Err(Damage::Index)),
            };
            if bucket.is_damaged {
                return Some(Err(Damage::Index));
            }
            Some(Row::of(bucket.line?).ok_or(Damage::Index))
        })
    }

    /// Reads an entry's picture, and compares it with its digest.
    pub fn verify(&self, row: &Row) -> Result<(), Damage> {
        let Some(content) = &row.content else {
            return Ok(());
        };
        let path = bucket::content_path(&self.root, content).ok_or(Damage::Index)?;
        let bytes = fs::read(path).map_err(|_| Damage::Missing)?;
        let id = bucket::content_id(content).ok_or(Damage::Index)?;
        if Sha256::digest(&bytes).starts_with(&id.0) {
            Ok(())
        } else {
            Err(Damage::Content)
        }
    }

    /// How many pictures there are on disk, and how many of them none of `rows` refers to.
    pub fn contents(&self, rows: &[Row]) -> (u64, u64) {
        let known: BTreeSet<ContentId> = rows
            .iter()
            .filter_map(|row| bucket::content_id(row.content.as_deref()?))
            .collect();
        let ids = bucket::contents(&self.root).map(|path| bucket::content_at(&self.root, &path));
        ids.fold((0, 0), |(all, orphans), id| {
            let is_orphan = id.is_none_or(|id| !known.contains(&id));
            (all + 1, orphans + u64::from(is_orphan))
        })
    }
}

/// Reads a bucket, more than once if its last line looks damaged: a server may be writing it.
fn calm(path: &Path) -> io::Result<bucket::Bucket> {
    let mut bucket = bucket::newest(&fs::read(path)?);
    for _ in 0..3 {
        if !bucket.is_damaged {
            break;
        }
        thread::sleep(Duration::from_millis(5));
        bucket = bucket::newest(&fs::read(path)?);
    }
    Ok(bucket)
}

impl Row {
    /// Whose entry it is, if it names somebody.
    pub(super) fn owner(&self) -> Option<Owner> {
        Some(Owner {
            instance: self.instance.as_str().into(),
            subject: self.subject.parse().ok()?,
        })
    }

    fn of(line: bucket::Line) -> Option<Self> {
        let about: line::Line = serde_json::from_str(line.metadata.get()).ok()?;
        let has_picture = about.picture.is_some();
        Some(Self {
            instance: about.instance,
            subject: about.subject,
            outcome: about.last.outcome,
            picture: has_picture.then_some(line.size),
            written: Timestamp::from_millis(line.time),
            content: line.integrity.filter(|_| has_picture),
        })
    }
}
