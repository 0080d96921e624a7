//! The state that both listeners share: one WhatsApp, one set of rules, one log of calls.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    art::{Photo, PhotoCache, Portrait},
    call_log::CallLog,
    faults::{Effect, Faults},
    links::{Recipient, Signer},
    options::Options,
    population::{Kind, Picture},
    vendor_cache::VendorCache,
    webhooks::Webhooks,
    whatsapp::WhatsApp,
};
use crate::clock::{Clock, Timestamp};

/// The state of the emulator.
pub(super) struct State {
    pub(super) token: String,
    pub(super) link_life: Duration,
    pub(super) clock: Clock,
    pub(super) whatsapp: WhatsApp,
    pub(super) photos: PhotoCache,
    pub(super) signer: Signer,
    pub(super) vendor_cache: VendorCache,
    pub(super) faults: Faults,
    pub(super) call_log: CallLog,
    pub(super) webhooks: Webhooks,
    /// Ends both listeners, and calls that hang.
    pub(super) shutdown: CancellationToken,
}

// === impl State ===

impl State {
    /// The initial state, with the CDN at `cdn`.
    pub(super) fn new(
        options: Options,
        cdn: SocketAddr,
        webhooks: Webhooks,
        shutdown: CancellationToken,
    ) -> Self {
        let authority = match options.cdn_authority {
            Some(authority) if authority.contains(':') => authority,
            Some(host) => format!("{host}:{}", cdn.port()),
            None => reachable(cdn),
        };
        Self {
            token: options.token,
            link_life: options.link_life,
            clock: options.clock,
            whatsapp: WhatsApp::new(),
            photos: PhotoCache::shared(),
            signer: Signer::new(authority),
            vendor_cache: VendorCache::default(),
            faults: Faults::default(),
            call_log: CallLog::default(),
            webhooks,
            shutdown,
        }
    }

    /// A fresh link to the picture of `jid`, or why there is none.
    pub(super) fn link_of(&self, jid: &str, recipient: &Recipient) -> Result<String, Picture> {
        match self.whatsapp.picture(jid) {
            Picture::Face(number) => {
                let portrait = Kind::of(jid).portrait(number);
                let path = self.whatsapp.publish(portrait, Some(jid));
                Ok(self.fresh_link(&path, recipient))
            }
            reason => Err(reason),
        }
    }

    /// A link with its whole lifetime ahead.
    pub(super) fn fresh_link(&self, path: &str, recipient: &Recipient) -> String {
        let expiry = self.clock.now() + self.link_life;
        self.signer.link(path, expiry, recipient)
    }

    /// A link that expired a minute ago.
    pub(super) fn expired_link(&self, path: &str, recipient: &Recipient) -> String {
        const AGO: Duration = Duration::from_secs(60);
        let expiry: Timestamp = self.clock.now() - AGO;
        self.signer.link(path, expiry, recipient)
    }

    /// Waits for the delay of `effect`, or until the emulator stops.
    pub(super) async fn delay(&self, effect: &Effect) {
        if effect.delay > Duration::ZERO {
            // In real time, also if the clock is a manual one.
            let _ = time::timeout(effect.delay, self.shutdown.cancelled()).await;
        }
    }

    /// Waits until the emulator stops.
    pub(super) async fn hang(&self) {
        self.shutdown.cancelled().await;
    }

    /// The file of `portrait`.
    pub(super) async fn photo(&self, portrait: Portrait) -> Photo {
        self.photos.get(portrait).await
    }

    /// The file that the CDN serves for `jid` now.
    pub(super) fn face_bytes(&self, jid: &str) -> Option<Bytes> {
        let portrait = self.whatsapp.portrait(jid)?;
        Some(self.photos.get_blocking(portrait).bytes)
    }
}

/// The address under which a client on this machine reaches a listener on all addresses.
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
    fn links_to_the_cdn_name_an_address_that_can_be_called() {
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
