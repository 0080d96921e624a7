//! Applies a webhook event of a gateway to the faces that it names. No event causes a call to the vendor.
//!
//! * The picture has changed: the entry is marked outdated, and the next request for it asks the vendor, past the
//!   vendor's own cache.
//! * There is a fresh link: the picture behind it is downloaded in the background, through the same guard as any
//!   other and also if the link is unchanged. Such a face costs no call. If the download fails, the entry is
//!   marked outdated.
//! * A LID and a number are one person: their faces become one.
//! * The picture may have changed: an entry whose last answer is old becomes stale, so the next request refreshes it.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::{
    Faces, Instance, PurgeMode, PurgeScope,
    fetch::{Cause, Fetch, Retrieval},
    fetch_error::FetchError,
    single_flight::Flight,
    target::Target,
};
use crate::{
    avatar::{Answer, Ask, Key, Subject},
    clock::Timestamp,
    telemetry::{ContactResult, EventReading, Limit},
    upstream::{Event, EventError, EventFace, Link, VendorAnswer},
};

/// The number of an event's faces by the effect on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct EventCounts {
    /// Faces that the next request asks the vendor for.
    pub marked: usize,
    /// Faces whose pictures are being downloaded.
    pub downloads: usize,
    /// Faces whose link leads to a host that is not in `picture_hosts`. The next request asks the vendor for them.
    pub blocked: usize,
    /// Faces that are not in the cache, are fresh enough, or cannot be asked for.
    pub ignored: usize,
}

/// One download.
struct EventDownload {
    faces: Faces,
    instance: Arc<Instance>,
    subject: Subject,
    link: String,
    /// When the event came.
    at: Timestamp,
    _waiting: OwnedSemaphorePermit,
}

/// The effect of an event on one face.
enum FaceEffect {
    Marked,
    Downloading,
    Blocked,
    Ignored,
}

impl Faces {
    /// Takes what an event of the vendor of `instance` says.
    pub async fn take_event(&self, instance: &Arc<Instance>, event: Event) -> EventCounts {
        for (lid, number) in event.same {
            self.note_number(instance, lid, Some(number)).await;
        }
        let mut counts = EventCounts::default();
        for face in event.faces {
            match self.take_face(instance, face).await {
                FaceEffect::Marked => counts.marked += 1,
                FaceEffect::Downloading => counts.downloads += 1,
                FaceEffect::Blocked => counts.blocked += 1,
                FaceEffect::Ignored => counts.ignored += 1,
            }
        }
        self.record_event(counts)
    }

    /// Records how the description of a gateway reads an event. One of no kind that it has is logged by the names and types
    /// of its members, once an hour for each instance. That is no trouble: most gateways send events about other things.
    pub fn record_reading(
        &self,
        provider: &Arc<str>,
        instance: Option<&Instance>,
        event: &Result<Event, EventError>,
    ) {
        let reading = match event {
            Ok(event) if event.unknown.is_some() => EventReading::Unknown,
            Ok(event) if event.faces.is_empty() => EventReading::NoContact,
            Ok(_) => EventReading::Known,
            Err(_) => EventReading::Malformed,
        };
        self.shared.metrics.hooks().record_event(provider, reading);
        if let (Ok(event), Some(instance)) = (event, instance)
            && let Some(members) = &event.unknown
            && instance.may_log_unknown_event(self.now())
        {
            tracing::info!(
                instance = %instance.name(),
                %provider,
                members,
                "a webhook event is of no kind that the description of its gateway has, and is ignored"
            );
        }
    }

    /// Ignores an event about this many faces, of an account that no instance has.
    pub fn ignore_event(&self, faces: usize) -> EventCounts {
        self.record_event(EventCounts {
            ignored: faces,
            ..EventCounts::default()
        })
    }

    fn record_event(&self, counts: EventCounts) -> EventCounts {
        // A download is recorded when it ends.
        let metrics = self.shared.metrics.hooks();
        metrics.record_contacts(ContactResult::Marked, counts.marked);
        metrics.record_contacts(ContactResult::Blocked, counts.blocked);
        metrics.record_contacts(ContactResult::Ignored, counts.ignored);
        counts
    }

