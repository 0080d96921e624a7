//! All that is known of one face: the last good picture, and what came of asking last.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Empty, Outcome, Picture};
use crate::clock::Timestamp;

/// The state of one key. An entry that was never asked for does not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The last good picture. Only a newer one replaces it.
    pub picture: Option<Kept>,
    /// What came of asking last.
    pub last: Last,
}

/// A good picture and what vouches for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The bytes and what they are.
    pub picture: Picture,
    /// The file name of the link it came from: the vendor's own name for this version of the
    /// picture. Signatures and expiry rotate with every answer, so they are no part of it.
    pub name: Option<String>,
    /// When these bytes were first seen (`Last-Modified`).
    pub changed: Timestamp,
    /// When the vendor last vouched for them (`Age` counts from here).
    pub confirmed: Timestamp,
    /// What is made of `picture` and `changed` once.
    pub memo: Memo,
}

/// Bytes that somebody makes of a picture once, and finds again as long as it is kept: HTTP's fields
/// about it, say. Copies share them. They tell nothing new, so all memos are equal.
#[derive(Clone, Default)]
pub struct Memo(Arc<OnceLock<Box<[u8]>>>);

/// What came of asking last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// The outcome.
    pub outcome: Outcome,
    /// When it was asked. Orders answers that overtake each other.
    pub asked: Timestamp,
    /// When the newest real answer (a picture, or truly none) was asked for.
    pub decided: Timestamp,
    /// Not before this time is it asked again, unless for a fresh look. For a picture, freshness
    /// is reckoned from [`Kept::confirmed`] instead.
    pub retry_at: Timestamp,
    /// How many times in a row it was a `vendor_error`.
    pub errors: u32,
    /// How many agreeing empty answers stand against the picture.
    pub against: u32,
    /// When the last of them was counted.
    pub against_since: Timestamp,
    /// Whether somebody asked for the face to be forgotten: until `retry_at`, not even a fresh
    /// look brings it back.
    #[serde(default)]
    pub forgotten: bool,
    /// Whether somebody told that the picture changed, and no answer came since: what the vendor
    /// keeps is the old one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outdated: bool,
}

impl Entry {
    /// A face that was forgotten at `now` and is not to be asked for before `until`. What is left
    /// of it says as little as if it were hidden.
    pub fn forgotten(now: Timestamp, until: Timestamp) -> Self {
        Self {
            picture: None,
            last: Last {
                outcome: Outcome::Empty(Empty::Hidden),
                asked: now,
                decided: now,
                retry_at: until,
                errors: 0,
                against: 0,
                against_since: Timestamp::default(),
                forgotten: true,
                outdated: false,
            },
        }
    }

    /// The same, due to be asked for: a picture is shown once more while that happens, as if its
    /// `ttl` had just passed. What was forgotten stays so.
    pub fn expired(mut self, now: Timestamp, ttl: Duration) -> Self {
        if self.is_forgotten(now) {
            return self;
        }
        if let Some(kept) = &mut self.picture {
            kept.confirmed = kept.confirmed.min(now - ttl);
        }
        self.last.retry_at = now;
        self
    }

    /// The same, due to be asked for past what the vendor keeps: the picture is said to have changed.
    /// What was forgotten stays so.
    pub fn outdated(self, now: Timestamp, ttl: Duration) -> Self {
        let mut entry = self.expired(now, ttl);
        entry.last.outdated = !entry.is_forgotten(now);
        entry
    }

    /// The same, believed by nobody: it is asked for at once, and shown only if nothing better can
    /// be had. What was forgotten stays so.
    pub fn doubted(mut self, now: Timestamp) -> Self {
        if self.is_forgotten(now) {
            return self;
        }
        if let Some(kept) = &mut self.picture {
            kept.confirmed = Timestamp::default();
        }
        self.last.retry_at = now;
        self
    }

    /// Whether the face is forgotten still.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        self.last.forgotten && now < self.last.retry_at
    }
}

impl Memo {
    /// What was made before, or else what `make` makes.
    pub fn get_or_make(&self, make: impl FnOnce() -> Box<[u8]>) -> &[u8] {
        self.0.get_or_init(make)
    }
}

impl PartialEq for Memo {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.get().map(|made| made.len());
        write!(f, "Memo({length:?} bytes)")
    }
}

impl Kept {
    /// The time since the vendor last vouched for the picture.
    pub fn age(&self, now: Timestamp) -> Duration {
        now.since(self.confirmed)
    }
}
