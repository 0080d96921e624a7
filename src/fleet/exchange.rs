//! The questions of a fetch to the fleet, and the answers.

use std::time::Duration;

use super::{
    answer::{Answer, trouble},
    link::EngineFailure,
    shared_entry::SharedEntry,
};
use crate::{avatar::Trouble, limits::Priority};

/// The kind of call that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct CallKind {
    /// Its priority.
    pub priority: Priority,
    /// Whether it makes the vendor bypass its cache.
    pub with_refresh: bool,
}

/// The entry of the fleet that a fetch takes as its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// Any: this replica has none.
    Any,
    /// A newer one than this replica has.
    Newer,
    /// A newer one than this version, which it could not take.
    After(u64),
}

/// The fleet's answer to a fetch that begins.
#[derive(Debug)]
pub enum Begin {
    /// The vendor may be asked: the lease is held.
    Go,
    /// No replica knows the face, and the caller wanted no call.
    NoCall,
    /// A sibling asks the vendor, for at most this long.
    Held(Duration),
    /// A newer entry.
    Entry(SharedEntry),
    /// The face is forgotten for this long.
    Forgotten(Duration),
    /// No call now.
    Refused(Refusal),
}

/// The fleet's answer to a replica that takes calls without a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The calls may be made.
    Go,
    /// No calls now.
    Refused(Refusal),
}

/// Why the fleet has no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The account pauses for this long.
    Paused(Duration, Trouble),
    /// The time until each bucket has a call: all calls, refreshes, background.
    OverBudget([Duration; 3]),
}

/// The fate of an entry.
#[derive(Debug)]
pub enum Commit {
    /// It is the fleet's entry.
    Stored,
    /// This entry is to be taken into account first.
    Conflict(SharedEntry),
    /// A hard purge has removed the fleet's entry since the fetch began, at this version.
    Removed(u64),
    /// The face was forgotten, for this long.
    Forgotten(Duration),
    /// The fleet has an entry of another format, which stays.
    Foreign,
    /// The picture that the entry confirms is not beside the entries any more. It is to be sent as a new one.
    PictureMissing,
}

impl Refusal {
    pub(super) fn read(answer: &Answer) -> Result<Self, EngineFailure> {
        match answer.name.as_str() {
            "paused" => Ok(Refusal::Paused(answer.millis(0), trouble(&answer.text(1)))),
            "over_budget" => Ok(Refusal::OverBudget(
                [0, 1, 2].map(|index| answer.millis(index)),
            )),
            _ => Err(EngineFailure),
        }
    }
}
