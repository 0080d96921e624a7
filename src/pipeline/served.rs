//! What the pipeline hands to HTTP: the face, if there is one, and how it was come by.

use std::sync::Arc;

use crate::{
    avatar::{Entry, Forward, Outcome, StoredPicture, Trouble},
    clock::Timestamp,
};

/// A face, or the want of one.
#[derive(Clone, Debug)]
pub struct ServedFace {
    /// What is known of the face.
    pub entry: Option<Arc<Entry>>,
    /// Why the vendor was asked, or that it was not.
    pub forward: Option<Forward>,
    /// What came of asking. With `forward`, `None` means that the deadline came first.
    pub fetch: Option<FetchResult>,
    /// Whether the request rode on another one's transaction.
    pub collapsed: bool,
    /// Whether a refresh goes on behind the answer.
    pub revalidating: bool,
}

/// How a transaction ended. Shared by everybody who waited for it.
#[derive(Clone, Debug)]
pub struct FetchResult {
    /// The entry now.
    pub entry: Option<Arc<Entry>>,
    /// What came of asking.
    pub outcome: Outcome,
    /// The status that the vendor answered last, if it answered.
    pub status: Option<u16>,
    /// Whether a picture was written to the cache.
    pub stored: bool,
    /// When asking again can succeed, where that is known.
    pub retry_at: Option<Timestamp>,
}

// === impl ServedFace ===

impl ServedFace {
    pub(super) fn from_cache(entry: Option<Arc<Entry>>) -> Self {
        Self {
            entry,
            forward: None,
            fetch: None,
            collapsed: false,
            revalidating: false,
        }
    }

    pub(super) fn while_revalidating(entry: Option<Arc<Entry>>) -> Self {
        Self {
            revalidating: true,
            ..Self::from_cache(entry)
        }
    }

    pub(super) fn after_fetch(
        entry: Option<Arc<Entry>>,
        why: Forward,
        fetch: Option<FetchResult>,
        collapsed: bool,
    ) -> Self {
        Self {
            entry,
            forward: Some(why),
            fetch,
            collapsed,
            revalidating: false,
        }
    }

    /// What the cache did, in a word: `hit`, `stale` (served, and refreshed behind), `miss`,
    /// `expired` (too old, so asked) or `refresh`.
    pub fn cache_status(&self) -> &'static str {
        match self.forward {
            None if self.revalidating => "stale",
            None => "hit",
            Some(Forward::UriMiss) => "miss",
            Some(Forward::Stale) => "expired",
            Some(Forward::Request) => "refresh",
        }
    }

    /// The picture to show, if there is one.
    pub fn picture(&self) -> Option<&StoredPicture> {
        self.entry.as_ref()?.picture.as_ref()
    }

    /// Whether the deadline came before the vendor's answer.
    pub fn is_deferred(&self) -> bool {
        self.forward.is_some() && self.fetch.is_none()
    }

    /// What came of asking, now or last time. `None` if nobody ever got to ask.
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.fetch {
            Some(fetch) => Some(fetch.outcome),
            None => self.entry.as_ref().map(|entry| entry.last.outcome),
        }
    }

    /// The trouble that keeps a better answer from being given, if it is trouble.
    pub fn trouble(&self) -> Option<Trouble> {
        match self.outcome() {
            Some(Outcome::Trouble(trouble)) => Some(trouble),
            _ => None,
        }
    }

    /// When asking again can succeed.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match &self.fetch {
            Some(fetch) => fetch.retry_at,
            None => self.entry.as_ref().map(|entry| entry.last.retry_at),
        }
    }
}
