//! The settings of `/live`.

use std::time::Duration;

/// The settings of `/live`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveSettings {
    /// Whether clients may listen at all.
    pub enabled: bool,
    /// The most clients that listen at once.
    pub max_clients: usize,
    /// The most of them that have one address.
    pub max_per_address: usize,
    /// The time after which a client without an event is sent a comment, so that proxies keep the connection.
    pub heartbeat: Duration,
}
