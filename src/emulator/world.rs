//! What the two listeners share: one WhatsApp, one set of rules, one count.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    Options,
    calls::Counter,
    faults::{Faults, Strike},
    links::{Issue, Signer},
    network::Network,
    photo::{Album, Photo},
    portrait::Portrait,
    vendor_cache::VendorCache,
};
use crate::clock::{Clock, Timestamp};

/// Everything that outlives a request.
pub(super) struct World {
    pub(super) token: String,
    pub(super) link_life: Duration,
    pub(super) clock: Clock,
    pub(super) network: Network,
    pub(super) album: Album,
    pub(super) signer: Signer,
    pub(super) vendor_cache: VendorCache,
    pub(super) faults: Faults,
    pub(super) counter: Counter,
    /// Ends both listeners, and with them the calls that hang.
    pub(super) shutdown: CancellationToken,
}

// === impl World ===

impl World {
    /// A world in which nothing was asked yet, with its CDN at `cdn`.
    pub(super) fn new(options: Options, cdn: SocketAddr, shutdown: CancellationToken) -> Self {
        let authority = match options.cdn_authority {
            Some(authority) if authority.contains(':') => authority,
            Some(host) => format!("{host}:{}", cdn.port()),
            None => reachable(cdn),
        };
        Self {
            token: options.token,
            link_life: options.link_life,
            clock: options.clock,
            network: Network::new(),
            album: Album::new(),
            signer: Signer::new(authority),
            vendor_cache: VendorCache::default(),
            faults: Faults::default(),
            counter: Counter::default(),
            shutdown,
        }
    }

    /// A link that was made just now.
    pub(super) fn fresh_link(&self, path: &str, issue: &Issue) -> String {
        let expiry = self.clock.now() + self.link_life;
        self.signer.link(path, expiry, issue)
    }

    /// A link whose time was over a minute ago.
    pub(super) fn stale_link(&self, path: &str, issue: &Issue) -> String {
        const AGO: Duration = Duration::from_secs(60);
        let expiry: Timestamp = self.clock.now() - AGO;
        self.signer.link(path, expiry, issue)
    }

    /// Waits as long as `strike` says, or until the emulator ends.
    pub(super) async fn delay(&self, strike: &Strike) {
        if strike.delay > Duration::ZERO {
            // The caller waits in real time, whatever the injected clock says.
            let _ = time::timeout(strike.delay, self.shutdown.cancelled()).await;
        }
    }

    /// Never returns while the emulator runs.
    pub(super) async fn hang(&self) {
        self.shutdown.cancelled().await;
    }

    /// The photo of `portrait`.
    pub(super) async fn photo(&self, portrait: Portrait) -> Photo {
        self.album.develop(portrait).await
    }

    /// What the CDN serves for `jid` now.
    pub(super) fn face_bytes(&self, jid: &str) -> Option<Bytes> {
        let portrait = self.network.portrait(jid)?;
        Some(self.album.photo(portrait).bytes)
    }
}

/// Where a client on this machine reaches a listener: nobody can call the address that means "all".
fn reachable(mut listener: SocketAddr) -> String {
    if listener.ip().is_unspecified() {
        listener.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    listener.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_an_address_that_can_be_called() {
        for (listener, authority) in [
            ("127.0.0.1:81", "127.0.0.1:81"),
            ("0.0.0.0:81", "127.0.0.1:81"),
            ("[::]:81", "127.0.0.1:81"),
            ("[::1]:81", "[::1]:81"),
        ] {
            assert_eq!(reachable(listener.parse().unwrap()), authority);
        }
    }
}
