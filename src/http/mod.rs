//! The protocol kernel: the parts of HTTP that have nothing to do with faces. Problems, plain responses,
//! preconditions, ranges, `Accept`, queries, client addresses, credentials, signed URLs, access log.
//!
//! # Files
//!
//! * `problem`: RFC 9457 problems, the form of every error response
//! * `respond`: pages, documents and JSON that no cache may store
//! * `read_body`: reads the body of a request within bounds
//! * `query`: queries and path segments, decoded
//! * `host`: the host that a request is for
//! * `credentials`: tokens, and the checks against other sites' pages
//! * `signed_url`: signs and verifies URLs
//! * `client_ip`: the client's address and its rate limit
//! * `accept`: the weights in `Accept`
//! * `gzip`: compresses replies for clients that accept it
//! * `conditional`: `If-None-Match` and its relatives
//! * `range`: `Range`
//! * `openapi`: the parts of OpenAPI documents that all services share
//! * `access_log`: the log line of one request

pub(crate) mod accept;
pub(crate) mod access_log;
mod client_ip;
pub(crate) mod conditional;
pub(crate) mod credentials;
pub(crate) mod gzip;
pub(crate) mod host;
pub(crate) mod openapi;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod range;
mod read_body;
pub(crate) mod respond;
mod signed_url;

use http::{HeaderMap, HeaderName, Method, header};

pub(crate) use client_ip::RateExceeded;
pub use client_ip::{ClientHeader, Clients, Proxies};
pub(crate) use read_body::{BodyError, BoxError, collect};
pub use signed_url::{Scope, SigningKey, Ticket};

/// The body of a response.
pub type Body = crate::server::ReplyBody;

/// `Cache-Status` (RFC 9211).
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Whether a request's body is a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE);
    let media = media.and_then(|media| media.to_str().ok());
    media.is_some_and(|media| {
        let media = media.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// Whether a method only reads (RFC 9110 §9.2.1).
pub(crate) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
