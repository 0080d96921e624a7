//! The latest answers of an account's vendor, for the operator.

use std::sync::Mutex;

use crate::{avatar::Trouble, clock::Timestamp, sync::lock};

/// The latest answers of an account's vendor. A reload keeps them.
#[derive(Debug, Default)]
pub struct LatestAnswers {
    /// When the vendor last gave a usable answer.
    answered_at: Mutex<Option<Timestamp>>,
    trouble: Mutex<Option<LatestTrouble>>,
}

/// The latest trouble: a call without a usable answer.
#[derive(Clone, Debug)]
pub struct LatestTrouble {
    /// When it came.
    pub at: Timestamp,
    /// The outcome.
    pub why: Trouble,
    /// The same text as in the log.
    pub detail: String,
}

impl LatestAnswers {
    /// When the vendor last gave a usable answer, if it gave one since the start.
    pub fn answered_at(&self) -> Option<Timestamp> {
        *lock(&self.answered_at)
    }

    /// The latest trouble since the start, if there was any.
    pub fn trouble(&self) -> Option<LatestTrouble> {
        lock(&self.trouble).clone()
    }

    pub(super) fn record_answer(&self, at: Timestamp) {
        *lock(&self.answered_at) = Some(at);
    }

    pub(super) fn record_trouble(&self, at: Timestamp, why: Trouble, detail: &str) {
        let detail = detail.to_owned();
        *lock(&self.trouble) = Some(LatestTrouble { at, why, detail });
    }
}
