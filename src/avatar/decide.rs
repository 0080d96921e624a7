//! Decides how a request is answered, given the entry: serve, serve and refresh, or wait.
//!
//! The first condition that holds decides:
//! 1. The face was forgotten on demand: serve the tombstone.
//! 2. The request demands a refresh: wait for the vendor.
//! 3. There is no entry: wait for the vendor.
//! 4. The picture is fresh, or the time of the next attempt has not come: serve the entry, unless a wrong clock has dated
//!    it in the future.
//! 5. The picture is not too old: serve it and refresh it in the background.
//! 6. Otherwise: wait for the vendor.

use super::{Entry, Policy};
use crate::clock::Timestamp;

/// The kind of request for a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// The face as it is cached.
    View,
    /// The face as the vendor has it now (`refresh=true`).
    Refresh,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Serve the entry.
    Serve,
    /// Serve the entry at once, and refresh it in the background.
    ServeAndRefresh,
    /// Ask the vendor, and wait for the answer up to the first-paint deadline.
    Wait(Forward),
}

/// Why the vendor is asked: a value of the `fwd` parameter (RFC 9211, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// There is no entry (`uri-miss`).
    UriMiss,
    /// The entry is too old (`stale`).
    Stale,
    /// The request demands a refresh (`request`).
    Request,
}

/// How `ask` is answered, given the entry and the time.
pub fn decide(entry: Option<&Entry>, ask: Ask, now: Timestamp, policy: &Policy) -> Plan {
    if entry.is_some_and(|entry| entry.is_forgotten(now)) {
        return Plan::Serve;
    }
    if ask == Ask::Refresh {
        return Plan::Wait(Forward::Request);
    }
    let Some(entry) = entry else {
        return Plan::Wait(Forward::UriMiss);
    };
    let age = entry.picture.as_ref().map(|stored| stored.age(now));
    let is_fresh = age.is_some_and(|age| age < policy.ttl);
    if !entry.is_from_the_future(now) && (is_fresh || now < entry.last.retry_at) {
        return Plan::Serve;
    }
    match age {
        Some(age) if age < policy.ttl.saturating_add(policy.stale_while_revalidate) => {
            Plan::ServeAndRefresh
        }
        _ => Plan::Wait(Forward::Stale),
    }
}
