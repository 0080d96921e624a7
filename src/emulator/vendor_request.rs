//! A call to a vendor's API, as written.

use super::{
    jid,
    vocabulary::{Endpoint, Vendor},
};

/// A call to a vendor's API, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VendorRequest {
    pub(super) vendor: Vendor,
    pub(super) endpoint: Endpoint,
    /// The account; empty if it is missing.
    pub(super) account: String,
    /// The id in question, exactly as the caller wrote it.
    pub(super) id: Option<String>,
    pub(super) refresh: bool,
    pub(super) token: Option<String>,
    /// The number of rows, and the number of rows to skip.
    pub(super) page: (usize, usize),
    /// The row that the page begins behind.
    pub(super) after: Option<String>,
}

impl VendorRequest {
    pub(super) fn new(vendor: Vendor, endpoint: Endpoint) -> Self {
        Self {
            vendor,
            endpoint,
            account: String::new(),
            id: None,
            refresh: false,
            token: None,
            page: (usize::MAX, 0),
            after: None,
        }
    }

    /// The canonical JID in question, if it is one.
    pub(super) fn jid(&self) -> Option<String> {
        self.id.as_deref().and_then(jid::canonicalize)
    }
}
