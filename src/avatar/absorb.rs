//! Takes an answer into an entry. This is the one place where a good picture could be lost, and the
//! proof that none is:
//!
//! 1. An answer changes nothing if a newer answer overtook it, or if the face was forgotten meanwhile.
//! 2. A new picture replaces the old one. The same bytes, or the same link, only confirm it.
//! 3. An empty answer counts as a strike against the picture. Enough strikes, a TTL apart, remove the
//!    picture if the operator wants that (`on_hidden = "drop"`).
//! 4. Trouble sets the time of the next attempt, and nothing else.

use std::time::Duration;

use super::{
    Empty, Entry, LastAttempt, OnHidden, Outcome, Picture, Policy, SpellingMemory, StoredPicture,
    Trouble,
};
use crate::clock::Timestamp;

/// The result of one fetch.
#[derive(Clone, Debug)]
pub struct Report {
    /// When it began.
    pub asked_at: Timestamp,
    /// When it ended.
    pub answered_at: Timestamp,
    /// The answer.
    pub answer: Answer,
    /// A number from 0 to 1 that spreads retries: a thousand faces that failed together must not be
    /// retried together.
    pub jitter: f64,
    /// The vendor's answers to both spellings of the number, this one included.
    pub spellings: SpellingMemory,
}

/// The answer of a fetch.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A picture, and the identity of its link if it came by link.
    Picture(Picture, Option<String>),
    /// A link of this identity, which is the stored picture's. The picture is the same, so it was not
    /// downloaded.
    Unchanged(String),
    /// A confirmed "no picture".
    Empty(Empty),
    /// No answer.
    Trouble {
        /// The kind of trouble.
        why: Trouble,
        /// When to try again, where the vendor or a limit named a time.
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
    let is_late = |entry: &Entry| {
        is_overtaken(&entry.last, &report) || entry.is_forgotten(report.answered_at)
    };
    if entry.is_some_and(is_late) {
        return None;
    }
    let outcome = report.answer.outcome();
    let stored = entry.and_then(|entry| entry.picture.clone());
    let before = entry.map(|entry| entry.last);
    let fresh_until = report.answered_at + policy.ttl;
    let answered = attempt_with_answer(outcome, &report, fresh_until);
    match report.answer {
        Answer::Picture(picture, name) => Some(Entry {
            picture: Some(confirm_picture(stored, picture, name, report.answered_at)),
            last: answered,
        }),
        Answer::Unchanged(link_id) => {
            // The answer confirms the picture of that name, which may have been replaced meanwhile.
            let stored = stored.filter(|stored| stored.link_id.as_ref() == Some(&link_id))?;
            Some(Entry {
                picture: Some(StoredPicture {
                    confirmed_at: report.answered_at,
                    ..stored
                }),
                last: answered,
            })
        }
        Answer::Empty(empty) => Some(after_empty_answer(stored, before, empty, &report, policy)),
        Answer::Trouble {
            why: Trouble::OverBudget,
            ..
        } => None,
        Answer::Trouble { why, retry_at } => Some(Entry {
            picture: stored,
            last: attempt_in_trouble(before, why, retry_at, &report, policy),
        }),
    }
}

/// Trouble is not an answer. So a late picture still counts after newer trouble, but late trouble
/// never counts after anything newer.
///
/// An attempt that lies ahead of the answer was dated by a wrong clock and overtakes nothing.
fn is_overtaken(last: &LastAttempt, report: &Report) -> bool {
    let overtakes = |asked_at| report.asked_at < asked_at && asked_at <= report.answered_at;
    match report.answer {
        Answer::Trouble { .. } => overtakes(last.asked_at),
        _ => overtakes(last.answer_asked_at),
    }
}

/// The stored picture confirmed at `now` if it has the same bytes, else the new picture.
fn confirm_picture(
    stored: Option<StoredPicture>,
    picture: Picture,
    link_id: Option<String>,
    now: Timestamp,
) -> StoredPicture {
    match stored {
        Some(stored) if stored.picture.digest() == picture.digest() => StoredPicture {
            link_id,
            confirmed_at: now,
            from: None,
            ..stored
        },
        _ => StoredPicture {
            picture,
            link_id,
            changed_at: now,
            confirmed_at: now,
            from: None,
        },
    }
}

