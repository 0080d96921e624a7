//! Why a request to a vendor or a CDN has no answer.

use std::time::Duration;

use http::StatusCode;

use super::{guard::GuardError, link::BadLink};

/// A request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The guard refused a host or an address. The host is as [`shown_host`](super::Link::shown_host) shows it.
    #[error("blocked: {0}: {1}")]
    Forbidden(GuardError, String),
    /// The link is malformed.
    #[error("{0}")]
    BadLink(#[from] BadLink),
    /// The time limit is over.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The body is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection could not be made, or ended before the body did.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// A kept connection ended before the answer began: the server closed it just then.
    #[error("the kept connection was closed before an answer")]
    KeptConnectionClosed,
    /// The body has a content coding that was not asked for and is not understood.
    #[error("the answer has a content coding that was not asked for; only gzip is understood")]
    Coding,
    /// The body is not the gzip that its header says.
    #[error("the answer's gzip is damaged or cut off")]
    Gzip,
    /// The CDN answered with a status that is neither a picture, a redirect nor a dead link.
    #[error("the CDN answered {0}")]
    Status(StatusCode),
    /// The bodies that arrive at all clients leave no memory for this one.
    #[error("the answers that are arriving leave no memory for this one (server.in_flight)")]
    NoSpace,
    /// More redirects than allowed, or a redirect without `Location`.
    #[error("too many redirects, or a redirect without a target")]
    Redirects,
}
