//! Small facts that have to outlive the process, one file each, replaced whole: how much of an
//! instance's budget is used up, until when it pauses, and which faces it is to fetch.

use std::{
    error::Error,
    fs,
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tempfile::NamedTempFile;

use super::directory::Directory;

/// The folder of notes.
#[derive(Debug)]
pub(super) struct Notes {
    directory: Arc<Directory>,
    /// One note is written at a time.
    turn: Mutex<()>,
}

impl Notes {
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
