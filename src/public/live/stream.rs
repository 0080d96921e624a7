//! The task of one client that listens.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Uri};
use tokio::{
    sync::{mpsc, watch},
    time,
};

use super::{event, listeners::Place, rules::Rules};
use crate::{
    clock::Timestamp,
    pipeline::{ChangeFeed, FaceEvent, Faces},
    telemetry::Limit,
};

/// One client that listens.
#[derive(Debug)]
pub(super) struct Listener {
    /// Its request, by which a reload checks its access again.
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    /// When its access ends.
    pub(super) until: Timestamp,
    pub(super) feed: ChangeFeed,
    pub(super) faces: Faces,
    pub(super) rules: watch::Receiver<Arc<Rules>>,
    pub(super) heartbeat: Duration,
    /// The longest time in which it may read nothing.
    pub(super) send_timeout: Duration,
    pub(super) parts: mpsc::Sender<Bytes>,
    pub(super) place: Place,
}

impl Listener {
    /// Sends events until the client leaves, its access ends, or the server shuts down.
    pub(super) async fn run(mut self) {
        let shutdown = self.faces.shutdown().clone();
        shutdown.run_until_cancelled(self.serve()).await;
        // So a client that connects again at once finds its place free.
        drop(self.place);
        drop(self.parts);
    }

    async fn serve(&mut self) {
        let ready = event::ready(self.feed.last(), self.feed.instance().name());
        let mut goes_on = self.send(ready).await;
        while goes_on {
            goes_on = tokio::select! {
                () = self.parts.closed() => false,
                Ok(()) = self.rules.changed() => self.follow_rules(),
                event = self.feed.next() => self.send_event(&event).await,
                () = self.faces.clock().sleep(self.heartbeat) => self.send(event::HEARTBEAT).await,
                () = self.faces.clock().sleep_until(self.until) => false,
            };
        }
    }

    /// Follows a reload. Returns whether the client may still listen.
    fn follow_rules(&mut self) -> bool {
        let rules = self.rules.borrow_and_update().clone();
        let (uri, headers) = (&self.uri, &self.headers);
        let until = rules.allow_again(uri, headers, &mut self.feed, &self.faces);
        let Some(until) = until else {
            return false;
        };
        self.until = until;
        self.heartbeat = rules.settings.heartbeat;
        true
    }

    async fn send_event(&self, event: &FaceEvent) -> bool {
        if matches!(event, FaceEvent::Missed) {
            Limit::LiveHistory.report();
        }
        self.send(event::of(self.feed.last(), event)).await
    }

    /// Sends a part. Returns whether the client takes it.
    async fn send(&self, part: Bytes) -> bool {
        match time::timeout(self.send_timeout, self.parts.send(part)).await {
            Ok(sent) => sent.is_ok(),
            Err(_elapsed) => {
                Limit::SendTimeout.report();
                false
            }
        }
    }
}
