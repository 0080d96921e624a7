//! Small facts that have to outlive the process, one file each: how much of an instance's budget is used
//! up, until when it pauses, and which faces it is to fetch.
//!
//! A note is written before every call, and to make a file costs many times what it costs to write into
//! one. So a note takes the place of the one before in its file, in one write, which a kill does not cut,
//! with blanks where the one before was longer.

use std::{
    error::Error,
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tempfile::NamedTempFile;

use super::directory::Directory;

/// The folder of notes.
#[derive(Debug)]
pub(super) struct StateFiles {
    directory: Arc<Directory>,
    /// One note is written at a time.
    turn: Mutex<()>,
}

impl StateFiles {
    /// The notes in the cache directory.
    pub(super) fn new(directory: Arc<Directory>) -> Self {
        Self {
            directory,
            turn: Mutex::default(),
        }
    }

    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path(name)).ok()
    }

    /// Writes the note. One that cannot be written is a smaller evil than a face not shown.
    pub(super) fn write(&self, name: &str, text: impl FnOnce() -> Vec<u8>) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.try_write(name, &text()) {
            tracing::warn!(note = name, %error, "cannot note what an instance has used up, or is to do; a restart will forget it");
        }
    }

    fn try_write(&self, name: &str, text: &[u8]) -> Result<(), Box<dyn Error>> {
        self.directory.retake()?;
        if let Ok(file) = File::options().write(true).open(self.path(name)) {
            let longest = usize::try_from(file.metadata()?.len())?.max(text.len());
            let mut padded = text.to_vec();
            padded.resize(longest, b' ');
            file.write_all_at(&padded, 0)?;
            return Ok(());
        }
        fs::create_dir_all(self.dir())?;
        let mut file = NamedTempFile::new_in(self.dir())?;
        file.write_all(text)?;
        file.persist(self.path(name))?;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir().join(format!("{name}.json"))
    }

    fn dir(&self) -> PathBuf {
        self.directory.root().join("instances")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_takes_the_place_of_a_longer_one_and_of_a_shorter_one() {
        let folder = tempfile::tempdir().unwrap();
        let notes = StateFiles::new(Arc::new(Directory::take(folder.path()).unwrap()));
        for text in ["[1,2,3]", "[4]", "[5,6,7,8,9]", "[]"] {
            notes.write("sales", || text.into());
            let read = notes.read("sales").unwrap();
            let numbers: Vec<u8> = serde_json::from_slice(&read).unwrap();
            assert_eq!(serde_json::to_string(&numbers).unwrap(), text);
        }
    }
}