    async fn take_face(&self, instance: &Arc<Instance>, face: EventFace) -> FaceEffect {
        let subject = Subject::Chat(face.jid);
        if let Some(text) = face.link
            && let Ok(link) = Link::parse(&text)
        {
            let Some(key) = askable(instance, subject) else {
                return FaceEffect::Ignored;
            };
            if let Err(refusal) = instance.client.check(&link) {
                self.shared.metrics.record_blocked();
                self.leave_outdated(instance, subject, &refusal.to_string())
                    .await;
                return FaceEffect::Blocked;
            }
            let now = self.now();
            if !instance.event_downloads.is_new(key, link.picture_id(), now) {
                return FaceEffect::Ignored;
            }
            match instance.event_downloads.waiting.clone().try_acquire_owned() {
                Ok(waiting) => {
                    let download = EventDownload {
                        faces: self.clone(),
                        instance: instance.clone(),
                        subject,
                        link: text,
                        at: now,
                        _waiting: waiting,
                    };
                    self.shared.event_tasks.spawn(download.run());
                    return FaceEffect::Downloading;
                }
                Err(_) => Limit::EventDownloads.report(),
            }
        }
        let mode = match face.is_hint {
            true => PurgeMode::Older(self.shared.settings.hint_after),
            false => PurgeMode::Changed,
        };
        match self.mark(instance, subject, mode).await {
            true => FaceEffect::Marked,
            false => FaceEffect::Ignored,
        }
    }

    /// Marks a face as outdated whose picture could not be downloaded.
    async fn leave_outdated(&self, instance: &Instance, subject: Subject, detail: &str) {
        tracing::info!(
            instance = %instance.name(),
            detail,
            "the picture behind the link of an event was not downloaded; the next request for it asks the vendor"
        );
        self.mark(instance, subject, PurgeMode::Changed).await;
    }

    async fn mark(&self, instance: &Instance, subject: Subject, mode: PurgeMode) -> bool {
        let counts = self.purge(PurgeScope::Face(instance, subject), mode).await;
        counts.is_ok_and(|counts| counts.done > 0)
    }
}

/// The key of a face, if requests can ask for it.
fn askable(instance: &Arc<Instance>, subject: Subject) -> Option<Key> {
    let target = Target::new(instance, subject).ok()?;
    instance.call(target.subject, false).ok()?;
    Some(target.key)
}

impl EventDownload {
    async fn run(self) {
        // The semaphore is never closed.
        let _running = self.instance.event_downloads.running.acquire().await;
        let Ok(target) = Target::new(&self.instance, self.subject) else {
            return;
        };
        let shared = &self.faces.shared;
        let before = shared.store.look_up(&target.key).await;
        let flight = Flight::default();
        let fetch = Fetch::new(shared.clone(), &target, Ask::View, Cause::Outside, flight);
        let before = fetch.adopt_other_names(before).await;
        let now = self.faces.now();
        let forgotten = before.entry().is_some_and(|entry| entry.is_forgotten(now));
        if forgotten || fetch.earlier_tombstone(&before).await.is_some() {
            return shared
                .metrics
                .hooks()
                .record_contacts(ContactResult::Ignored, 1);
        }
        let answer = VendorAnswer::Link(self.link.clone());
        let metrics = shared.metrics.hooks();
        let error = match fetch.retrieve(answer, None).await {
            Ok(Retrieval::Answer(answer @ Answer::Picture(..))) => {
                metrics.record_contacts(ContactResult::Downloaded, 1);
                fetch.settle(before, self.at, Ok(answer)).await;
                return;
            }
            // The link is the gateway's default picture.
            Ok(Retrieval::Answer(_)) => return metrics.record_contacts(ContactResult::Ignored, 1),
            Ok(Retrieval::LinkGone) => FetchError::vendor_error("the link has expired or is gone"),
            Err(error) => error,
        };
        let result = match error.is_blocked {
            true => ContactResult::Blocked,
            false => ContactResult::Failed,
        };
        metrics.record_contacts(result, 1);
        let faces = &self.faces;
        faces
            .leave_outdated(&self.instance, self.subject, &error.detail)
            .await;
    }
}
