//! How long each kind of answer is valid, and when a picture is given up.

use std::time::Duration;

/// The rules of [`decide`](super::decide) and [`absorb`](super::absorb).
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How long a confirmed picture is fresh.
    pub ttl: Duration,
    /// How long after `ttl` a picture is served at once and refreshed in the background (RFC 5861, section
    /// 3). After that, requests wait for the refresh.
    pub stale_while_revalidate: Duration,
    /// How many empty answers, a TTL apart, confirm that a picture is gone.
    pub confirmations: u32,
    /// The fate of the picture then.
    pub on_hidden: OnHidden,
    /// How long a face that was forgotten on demand is not fetched.
    pub forget_for: Duration,
    /// How long an answer without a picture is valid.
    pub negative: NegativeTtls,
}

/// The fate of a picture that is confirmed to be hidden or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHidden {
    /// It is still served, marked as stale.
    Keep,
    /// It is dropped, and the placeholder is served.
    Drop,
}

/// How long to wait before the next attempt, by outcome (negative caching).
#[derive(Clone, Debug, PartialEq)]
pub struct NegativeTtls {
    /// After `not_set`, `hidden` and `unknown`.
    pub empty: Duration,
    /// After `not_found`.
    pub not_found: Duration,
    /// After `session_down`.
    pub session_down: Duration,
    /// After `auth`, which only the operator can change.
    pub auth: Duration,
    /// After the first `vendor_error`; doubles with every further one in a row.
    pub error_first: Duration,
    /// The longest wait after a `vendor_error`.
    pub error_longest: Duration,
    /// After `rate_limited`, if the vendor named no time.
    pub rate_limited: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ttl: hours(24),
            stale_while_revalidate: hours(7 * 24),
            confirmations: 3,
            on_hidden: OnHidden::Keep,
            forget_for: hours(30 * 24),
            negative: NegativeTtls::default(),
        }
    }
}

impl Default for NegativeTtls {
    fn default() -> Self {
        Self {
            empty: hours(6),
            not_found: hours(24),
            session_down: Duration::from_secs(60),
            auth: Duration::from_secs(60),
            error_first: Duration::from_secs(30),
            error_longest: Duration::from_secs(15 * 60),
            rate_limited: Duration::from_secs(5 * 60),
        }
    }
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}
