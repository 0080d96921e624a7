//! The reasons why a server could not start.

use std::io;

use crate::{
    fleet::FleetError,
    server::{Address, BadCertificate},
    store::OpenError,
};

/// The reason why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cache directory cannot be used.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// This replica cannot be a member of the fleet.
    #[error("{0}")]
    Fleet(#[from] FleetError),
    /// The certificate cannot be used.
    #[error("{0}")]
    Certificate(#[from] BadCertificate),
    /// The service manager has opened the public listener on an address that other machines can reach.
    #[error(
        "access.mode = \"open\" would show every face to every client that can reach the inherited socket {0}; write signed, or set access.allow_public = true if that is what you want"
    )]
    PublicSocket(Address),
    /// The service manager has opened the admin listener on an address that other machines can reach.
    #[error("the inherited admin socket {0} can be reached from other machines; set admin.token")]
    AdminSocket(Address),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key}): {error}; {remedy}")]
    Listen {
        /// The address.
        address: Address,
        /// The key that set it.
        key: &'static str,
        /// The system's error.
        error: io::Error,
        /// The remedy.
        remedy: &'static str,
    },
}
