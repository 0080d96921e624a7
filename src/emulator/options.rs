//! The emulator's settings.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{clock::Clock, server::Address};

/// The settings of an emulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// The vendors' API listens here; a TCP address.
    pub api: Address,
    /// The CDN listens here; a TCP address.
    pub cdn: Address,
    /// Host and port in the links, for clients that reach the CDN by another name than it listens on.
    /// Loopback if it listens on all addresses; without a port, the one it listens on.
    pub cdn_authority: Option<String>,
    /// The credential that every vendor accepts for every account.
    pub token: String,
    /// The lifetime of a link.
    pub link_life: Duration,
    /// The clock of links and the vendors' caches. Latencies pass in real time.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let any_port = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self {
            api: any_port.clone(),
            cdn: any_port,
            cdn_authority: None,
            token: "emulator-token".to_owned(),
            link_life: 2 * DAY,
            clock: Clock::system(),
        }
    }
}
