//! The HTTP protocol, without a face in it: problems, preconditions, ranges, client addresses, signed
//! URLs, and the line of the access log.

pub(crate) mod access_log;
mod client_ip;
pub(crate) mod conditional;
pub(crate) mod problem;
pub(crate) mod range;
pub(crate) mod signed_url;

use bytes::Bytes;
use http_body_util::Full;

pub use client_ip::{Clients, Proxies, Via};
pub use signed_url::{Scope, SigningKey, Ticket};

/// Every answer is whole before it is sent.
pub type Body = Full<Bytes>;
