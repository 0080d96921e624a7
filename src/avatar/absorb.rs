//! Takes an answer into an entry. The one place where a good picture could be lost, and the proof
//! that it is not:
//!
//! 1. An answer that was overtaken by a newer one changes nothing, nor does one about a face that
//!    was forgotten meanwhile.
//! 2. A picture replaces the picture; the same bytes or the same link name only vouch for it.
//! 3. "There is none" stands against the picture; enough of them, a TTL apart, retire it if the
//!    operator wants that (`on_hidden = "drop"`).
//! 4. Trouble sets the time of the next try, and nothing else.

use std::time::Duration;

use super::{Empty, Entry, Kept, Last, Memo, OnHidden, Outcome, Picture, Policy, Trouble};
use crate::clock::Timestamp;

/// What one upstream transaction brought.
#[derive(Clone, Debug)]
pub struct Report {
    /// When it began.
    pub asked: Timestamp,
    /// When it ended.
    pub answered: Timestamp,
    /// What came of it.
    pub answer: Answer,
    /// A number from 0 to 1 that spreads retries, so that a thousand faces that failed together
    /// do not come back together.
    pub jitter: f64,
}

/// What came of asking.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A picture, and the file name of its link if it came by one.
    Picture(Picture, Option<String>),
    /// A link with this file name, which was the stored picture's: not downloaded, for it is the
    /// same.
    Unchanged(String),
    /// Truly none.
    Empty(Empty),
    /// No answer; `retry_at` is set where somebody said when to come back.
    Trouble {
        /// What went wrong.
        why: Trouble,
        /// When to try again, if known.
        retry_at: Option<Timestamp>,
    },
}

// === impl Answer ===

impl Answer {
    /// The outcome under which the answer is reported.
    pub fn outcome(&self) -> Outcome {
        match self {
            Answer::Picture(..) | Answer::Unchanged(_) => Outcome::Picture,
            Answer::Empty(empty) => Outcome::Empty(*empty),
            Answer::Trouble { why, .. } => Outcome::Trouble(*why),
        }
    }
}

/// The entry after `report`, or `None` where the report changes nothing.
pub fn absorb(entry: Option<&Entry>, report: Report, policy: &Policy) -> Option<Entry> {
    let is_late =
        |entry: &Entry| is_overtaken(&entry.last, &report) || entry.is_forgotten(report.answered);
    if entry.is_some_and(is_late) {
        return None;
    }
    let outcome = report.answer.outcome();
    let kept = entry.and_then(|entry| entry.picture.clone());
    let before = entry.map(|entry| entry.last);
    match report.answer {
        Answer::Picture(picture, name) => Some(Entry {
            picture: Some(vouched(kept, picture, name, report.answered)),
            last: answered(outcome, report.asked, report.answered + policy.ttl),
        }),
        Answer::Unchanged(name) => {
            // It vouches for the picture of that name, which may have been replaced meanwhile.
            let kept = kept.filter(|kept| kept.name.as_ref() == Some(&name))?;
            Some(Entry {
                picture: Some(Kept {
                    confirmed: report.answered,
                    ..kept
                }),
                last: answered(outcome, report.asked, report.answered + policy.ttl),
            })
        }
        Answer::Empty(empty) => Some(empty_answer(kept, before, empty, &report, policy)),
        Answer::Trouble {
            why: Trouble::OverBudget,
            ..
        } => None,
        Answer::Trouble { why, retry_at } => {
            let last = troubled(before, why, retry_at, &report, policy);
            Some(Entry {
                picture: kept,
                last,
            })
        }
    }
}

/// Trouble is no answer, so a late picture still counts against newer trouble, and late trouble
/// against nothing newer at all.
fn is_overtaken(last: &Last, report: &Report) -> bool {
    match report.answer {
        Answer::Trouble { .. } => report.asked < last.asked,
        _ => report.asked < last.decided,
    }
}

fn vouched(kept: Option<Kept>, picture: Picture, name: Option<String>, now: Timestamp) -> Kept {
    match kept {
        Some(kept) if kept.picture.digest() == picture.digest() => Kept {
            name,
            confirmed: now,
            ..kept
        },
        _ => Kept {
            picture,
            name,
            changed: now,
            confirmed: now,
            memo: Memo::default(),
        },
    }
}

fn answered(outcome: Outcome, asked: Timestamp, retry_at: Timestamp) -> Last {
    Last {
        outcome,
        asked,
        decided: asked,
        retry_at,
        errors: 0,
        against: 0,
        against_since: Timestamp::default(),
        forgotten: false,
        outdated: false,
    }
}

fn empty_answer(
    kept: Option<Kept>,
    before: Option<Last>,
    empty: Empty,
    report: &Report,
    policy: &Policy,
) -> Entry {
    let believed = match empty {
        Empty::NotSet | Empty::Hidden | Empty::Unknown => policy.negative.empty,
        Empty::NotFound => policy.negative.not_found,
    };
    let mut last = answered(
        Outcome::Empty(empty),
        report.asked,
        report.answered + believed,
    );
    let Some(kept) = kept else {
        return Entry {
            picture: None,
            last,
        };
    };
    (last.against, last.against_since) = counted(before, empty, report.answered, policy);
    let is_gone = last.against >= policy.confirmations && policy.on_hidden == OnHidden::Drop;
    Entry {
        picture: (!is_gone).then_some(kept),
        last,
    }
}

/// How many empty answers stand against the picture, and since when. "No such contact" says
/// nothing about the picture, and neither does an answer that repeats the last one too soon.
fn counted(
    before: Option<Last>,
    empty: Empty,
    now: Timestamp,
    policy: &Policy,
) -> (u32, Timestamp) {
    let (against, since) = before.map_or((0, Timestamp::default()), |last| {
        (last.against, last.against_since)
    });
    let counts = match empty {
        Empty::NotFound => false,
        _ => against == 0 || now.since(since) >= policy.ttl,
    };
    if counts {
        (against.saturating_add(1), now)
    } else {
        (against, since)
    }
}

fn troubled(
    before: Option<Last>,
    why: Trouble,
    retry_at: Option<Timestamp>,
    report: &Report,
    policy: &Policy,
) -> Last {
    let negative = &policy.negative;
    let errors = match why {
        Trouble::VendorError => before.map_or(0, |last| last.errors).saturating_add(1),
        _ => 0,
    };
    let wait = match why {
        Trouble::VendorError => doubled(
            negative.error_first,
            negative.error_longest,
            errors,
            report.jitter,
        ),
        Trouble::SessionDown => negative.session_down,
        Trouble::Auth => negative.auth,
        Trouble::RateLimited | Trouble::OverBudget => negative.rate_limited,
    };
    let decided = before.map_or(Timestamp::default(), |last| last.decided);
    let (against, against_since) = before.map_or((0, Timestamp::default()), |last| {
        (last.against, last.against_since)
    });
    Last {
        outcome: Outcome::Trouble(why),
        asked: report.asked,
        decided,
        retry_at: retry_at.unwrap_or(report.answered + wait),
        errors,
        against,
        against_since,
        forgotten: false,
        outdated: before.is_some_and(|last| last.outdated),
    }
}

/// `first`, doubled for every time after the first, at most `longest`, then less up to a tenth.
fn doubled(first: Duration, longest: Duration, times: u32, jitter: f64) -> Duration {
    let factor = 2u32.saturating_pow(times.saturating_sub(1));
    let wait = first.saturating_mul(factor).min(longest);
    wait.mul_f64(1.0 - 0.1 * jitter.clamp(0.0, 1.0))
}
