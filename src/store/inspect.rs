//! Inspects a cache directory from outside, while a server may be using it. Only reads.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    AccountId, AccountNames, Owner,
    entry_table::ContentId,
    index_file::{IndexFile, IndexLine},
    instance_of, layout,
    record::Record,
    state_files::names_in,
};
use crate::{avatar::Outcome, clock::Timestamp};

/// A cache directory under inspection.
#[derive(Debug)]
pub struct Inspection {
    root: PathBuf,
}

/// An entry as it is on disk.
#[derive(Clone, Debug)]
pub struct InspectedEntry {
    /// The key, as logs name the entry.
    pub key: String,
    /// The instance through which the face was seen.
    pub instance: String,
    /// The JID, or `me`.
    pub subject: String,
    /// The outcome of the last attempt to fetch the face.
    pub outcome: Outcome,
    /// The picture's length in bytes; `None` for an entry without one.
    pub picture: Option<u64>,
    /// When the entry was last written.
    pub written: Timestamp,
    content: Option<String>,
}

/// Damage of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The index file cannot be read, or its last line is damaged.
    #[error("its index file is damaged")]
    Index,
    /// There is no content file.
    #[error("its picture is missing")]
    Missing,
    /// The content file has other bytes than its name says.
    #[error("its picture is damaged")]
    Content,
}

/// The numbers of content files on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentCount {
    /// All of them.
    pub all: u64,
    /// Those to which none of the entries refers.
    pub unreferenced: u64,
}

impl Inspection {
    /// Inspects the cache directory `dir`. An error if it cannot be listed.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::read_dir(dir)?;
        Ok(Self {
            root: dir.to_path_buf(),
        })
    }

    /// The names under which the faces of `instance` are, which has `account` now.
    pub fn account_names(&self, instance: &str, account: AccountId) -> AccountNames {
        let file = format!("{}.json", AccountNames::state_name(instance));
        let saved = fs::read(layout::state_folder(&self.root).join(file));
        let saved = saved.ok().and_then(|saved| AccountNames::from_json(&saved));
        AccountNames::new(instance, account, saved)
    }

    /// The instances that have a state in the directory.
    pub fn instances(&self) -> BTreeSet<String> {
        let states = names_in(&layout::state_folder(&self.root)).into_iter();
        states.map(|name| instance_of(&name).to_owned()).collect()
    }

    /// The approximate number of entries, for a progress bar.
    pub fn size(&self) -> u64 {
        layout::index_files(&self.root).count() as u64
    }

    /// Every entry, or its damage.
    pub fn entries(&self) -> impl Iterator<Item = Result<InspectedEntry, Damage>> {
        layout::index_files(&self.root).filter_map(|path| {
            let file = match read_settled(&path) {
                Ok(file) => file,
                // The server removed it after it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(_) => return Some(Err(Damage::Index)),
            };
            if file.is_damaged {
                return Some(Err(Damage::Index));
            }
            Some(InspectedEntry::decode(file.line?).ok_or(Damage::Index))
        })
    }

    /// Compares an entry's content file with its name, which is its digest.
    pub fn verify(&self, entry: &InspectedEntry) -> Result<(), Damage> {
        let Some(content) = &entry.content else {
            return Ok(());
        };
        let path = layout::content_path(&self.root, content).ok_or(Damage::Index)?;
        let bytes = fs::read(path).map_err(|_| Damage::Missing)?;
        if layout::is_content(&bytes, content) {
            Ok(())
        } else {
            Err(Damage::Content)
        }
    }

    /// Counts the content files, and those that none of `entries` refers to.
    pub fn count_contents(&self, entries: &[InspectedEntry]) -> ContentCount {
        let referenced: BTreeSet<ContentId> = entries
            .iter()
            .filter_map(|entry| layout::content_id(entry.content.as_deref()?))
            .collect();
        let mut count = ContentCount {
            all: 0,
            unreferenced: 0,
        };
        for path in layout::content_files(&self.root) {
            let id = layout::content_id_at(&self.root, &path);
            count.all += 1;
            count.unreferenced += u64::from(id.is_none_or(|id| !referenced.contains(&id)));
        }
        count
    }
}

/// Reads an index file, and reads it again if its last line looks damaged: a server may just be
/// writing it.
fn read_settled(path: &Path) -> io::Result<IndexFile> {
    let mut file = IndexFile::parse(&fs::read(path)?);
    for _ in 0..3 {
        if !file.is_damaged {
            break;
        }
        thread::sleep(Duration::from_millis(5));
        file = IndexFile::parse(&fs::read(path)?);
    }
    Ok(file)
}

impl InspectedEntry {
    /// The owner, if the record names a valid one.
    pub(super) fn owner(&self) -> Option<Owner> {
        Some(Owner {
            instance: self.instance.as_str().into(),
            subject: self.subject.parse().ok()?,
        })
    }

    fn decode(line: IndexLine) -> Option<Self> {
        let record: Record = serde_json::from_str(line.metadata.get()).ok()?;
        let has_picture = record.picture.is_some();
        Some(Self {
            key: line.key,
            instance: record.instance,
            subject: record.subject,
            outcome: record.last.outcome,
            picture: has_picture.then_some(line.size),
            written: Timestamp::from_millis(line.time),
            content: line.integrity.filter(|_| has_picture),
        })
    }
}
