//! The fetches that wait for a sibling's fetch of the same face.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::Notify, time};

use super::face::Face;
use crate::sync::lock;

/// The fetches that wait, by face.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<HashMap<Face, Arc<Notify>>>);

/// A fetch that missed the end of a sibling's looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Waiters {
    /// Waits until a change of the face is heard of, at most `left` and at most a second.
    pub(super) async fn wait(&self, face: Face, left: Duration) {
        let notify = {
            let mut waiters = lock(&self.0);
            // Those of faces that no fetch waits for any more.
            waiters.retain(|_, notify| Arc::strong_count(notify) > 1);
            waiters.entry(face).or_default().clone()
        };
        let _ = time::timeout(left.min(LOOK_AGAIN), notify.notified()).await;
    }

    /// Wakes the fetches that wait for a face.
    pub(super) fn wake(&self, face: &Face) {
        if let Some(notify) = lock(&self.0).remove(face) {
            // A fetch that is only about to wait gets one of these, too.
            notify.notify_waiters();
            notify.notify_one();
        }
    }

    /// Whether a fetch waits.
    pub(super) fn are_there(&self) -> bool {
        let waiters = lock(&self.0);
        waiters.values().any(|notify| Arc::strong_count(notify) > 1)
    }
}
