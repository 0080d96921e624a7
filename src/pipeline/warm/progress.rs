//! The progress of a run, and how it ended.

use std::collections::BTreeMap;

use super::job::Job;
use crate::{avatar::Trouble, clock::Timestamp};

/// The progress of a run.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The state of the run.
    pub state: RunState,
    /// When the run started.
    pub started_at: Timestamp,
    /// When the run ended.
    pub ended_at: Option<Timestamp>,
    /// The number of faces, as far as it is known.
    pub total: usize,
    /// The number of faces that are finished.
    pub done: usize,
    /// The finished faces by outcome. Besides the names of outcomes there are `known`, for a face with a
    /// fresh entry, and `unsupported`, for a face that the vendor cannot be asked for.
    pub outcomes: BTreeMap<&'static str, usize>,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// The run is fetching.
    Running,
    /// The run waits for the budget, or for the end of a pause.
    Waiting {
        /// The end of the wait.
        until: Timestamp,
        /// The reason.
        why: Trouble,
    },
    /// All faces are finished.
    Done,
    /// The run gave up.
    Stopped(StopReason),
}

/// The reason why a run gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The vendor has no list of chats.
    #[error("this vendor's API has no list of chats; give a list of JIDs instead")]
    NoChatList,
    /// The vendor rejects the credential.
    #[error("the vendor rejects the credential; check this instance's token")]
    BadCredential,
    /// All attempts to get the list of chats failed.
    #[error("the vendor did not return its list of chats; see the log for the reason")]
    ListUnavailable,
    /// The run took longer than a day.
    #[error("the run took longer than a day; raise the instance's lookups, or ask for fewer faces")]
    TimeLimit,
}

impl Progress {
    pub(super) fn new(job: &Job, now: Timestamp) -> Self {
        Self {
            state: RunState::Running,
            started_at: now,
            ended_at: None,
            total: match job {
                Job::List(subjects) => subjects.len(),
                Job::Chats(top) => *top,
            },
            done: 0,
            outcomes: BTreeMap::new(),
        }
    }
}
