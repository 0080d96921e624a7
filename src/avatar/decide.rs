//! Given what is known of a face and what is asked: serve, refresh, or wait.
//!
//! The order of the questions is the specification:
//! 1. The face was forgotten on demand: serve what there is, which is nothing.
//! 2. A fresh look was asked for: ask the vendor.
//! 3. Nothing is known: ask the vendor.
//! 4. The picture is fresh: serve it, and ask nobody.
//! 5. The last answer says not to ask yet: serve what there is.
//! 6. There is a stale picture, not too old: serve it, and ask behind the scenes.
//! 7. Else: ask, and wait for the answer.

use super::{Entry, Policy};
use crate::clock::Timestamp;

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// The face, as the cache knows it.
    View,
    /// The face, asked anew (`refresh=true`).
    Refresh,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Serve what there is, and ask nobody.
    Serve,
    /// Serve what there is at once, and ask behind the scenes.
    ServeAndRefresh,
    /// Ask, and wait for the answer up to the first-paint deadline.
    Wait(Forward),
}

/// Why the vendor is asked: the `fwd` values of RFC 9211 that apply here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Nothing is known of the face (`uri-miss`).
    UriMiss,
    /// What is known is too old (`stale`).
    Stale,
    /// The request wants a fresh look (`request`).
    Request,
}

/// Decides what to do for `ask`, given the entry and the time.
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
    if age.is_some_and(|age| age < policy.ttl) || now < entry.last.retry_at {
        return Plan::Serve;
    }
    match age {
        Some(age) if age < policy.ttl.saturating_add(policy.stale_while_revalidate) => {
            Plan::ServeAndRefresh
        }
        _ => Plan::Wait(Forward::Stale),
    }
}
