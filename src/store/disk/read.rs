//! Reading entries from disk, and repairing or removing damaged ones.

use std::{fmt::Display, fs, io, path::Path};

use super::{Change, Disk, in_seconds};
use crate::{
    avatar::{Entry, Key, Picture},
    clock::Timestamp,
    store::{
        cacache_adapter,
        health::Operation,
        index_file::{self, IndexFile, IndexLine},
        layout,
        metadata::EntryMetadata,
        owner::OwnedEntry,
        read_error::ReadError,
    },
};

impl Disk {
    /// The entry of `key`. A damaged entry is logged and repaired or removed.
    pub(in crate::store) fn read(&self, key: &Key) -> Result<OwnedEntry, ReadError> {
        let result = match self.try_read(key) {
            // A write in progress looks like damage.
            Err(error) if error.is_damage() => self.read_or_repair(key),
            result => result,
        };
        match &result {
            Ok(_) => self.index.touch(key, in_seconds(self.clock.now())),
            Err(ReadError::Absent) => {}
            Err(error) => self.report_unreadable(&self.index_path(key), error),
        }
        result
    }

    /// Counts a file that cannot be read, and logs each such file once.
    fn report_unreadable(&self, path: &Path, error: &dyn Display) {
        if self.health.add_unreadable(path) {
            tracing::warn!(path = %path.display(), %error, "a cache entry cannot be read now; it stays");
        }
        let unreadable = format!("{}: {error}", path.display());
        self.record(Operation::Read, &Err::<(), _>(unreadable));
    }

    /// Finds out whether the files that could not be read can be read now.
    pub(in crate::store) fn check_unreadable(&self) {
        let can_be_read = |path: &Path| match fs::File::open(path) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if self.health.check_unreadable(can_be_read) == 0 {
            self.record(Operation::Read, &Ok::<_, &str>(()));
        }
    }

    /// Whether the index knows that there is no entry of `key`.
    pub(in crate::store) fn is_absent(&self, key: &Key) -> bool {
        self.index.is_absent(key)
    }

    /// Whether the index has an entry of `key`.
    pub(in crate::store) fn is_indexed(&self, key: &Key) -> bool {
        self.index.used_at(key).is_some()
    }

    /// The entry of `key`, if it is whole and can be read without waiting for the disk.
    pub(in crate::store) fn try_read_cached(&self, key: &Key) -> Result<OwnedEntry, ReadError> {
        let entry = self.nonblocking.read(key)?;
        self.index.touch(key, in_seconds(self.clock.now()));
        Ok(entry)
    }

    fn try_read(&self, key: &Key) -> Result<OwnedEntry, ReadError> {
        let file = self.read_index_file(key)?;
        if file.is_damaged {
            return Err(ReadError::TornIndex);
        }
        self.read_entry(file.line.ok_or(ReadError::Absent)?)
    }

    /// Reads under the change lock, so that damage is not a write in progress.
    ///
    /// 1. A damaged last line is removed if the line before it still leads to an entry. That entry was
    ///    right once, and its picture is proven by its digest.
    /// 2. Any other damage removes the entry, and a damaged content.
    fn read_or_repair(&self, key: &Key) -> Result<OwnedEntry, ReadError> {
        let change = self.lock_changes();
        let IndexFile { line, is_damaged } = self.read_index_file(key)?;
        let Some(line) = line else {
            return Err(if is_damaged {
                self.remove_damaged(&change, key, ReadError::TornIndex, None)
            } else {
                ReadError::Absent
            });
        };
        let content = line.integrity.clone();
        match self.read_entry(line) {
            Ok((entry, owner)) if is_damaged => Ok((self.use_previous_line(key, entry), owner)),
            Err(error) if error.is_damage() => {
                Err(self.remove_damaged(&change, key, error, content))
            }
            result => result,
        }
    }

    /// Removes the damaged end of an index file. The entry before it is served only if the vendor has
    /// no answer.
    fn use_previous_line(&self, key: &Key, entry: Entry) -> Entry {
        self.report_damage(key, &"the line before the damaged one counts again");
        if let Err(error) = index_file::compact(self.root(), &self.index_path(key), 0) {
            tracing::debug!(%key, %error, "a damaged line stays in the index");
        }
        self.nonblocking.invalidate(key);
        entry.distrust(self.clock.now())
    }

    /// Removes a damaged entry, after which it is absent.
    fn remove_damaged(
        &self,
        change: &Change<'_>,
        key: &Key,
        error: ReadError,
        content: Option<String>,
    ) -> ReadError {
        self.report_damage(key, &error);
        // A damaged content file would be taken for the right one at the next write.
        let content = content.filter(|_| error.is_content_damage());
        if let Some(path) = content.and_then(|name| layout::content_path(self.root(), &name)) {
            let _ = fs::remove_file(path);
        }
        if let Err(error) = self.discard(change, key) {
            tracing::warn!(%key, %error, "a damaged cache entry cannot be removed");
        }
        ReadError::Absent
    }

    fn report_damage(&self, key: &Key, damage: &dyn Display) {
        self.health.count_damaged();
        tracing::warn!(%key, %damage, "a cache entry is damaged and will be fetched again");
    }

    fn read_entry(&self, line: IndexLine) -> Result<OwnedEntry, ReadError> {
        let metadata = EntryMetadata::decode(line)?;
        let entry = metadata.entry(|integrity, _| {
            let bytes = cacache_adapter::read_content(self.root(), integrity)?;
            Picture::validate(self.in_flight.charge(bytes)).map_err(|_| ReadError::NotAPicture)
        })?;
        Ok((entry, metadata.owner))
    }

    /// The length of the picture of `key`; `None` if the index does not know the key yet.
    pub(in crate::store) fn length(&self, key: &Key) -> Option<u32> {
        self.index.length(key)
    }

    /// Adds the entry in the index file at `path` to the index.
    pub(in crate::store) fn load_into_index(&self, path: &Path) -> io::Result<()> {
        // Without the lock, an entry removed after it is read here would stay in the index for ever.
        let _change = self.lock_changes();
        let bytes = fs::read(path).inspect_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                self.report_unreadable(path, error);
            }
        })?;
        let line = IndexFile::parse(&bytes).line;
        let Some((key, line)) = line.and_then(|line| Some((line.key.parse().ok()?, line))) else {
            self.index.mark_unidentified();
            return Ok(());
        };
        let size = u32::try_from(line.size).unwrap_or(u32::MAX);
        let content = line.integrity.as_deref().and_then(layout::content_id);
        let content = content.filter(|_| size > 0).map(|id| (id, size));
        let used_at = in_seconds(Timestamp::from_millis(line.time));
        self.index.put_if_unknown(key, content, used_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{clock::Clock, in_flight::InFlight, store::directory::Directory};

    #[test]
    fn an_unreadable_index_file_may_be_that_of_any_key() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::open(folder.path()).unwrap());
        let disk = Disk::new(directory, InFlight::new(1 << 20), Clock::system());
        let key = Key::new("sales", &"628123".parse().unwrap());
        disk.index().mark_complete(disk.index().epoch());
        assert!(disk.is_absent(&key));
        let path = disk.index_path(&key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "\nno line of an index").unwrap();
        disk.load_into_index(&path).unwrap();
        assert!(!disk.is_absent(&key));
    }
}
