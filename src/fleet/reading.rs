//! How far this replica has read the log of an account, and whether its own entries count as fresh.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time};

use crate::sync::lock;

/// How far this replica has read the log of an account.
#[derive(Debug, Default)]
pub(super) struct Reading {
    phase: AtomicU8,
    has_begun: Notify,
    /// The last change that was read, and the last one that Redis knows to be applied here.
    positions: Mutex<(Option<Position>, Option<Position>)>,
    /// How old the last change was when it was read.
    lag: Mutex<Option<Duration>>,
    /// The version of the last purge of all faces that was heard of.
    purged: AtomicU64,
    /// Since when Redis has notes of positions, in its milliseconds; 0 if that is not known. It changes with a flush.
    since: AtomicU64,
    /// Whether the account has to catch up, because it could not.
    is_behind: AtomicBool,
    /// Whether all entries have to be compared with Redis.
    has_to_compare: AtomicBool,
    /// Whether the disk says that there are changes that Redis did not take.
    is_saved_as_unsent: AtomicBool,
    /// Held while the account catches up, and while changes that were read are applied.
    pub(super) catching_up: tokio::sync::Mutex<()>,
    /// Held while all entries are compared with Redis.
    pub(super) comparing: tokio::sync::Mutex<()>,
    /// Whether a comparison waits for the one that is under way.
    pub(super) is_comparison_waiting: AtomicBool,
}

/// A position in a log: milliseconds and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) u64, pub(super) u64);

/// The phase of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The forgotten faces are not known yet, so nothing is served from the cache.
    Starting = 0,
    /// Redis did not answer at the start: this replica's entries are served as they are.
    Alone = 1,
    /// Changes were missed: entries count as stale until they are compared with Redis.
    Comparing = 2,
    /// Every change is heard of.
    Current = 3,
}

impl Reading {
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Alone,
            2 => Phase::Comparing,
            _ => Phase::Current,
        }
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        self.has_begun.notify_waiters();
    }

    /// Waits until the start is over, at most `limit`.
    pub(super) async fn wait_for_start(&self, limit: Duration) {
        let started = async {
            loop {
                let change = self.has_begun.notified();
                if self.phase() != Phase::Starting {
                    return;
                }
                change.await;
            }
        };
        let _ = time::timeout(limit, started).await;
    }

    pub(super) fn position(&self) -> Option<Position> {
        lock(&self.positions).0
    }

    pub(super) fn set_position(&self, position: Position) {
        lock(&self.positions).0 = Some(position);
    }

    pub(super) fn lag(&self) -> Option<Duration> {
        *lock(&self.lag)
    }

    pub(super) fn set_lag(&self, lag: Duration) {
        *lock(&self.lag) = Some(lag);
    }

    /// The position that Redis is to be told of, if it does not know it.
    pub(super) fn unnoted(&self) -> Option<Position> {
        let positions = lock(&self.positions);
        positions.0.filter(|read| positions.1 != Some(*read))
    }

    pub(super) fn since(&self) -> u64 {
        self.since.load(Ordering::Acquire)
    }

    pub(super) fn set_since(&self, since: u64) {
        self.since.store(since, Ordering::Release);
    }

    /// The account has to catch up soon.
    pub(super) fn fall_behind(&self) {
        self.is_behind.store(true, Ordering::Release);
    }

    /// The account has to catch up soon, and to compare all entries with Redis then.
    pub(super) fn compare_all(&self) {
        self.has_to_compare.store(true, Ordering::Release);
        self.fall_behind();
    }

    /// The account has caught up. `is_comparing` says whether a comparison of all entries begins.
    pub(super) fn catch_up(&self, is_comparing: bool) {
        self.is_behind.store(false, Ordering::Release);
        if is_comparing {
            self.has_to_compare.store(false, Ordering::Release);
        } else if self.has_to_compare() {
            // It was set a moment ago.
            self.fall_behind();
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Acquire)
    }

    pub(super) fn has_to_compare(&self) -> bool {
        self.has_to_compare.load(Ordering::Acquire)
    }

    pub(super) fn is_saved_as_unsent(&self) -> bool {
        self.is_saved_as_unsent.load(Ordering::Acquire)
    }

    pub(super) fn set_saved_as_unsent(&self, is_unsent: bool) {
        self.is_saved_as_unsent.store(is_unsent, Ordering::Release);
    }

    pub(super) fn record_purge(&self, version: u64) {
        self.purged.fetch_max(version, Ordering::AcqRel);
    }

    pub(super) fn purged(&self) -> u64 {
        self.purged.load(Ordering::Acquire)
    }

    pub(super) fn forget_noted(&self) {
        lock(&self.positions).1 = None;
    }

    pub(super) fn set_noted(&self, position: Position) {
        lock(&self.positions).1 = Some(position);
    }
}

impl Position {
    /// Before the first change.
    pub(super) const START: Self = Self(0, 0);

    pub(super) fn parse(id: &str) -> Option<Self> {
        let (millis, number) = id.split_once('-')?;
        Some(Self(millis.parse().ok()?, number.parse().ok()?))
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}
