//! The bounds of the downloads that events cause, and the links that were downloaded last.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{avatar::Key, clock::Timestamp, sync::lock};

/// The downloads that events of one instance cause.
#[derive(Debug)]
pub(super) struct EventDownloads {
    pub(super) waiting: Arc<Semaphore>,
    pub(super) running: Semaphore,
    /// The latest links, oldest first. Held for a few instructions, never across an await.
    latest: Mutex<VecDeque<(Key, String, Timestamp)>>,
}

/// The most downloads that wait, and that run at once: few, so that they do not delay those for waiting requests.
const MAX_WAITING: usize = 1000;
const MAX_RUNNING: usize = 2;
/// How long the same link of a face counts as a repetition, and how many links are remembered. Some gateways send the
/// link with every message.
const REPEAT: Duration = Duration::from_secs(10 * 60);
const MAX_LATEST: usize = 1024;

impl Default for EventDownloads {
    fn default() -> Self {
        Self {
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            running: Semaphore::new(MAX_RUNNING),
            latest: Mutex::default(),
        }
    }
}

impl EventDownloads {
    /// Whether the link is a new one for the face.
    pub(super) fn is_new(&self, key: Key, link_id: String, now: Timestamp) -> bool {
        let mut latest = lock(&self.latest);
        while latest
            .front()
            .is_some_and(|(_, _, at)| now.is_after(*at, REPEAT))
            || latest.len() >= MAX_LATEST
        {
            latest.pop_front();
        }
        let known = latest
            .iter()
            .any(|(face, link, _)| *face == key && *link == link_id);
        if !known {
            latest.push_back((key, link_id, now));
        }
        !known
    }
}
