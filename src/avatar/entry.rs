//! The entry of one face: the last good picture, and the outcome of the last attempt to fetch it.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Empty, Outcome, Picture, SpellingMemory, Trouble};
use crate::clock::Timestamp;

/// The state of one key. A face that was never asked for has no entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The last good picture. Only a newer picture replaces it.
    pub picture: Option<StoredPicture>,
    /// The last attempt to fetch the face.
    pub last: LastAttempt,
}

/// A good picture, and when the vendor confirmed it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPicture {
    /// The bytes, with their type and dimensions.
    pub picture: Picture,
    /// The identity of the link that the picture came from. A later answer with the same one confirms the
    /// picture without a download. `None` if the picture came without a link, or has to be downloaded
    /// again in any case.
    pub link_id: Option<String>,
    /// When these bytes were first seen (`Last-Modified`).
    pub changed_at: Timestamp,
    /// When the vendor last confirmed them (`Age` counts from here).
    pub confirmed_at: Timestamp,
    /// The instance that the picture is from, where another one had a picture and this one none.
    pub from: Option<Arc<str>>,
}

/// The last attempt to fetch a face. The serialized names are the format on disk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastAttempt {
    /// The outcome.
    pub outcome: Outcome,
    /// When the vendor was asked. Orders answers that overtake each other.
    #[serde(rename = "asked")]
    pub asked_at: Timestamp,
    /// When the vendor was asked for the newest real answer: a picture, or a confirmed "no picture".
    #[serde(rename = "decided")]
    pub answer_asked_at: Timestamp,
    /// The vendor is not asked again before this time, unless a request demands a refresh. The
    /// freshness of a picture counts from [`StoredPicture::confirmed_at`] instead.
    pub retry_at: Timestamp,
    /// How many times in a row the outcome was `vendor_error`.
    pub errors: u32,
    /// How many empty answers, each a TTL after the one before, count against the picture.
    #[serde(rename = "against")]
    pub strikes: u32,
    /// When the last strike was counted.
    #[serde(rename = "against_since")]
    pub last_strike_at: Timestamp,
    /// Whether the face was forgotten on demand. Until `retry_at`, not even a refresh fetches it.
    #[serde(default, rename = "forgotten")]
    pub is_forgotten: bool,
    /// Whether a webhook reported a changed picture and no answer came since. The vendor's own cache
    /// then still holds the old picture.
    #[serde(
        default,
        rename = "outdated",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub is_outdated: bool,
    /// Which spelling of the number the vendor knows, where a number has two.
    #[serde(default, skip_serializing_if = "SpellingMemory::is_empty")]
    pub spellings: SpellingMemory,
}

/// How far the clocks of two processes may differ. Beyond it, a time that lies ahead is wrong.
const CLOCK_SLACK: Duration = Duration::from_secs(5 * 60);

impl Entry {
    /// The entry of a face that is forgotten at `now` and not asked for before `until`. It looks the
    /// same as the entry of a face with a hidden picture.
    pub fn tombstone(now: Timestamp, until: Timestamp) -> Self {
        Self {
            picture: None,
            last: LastAttempt {
                outcome: Outcome::Empty(Empty::Hidden),
                asked_at: now,
                answer_asked_at: now,
                retry_at: until,
                errors: 0,
                strikes: 0,
                last_strike_at: Timestamp::default(),
                is_forgotten: true,
                is_outdated: false,
                spellings: SpellingMemory::default(),
            },
        }
    }

    /// The entry of a face whose vendor was asked in one spelling of the number, and has to be asked in the other
    /// one, for which the budget had no call. The face is due.
    pub fn unfinished(entry: Option<&Self>, spellings: SpellingMemory, now: Timestamp) -> Self {
        let mut entry = entry.cloned().unwrap_or_else(|| {
            let mut entry = Self::tombstone(now, now);
            entry.last.outcome = Outcome::Trouble(Trouble::OverBudget);
            entry.last.answer_asked_at = Timestamp::default();
            entry.last.is_forgotten = false;
            entry
        });
        entry.last.spellings = spellings;
        entry.last.retry_at = now;
        entry
    }

    /// Makes the entry stale, as if its `ttl` had just passed: the next request gets the picture and
    /// starts a refresh, which downloads the picture even if its link is unchanged. A tombstone stays as it
    /// is.
    pub fn expire(mut self, now: Timestamp, ttl: Duration) -> Self {
        if self.is_forgotten(now) {
            return self;
        }
        if let Some(stored) = &mut self.picture {
            stored.confirmed_at = stored.confirmed_at.min(now - ttl);
            stored.link_id = None;
        }
        self.last.retry_at = now;
        self
    }

    /// Makes the entry stale because the picture is reported to have changed. The next fetch has to
    /// bypass the vendor's own cache. A tombstone stays as it is.
    pub fn mark_outdated(self, now: Timestamp, ttl: Duration) -> Self {
        let mut entry = self.expire(now, ttl);
        entry.last.is_outdated = !entry.is_forgotten(now);
        entry
    }

    /// Whether the last attempt was an answer, and at least `age` ago.
    pub fn has_answer_older_than(&self, age: Duration, now: Timestamp) -> bool {
        let is_answer = !matches!(self.last.outcome, Outcome::Trouble(_));
        is_answer && !self.is_forgotten(now) && now.since(self.last.asked_at) >= age
    }

    /// Takes all trust from the entry: the next request waits for the vendor, and gets this picture
    /// only if the vendor has no answer. A tombstone stays as it is.
    pub fn distrust(mut self, now: Timestamp) -> Self {
        if self.is_forgotten(now) {
            return self;
        }
        if let Some(stored) = &mut self.picture {
            stored.confirmed_at = Timestamp::default();
            stored.link_id = None;
        }
        self.last.retry_at = now;
        self
    }

    /// The entry without its picture, which turned out to be the gateway's default one, and with the picture
    /// that it had replaced.
    pub fn retract(&self, replaced: Option<StoredPicture>) -> Self {
        Self {
            picture: replaced,
            last: LastAttempt {
                outcome: Outcome::Empty(Empty::Unknown),
                ..self.last
            },
        }
    }

    /// Whether the entry was written while the time of day was ahead of today's. Its times say nothing
    /// then, and it is due.
    pub fn is_from_the_future(&self, now: Timestamp) -> bool {
        let confirmed_at = self.picture.as_ref().map(|stored| stored.confirmed_at);
        let latest = confirmed_at.unwrap_or_default().max(self.last.asked_at);
        latest > now + CLOCK_SLACK
    }

    /// Whether the entry is a tombstone whose time has not passed.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        self.last.is_forgotten && now < self.last.retry_at
    }
}

impl StoredPicture {
    /// The time since the vendor last confirmed the picture.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.confirmed_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_an_attempt_on_disk_do_not_change_by_accident() {
        let mut last = Entry::tombstone(Timestamp::from_millis(1), Timestamp::from_millis(2)).last;
        last.is_outdated = true;
        let written = r#"{"outcome":"hidden","asked":1,"decided":1,"retry_at":2,"errors":0,"against":0,"against_since":0,"forgotten":true,"outdated":true}"#;
        assert_eq!(serde_json::to_string(&last).unwrap(), written);
    }
}
