//! What keeps the disk from being changed, and since when: told once when it begins and once when
//! it ends, however often it is met.

use std::{
    fmt::Display,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::clock::Timestamp;

/// Trouble that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What cannot be done, and what the system says to it.
    pub what: String,
    /// When it was first met.
    pub since: Timestamp,
}

/// What was tried. Success with the one says nothing about the other: a full disk takes no writes,
/// but gives room.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doing {
    Writing,
    MakingRoom,
}

/// The troubles that are on, by what was tried.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<[Option<Trouble>; 2]>);

impl Troubles {
    /// The trouble to tell of.
    pub(super) fn first(&self) -> Option<Trouble> {
        self.all().iter().flatten().next().cloned()
    }

    /// Notes how `doing` went at `now`, in the cache directory `dir`.
    pub(super) fn note<T, E: Display>(
        &self,
        doing: Doing,
        went: &Result<T, E>,
        dir: &Path,
        now: Timestamp,
    ) {
        let mut all = self.all();
        let trouble = &mut all[doing as usize];
        match (went, &trouble) {
            (Err(error), None) => {
                let (what, so) = doing.failed();
                tracing::error!(%error, dir = %dir.display(), "{what}; {so}");
                *trouble = Some(Trouble {
                    what: format!("{what}: {error}"),
                    since: now,
                });
            }
            (Ok(_), Some(_)) => {
                tracing::info!(dir = %dir.display(), "{}", doing.works());
                *trouble = None;
            }
            _ => {}
        }
    }

    fn all(&self) -> MutexGuard<'_, [Option<Trouble>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doing {
    fn failed(self) -> (&'static str, &'static str) {
        match self {
            Doing::Writing => (
                "cannot write to the cache",
                "faces are kept in memory until it works again",
            ),
            Doing::MakingRoom => (
                "cannot remove faces from the cache",
                "it stays larger than it may be until that works again",
            ),
        }
    }

    fn works(self) -> &'static str {
        match self {
            Doing::Writing => "the cache can be written to again",
            Doing::MakingRoom => "faces can be removed from the cache again",
        }
    }
}