fn attempt_with_answer(outcome: Outcome, report: &Report, retry_at: Timestamp) -> LastAttempt {
    LastAttempt {
        outcome,
        asked_at: report.asked_at,
        answer_asked_at: report.asked_at,
        retry_at,
        errors: 0,
        strikes: 0,
        last_strike_at: Timestamp::default(),
        is_forgotten: false,
        is_outdated: false,
        spellings: report.spellings,
    }
}

fn after_empty_answer(
    stored: Option<StoredPicture>,
    before: Option<LastAttempt>,
    empty: Empty,
    report: &Report,
    policy: &Policy,
) -> Entry {
    let ttl = match empty {
        Empty::NotSet | Empty::Hidden | Empty::Unknown => policy.negative.empty,
        Empty::NotFound => policy.negative.not_found,
    };
    let outcome = Outcome::Empty(empty);
    let mut last = attempt_with_answer(outcome, report, report.answered_at + ttl);
    let Some(stored) = stored else {
        return Entry {
            picture: None,
            last,
        };
    };
    (last.strikes, last.last_strike_at) = count_strike(before, empty, report.answered_at, policy);
    let is_gone = last.strikes >= policy.confirmations && policy.on_hidden == OnHidden::Drop;
    Entry {
        picture: (!is_gone).then_some(stored),
        last,
    }
}

/// The strikes against the picture after this answer, and when the last one was counted. "No such
/// contact" says nothing about the picture, and an answer within a TTL of the last strike only
/// repeats it.
fn count_strike(
    before: Option<LastAttempt>,
    empty: Empty,
    now: Timestamp,
    policy: &Policy,
) -> (u32, Timestamp) {
    let (strikes, last_strike_at) = before.map_or((0, Timestamp::default()), |last| {
        (last.strikes, last.last_strike_at)
    });
    let counts = match empty {
        Empty::NotFound => false,
        _ => strikes == 0 || now.since(last_strike_at) >= policy.ttl,
    };
    if counts {
        (strikes.saturating_add(1), now)
    } else {
        // A strike that a wrong clock counted in the future is not to put off the next one for so long.
        (strikes, last_strike_at.min(now))
    }
}

fn attempt_in_trouble(
    before: Option<LastAttempt>,
    why: Trouble,
    retry_at: Option<Timestamp>,
    report: &Report,
    policy: &Policy,
) -> LastAttempt {
    let negative = &policy.negative;
    let errors = match why {
        Trouble::VendorError => before.map_or(0, |last| last.errors).saturating_add(1),
        _ => 0,
    };
    let wait = match why {
        Trouble::VendorError => backoff(
            negative.error_first,
            negative.error_longest,
            errors,
            report.jitter,
        ),
        Trouble::SessionDown => negative.session_down,
        Trouble::Auth => negative.auth,
        Trouble::RateLimited | Trouble::OverBudget => negative.rate_limited,
    };
    LastAttempt {
        outcome: Outcome::Trouble(why),
        asked_at: report.asked_at,
        answer_asked_at: before.map_or(Timestamp::default(), |last| last.answer_asked_at),
        retry_at: retry_at.unwrap_or(report.answered_at + wait),
        errors,
        strikes: before.map_or(0, |last| last.strikes),
        last_strike_at: before.map_or(Timestamp::default(), |last| last.last_strike_at),
        is_forgotten: false,
        is_outdated: before.is_some_and(|last| last.is_outdated),
        spellings: report.spellings,
    }
}

/// Exponential backoff: `first`, doubled for every error after the first, at most `longest`, minus
/// up to a tenth of jitter.
fn backoff(first: Duration, longest: Duration, errors: u32, jitter: f64) -> Duration {
    let factor = 2u32.saturating_pow(errors.saturating_sub(1));
    let wait = first.saturating_mul(factor).min(longest);
    wait.mul_f64(1.0 - 0.1 * jitter.clamp(0.0, 1.0))
}
