//! `Cache-Status` (RFC 9211), and the reason why an image is not a fresh picture. All parameters are tokens
//! and integers, so writing them needs no library for structured fields.

use std::time::Duration;

use arrayvec::ArrayString;

use crate::{
    avatar::{Forward, Outcome},
    clock::Timestamp,
    pipeline::ServedFace,
};

/// The reason while a fetch goes on.
pub(crate) const DEFERRED: &str = "deferred";

/// The value of `Cache-Status`.
pub(super) fn cache_status(face: &ServedFace, ttl: Duration, now: Timestamp) -> ArrayString<160> {
    // The longest value has about a hundred bytes.
    let mut text = ArrayString::new();
    text.push_str("faceplate");
    match face.forward {
        None => text.push_str("; hit"),
        Some(Forward::UriMiss) => text.push_str("; fwd=uri-miss"),
        Some(Forward::Stale) => text.push_str("; fwd=stale"),
        Some(Forward::Request) => text.push_str("; fwd=request"),
    }
    if let Some(fetch) = &face.fetch {
        if let Some(status) = fetch.status {
            text.push_str("; fwd-status=");
            text.push_str(itoa::Buffer::new().format(status));
        }
        if fetch.stored {
            text.push_str("; stored");
        }
    }
    if face.collapsed {
        text.push_str("; collapsed");
    }
    if let Some(seconds) = seconds_left(face, ttl, now) {
        text.push_str("; ttl=");
        text.push_str(itoa::Buffer::new().format(seconds));
    }
    if let Some(detail) = detail(face) {
        text.push_str("; detail=");
        text.push_str(detail);
    }
    text
}

/// The reason for a placeholder, or for a picture that is older than `ttl`.
pub(super) fn reason(face: &ServedFace, ttl: Duration, now: Timestamp) -> Option<&'static str> {
    let is_fresh = face.picture().is_some_and(|stored| stored.age(now) < ttl);
    if is_fresh {
        return None;
    }
    Some(match face.outcome() {
        Some(outcome) => outcome.as_str(),
        None => DEFERRED,
    })
}

/// Seconds of freshness left; negative for a stale picture (RFC 9211 §2.4).
fn seconds_left(face: &ServedFace, ttl: Duration, now: Timestamp) -> Option<i64> {
    match face.picture() {
        Some(stored) => {
            let age = stored.age(now).as_secs() as i64;
            Some(ttl.as_secs() as i64 - age)
        }
        None if face.forward.is_none() => {
            let left = face.retry_at()?.since(now);
            Some(left.as_secs() as i64)
        }
        None => None,
    }
}

fn detail(face: &ServedFace) -> Option<&'static str> {
    if face.is_deferred() {
        return Some(DEFERRED);
    }
    if face.revalidating {
        return Some("revalidating");
    }
    face.outcome()
        .filter(|outcome| *outcome != Outcome::Picture)
        .map(Outcome::as_str)
}
