//! The text of server-sent events, and the name of the last one that a client has.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde::Serialize;

use crate::{
    avatar::{Outcome, Subject},
    pipeline::{Appearance, ChangeId, FaceEvent},
    public::route::LiveUrl,
    representation,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The shortest time after which a browser connects again. Each waits up to twice as long, so that not all connect at
/// once.
const RETRY: Duration = Duration::from_secs(2);

/// The comment that is sent when there is no event.
pub(super) const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// A face that shows something else than before: the `data` of an event `face`.
#[derive(Serialize)]
struct Change<'a> {
    /// The canonical JID, or `me`.
    jid: &'a str,
    /// Other JIDs of the same person, and `me` for the account's own.
    also: Vec<&'a str>,
    /// `picture`, or `fallback` for a placeholder.
    source: &'static str,
    /// `picture`, or why there is none, as in `X-Faceplate-Reason`.
    reason: &'static str,
    /// The `ETag` of the original picture; null without one.
    etag: Option<String>,
}

/// The first event of a stream.
#[derive(Serialize)]
struct Ready<'a> {
    instance: &'a str,
}

/// The last event that the client has: as a browser says when it connects again, or as the URL says.
pub(super) fn last_id(headers: &HeaderMap, url: &LiveUrl<'_>) -> Option<ChangeId> {
    let header = headers.get(LAST_EVENT_ID);
    let header = header.and_then(|value| value.to_str().ok());
    header.or(url.last_event_id.as_deref())?.parse().ok()
}

/// The event that begins a stream.
pub(super) fn ready(id: ChangeId, instance: &str) -> Bytes {
    let spread = getrandom::u32().unwrap_or_default() % 1000;
    let retry = RETRY.as_millis() as u32 * (1000 + spread) / 1000;
    let event = text(id, "ready", &Ready { instance });
    format!("retry: {retry}\n{event}").into()
}

/// A change of a face, or that some were missed.
pub(super) fn of(id: ChangeId, event: &FaceEvent) -> Bytes {
    let FaceEvent::Changed {
        subject,
        others,
        appearance,
    } = event
    else {
        return text(id, "resync", &serde_json::Map::new()).into();
    };
    let (source, reason, etag) = match appearance {
        Appearance::Picture(digest) => {
            let etag = representation::etag(digest);
            ("picture", Outcome::Picture.as_str(), Some(etag.to_string()))
        }
        Appearance::Nothing(empty) => ("fallback", empty.as_str(), None),
        Appearance::NotKnown => ("fallback", representation::DEFERRED, None),
    };
    let change = Change {
        jid: subject.as_str(),
        also: others.iter().map(Subject::as_str).collect(),
        source,
        reason,
        etag,
    };
    text(id, "face", &change).into()
}

fn text(id: ChangeId, event: &str, data: &impl Serialize) -> String {
    // Records of strings cannot fail to serialize, and JSON has no line breaks.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("id: {id}\nevent: {event}\ndata: {data}\n\n")
}
