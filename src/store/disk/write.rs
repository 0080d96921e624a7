//! Writing entries to disk.

use std::{
    fs::{self, File, FileTimes},
    io::{self, Write},
    time::{Duration, UNIX_EPOCH},
};

use super::{Change, ChangeError, Disk, in_seconds};
use crate::{
    avatar::{Entry, Key},
    clock::Clock,
    store::{
        Owner,
        cacache_adapter::{self, CacacheError, Integrity},
        health::Operation,
        index_file::{self, IndexFile},
        layout,
        metadata::EntryMetadata,
        record::Record,
    },
};

/// An index file is compacted beyond this length in bytes, which is some forty changes of an entry.
const MAX_INDEX_FILE: u64 = 16 * 1024;

impl Disk {
    /// Writes `entry`: first the content file, then the line that names it, so that a crash in between
    /// leaves the old entry whole. Returns whether the entry is on disk.
    pub(in crate::store) fn write(&self, key: &Key, owner: &Owner, entry: &Entry) -> bool {
        let written = self
            .begin_change()
            .and_then(|change| self.try_write(&change, key, owner, entry));
        self.record(Operation::Write, &written);
        written.is_ok()
    }

    /// Replaces the entry and its older lines by `tombstone`, and removes the content that it had
    /// unless another entry has the same. Returns whether all of that reached the disk.
    pub(in crate::store) fn forget(&self, key: &Key, owner: &Owner, tombstone: &Entry) -> bool {
        let forgotten = self.begin_change().and_then(|change| {
            let before = self.read_index_file(key).ok().and_then(|file| file.line);
            self.try_write(&change, key, owner, tombstone)?;
            index_file::compact(self.root(), &self.index_path(key), 0)?;
            // With a complete index, `try_write` has removed it already.
            let content = before.and_then(|line| line.integrity);
            match content.filter(|content| !self.is_referenced(content)) {
                Some(content) => self.remove_content(&content),
                None => Ok(()),
            }
        });
        self.record(Operation::Write, &forgotten);
        forgotten.is_ok()
    }

    /// Whether any entry on disk has this content. Reads every index file if the index is not complete.
    fn is_referenced(&self, content: &str) -> bool {
        if self.index.is_complete() {
            return layout::content_id(content).is_some_and(|id| !self.index.is_unreferenced(&id));
        }
        layout::index_files(self.root())
            .filter_map(|path| IndexFile::parse(&fs::read(path).ok()?).line)
            .any(|line| line.integrity.as_deref() == Some(content))
    }

    fn remove_content(&self, content: &str) -> Result<(), ChangeError> {
        match layout::content_path(self.root(), content).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn try_write(
        &self,
        change: &Change<'_>,
        key: &Key,
        owner: &Owner,
        entry: &Entry,
    ) -> Result<(), ChangeError> {
        let bytes = entry
            .picture
            .as_ref()
            .map_or(&[][..], |stored| stored.picture.bytes());
        let content = cacache_adapter::integrity_of(bytes);
        let name = content.to_string();
        let content_id = layout::content_id(&name).filter(|_| !bytes.is_empty());
        if !bytes.is_empty() {
            self.write_content(&content, bytes)?;
        }
        let record = Record::new(owner, entry);
        let appended = cacache_adapter::append_line(
            self.root(),
            &key.to_string(),
            content,
            bytes.len(),
            self.clock.now().as_millis(),
            serde_json::to_value(&record)?,
        );
        // A failed write may have changed the file, too.
        self.nonblocking.invalidate(key);
        appended?;
        let metadata = EntryMetadata::new(record, Some(name));
        self.nonblocking.add_written(key, metadata);
        let path = self.index_path(key);
        if let Err(error) = index_file::compact(self.root(), &path, MAX_INDEX_FILE) {
            tracing::debug!(%key, %error, "an index file cannot be compacted and grows");
        }
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let used_at = in_seconds(self.clock.now());
        let unreferenced = self
            .index
            .put(*key, content_id.map(|id| (id, size)), used_at);
        self.remove_unreferenced(change, unreferenced);
        Ok(())
    }

    /// Writes the content file unless it exists: replacing a good file would risk it in a crash. The date
    /// of an existing file is renewed, so that the garbage collection of another process keeps it.
    fn write_content(&self, content: &Integrity, bytes: &[u8]) -> Result<(), CacacheError> {
        if !cacache_adapter::has_content(self.root(), content) {
            return cacache_adapter::write_content(self.root(), bytes);
        }
        let path = layout::content_path(self.root(), &content.to_string());
        if let Some(file) = path.and_then(|path| File::options().append(true).open(path).ok()) {
            // Garbage is collected after hours, so one failure does no harm.
            let _ = file.set_times(FileTimes::new().set_modified(system_time()));
        }
        Ok(())
    }

    /// Finds out whether the disk takes writes: makes a nameless file in each folder and drops it.
    pub(in crate::store) fn probe(&self) {
        let probed = self.begin_change().and_then(|_change| {
            fs::create_dir_all(layout::temporary_folder(self.root()))?;
            for folder in layout::folders(self.root()) {
                if folder.exists() {
                    // One block: an empty file may fit on a full disk.
                    tempfile::tempfile_in(folder)?.write_all(&[0; 4096])?;
                }
            }
            Ok(())
        });
        self.record(Operation::Write, &probed);
    }
}

/// The system's time, also under a manual clock: it is compared with dates of files.
fn system_time() -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_millis(Clock::system().now().as_millis())
}
