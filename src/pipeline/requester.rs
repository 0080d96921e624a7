//! The request that a face is looked up for, as its fetch needs it.

use std::net::IpAddr;

use arrayvec::ArrayString;

/// The request that a face is looked up for.
#[derive(Clone, Copy, Debug)]
pub struct Requester {
    /// The address that the client's limits are kept under; `None` for clients without limits.
    pub client: Option<IpAddr>,
    /// The request's name in the log.
    pub request: ArrayString<64>,
}

impl Requester {
    /// The operator, on whose listener requests have no names.
    pub fn operator() -> Self {
        Self::named("operator")
    }

    /// Work of the server itself, by its name in the log.
    pub(super) fn named(name: &str) -> Self {
        Self {
            client: None,
            request: ArrayString::from(name).unwrap_or_default(),
        }
    }
}
