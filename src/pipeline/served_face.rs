//! The results that the pipeline returns: a face for one request, and the result of a fetch.

use std::sync::Arc;

use crate::{
    avatar::{Empty, Entry, Forward, Outcome, StoredPicture, Trouble},
    clock::Timestamp,
    limits::NotAdmitted,
};

/// The face for one request.
#[derive(Clone, Debug)]
pub struct ServedFace {
    /// The entry, if there is one.
    pub entry: Option<Arc<Entry>>,
    /// The reason why the vendor was asked. `None` if it was not.
    pub forward: Option<Forward>,
    /// The result of the fetch. `None` together with a `forward` means that the deadline came first.
    pub fetch: Option<FetchResult>,
    /// Whether the request joined a fetch of another request.
    pub collapsed: bool,
    /// Whether a refresh was started in the background.
    pub revalidating: bool,
    /// Whether there may be an entry, which cannot be read now. The vendor is not asked.
    pub is_unreadable: bool,
}

/// The result of a fetch. All requests that waited for it share it.
#[derive(Clone, Debug)]
pub struct FetchResult {
    /// The entry after the fetch.
    pub entry: Option<Arc<Entry>>,
    /// The outcome of asking.
    pub outcome: Outcome,
    /// The status of the vendor's latest reply, if it replied.
    pub status: Option<u16>,
    /// Whether a picture was written to the disk.
    pub stored: bool,
    /// The time at which the vendor may be asked again, where it is known.
    pub retry_at: Option<Timestamp>,
    /// Whether the budget, or a pause, refused the call.
    pub is_refused: bool,
}

// === impl ServedFace ===

impl ServedFace {
    /// A face from the cache, without a fetch.
    pub(super) fn from_cache(entry: Option<Arc<Entry>>) -> Self {
        Self {
            entry,
            forward: None,
            fetch: None,
            collapsed: false,
            revalidating: false,
            is_unreadable: false,
        }
    }

    /// A face that no gateway can be asked for: as it was pushed, or `unknown`.
    pub(super) fn of_push(entry: Option<Arc<Entry>>) -> Self {
        if entry.is_some() {
            return Self::from_cache(entry);
        }
        let unknown = FetchResult::of_push(None);
        Self::after_fetch(None, Forward::UriMiss, Some(unknown), false)
    }

    /// A face of which it is not known in time whether it is in the cache. The look-up goes on.
    pub(super) fn deferred() -> Self {
        Self::after_fetch(None, Forward::UriMiss, None, false)
    }

    /// A face of which it is not known whether it is in the cache, because the disk refuses to read.
    pub(super) fn unreadable() -> Self {
        Self {
            is_unreadable: true,
            ..Self::deferred()
        }
    }

    /// A stale face from the cache that is refreshed in the background.
    pub(super) fn while_revalidating(entry: Option<Arc<Entry>>) -> Self {
        Self {
            revalidating: true,
            ..Self::from_cache(entry)
        }
    }

    /// A face for which the request waited for a fetch.
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
            is_unreadable: false,
        }
    }

    /// The part of the cache, for log and metrics: `hit`, `stale` (served while it is refreshed),
    /// `miss`, `expired` (too old to serve without asking) or `refresh`.
    pub fn cache_status(&self) -> &'static str {
        match self.forward {
            None if self.revalidating => "stale",
            None => "hit",
            Some(Forward::UriMiss) => "miss",
            Some(Forward::Stale) => "expired",
            Some(Forward::Request) => "refresh",
        }
    }

    /// The picture, if there is one.
    pub fn picture(&self) -> Option<&StoredPicture> {
        self.entry.as_ref()?.picture.as_ref()
    }

    /// Whether the deadline came before the result of the fetch.
    pub fn is_deferred(&self) -> bool {
        self.forward.is_some() && self.fetch.is_none()
    }

    /// The outcome of this fetch, or else of the last one. `None` if there was none.
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.fetch {
            Some(fetch) => Some(fetch.outcome),
            None => self.entry.as_ref().map(|entry| entry.last.outcome),
        }
    }

    /// The outcome, if it is trouble.
    pub fn trouble(&self) -> Option<Trouble> {
        match self.outcome() {
            Some(Outcome::Trouble(trouble)) => Some(trouble),
            _ => None,
        }
    }

    /// Whether the budget refused the fetch.
    pub(super) fn is_over_budget(&self) -> bool {
        let over_budget = Outcome::Trouble(Trouble::OverBudget);
        let fetch = self.fetch.as_ref();
        fetch.is_some_and(|fetch| fetch.outcome == over_budget)
    }

    /// Why the budget or a pause refused the call, if it did, and when the vendor may be asked.
    pub fn refusal(&self) -> Option<NotAdmitted> {
        let fetch = self.fetch.as_ref().filter(|fetch| fetch.is_refused)?;
        let Outcome::Trouble(why) = fetch.outcome else {
            return None;
        };
        Some(NotAdmitted {
            why,
            retry_at: fetch.retry_at?,
        })
    }

    /// The time at which the vendor may be asked again.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match &self.fetch {
            Some(fetch) => fetch.retry_at,
            None => self.entry.as_ref().map(|entry| entry.last.retry_at),
        }
    }
}

// === impl FetchResult ===

impl FetchResult {
    /// The result of a fetch that got an answer, or trouble. The entry knows when to ask again.
    pub(super) fn settled(
        entry: Option<Arc<Entry>>,
        outcome: Outcome,
        status: Option<u16>,
        stored: bool,
    ) -> Self {
        Self {
            retry_at: entry.as_ref().map(|entry| entry.last.retry_at),
            entry,
            outcome,
            status,
            stored,
            is_refused: false,
        }
    }

    /// The result of a fetch that made no call, because the cache had the answer by then.
    pub(super) fn found(entry: Arc<Entry>) -> Self {
        let outcome = entry.last.outcome;
        Self::settled(Some(entry), outcome, None, false)
    }

    /// The result of a fetch of a face that no gateway can be asked for: as it was pushed, or `unknown`.
    pub(super) fn of_push(entry: Option<Arc<Entry>>) -> Self {
        match entry {
            Some(entry) => Self::found(entry),
            None => Self::settled(None, Outcome::Empty(Empty::Unknown), None, false),
        }
    }

    /// The result of a fetch that was refused before any call.
    pub(super) fn not_admitted(entry: Option<Arc<Entry>>, refusal: NotAdmitted) -> Self {
        Self {
            entry,
            outcome: Outcome::Trouble(refusal.why),
            status: None,
            stored: false,
            retry_at: Some(refusal.retry_at),
            is_refused: true,
        }
    }

    /// The result for the waiters of a fetch that ended without one.
    #[cold]
    pub(super) fn aborted() -> Self {
        Self {
            entry: None,
            outcome: Outcome::Trouble(Trouble::VendorError),
            status: None,
            stored: false,
            retry_at: None,
            is_refused: false,
        }
    }
}
