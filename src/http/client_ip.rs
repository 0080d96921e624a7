//! The client's address, and its rate limit. Behind a proxy every connection comes from the proxy; the
//! client's address is in a header, which is trusted only if the proxy is a configured one.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, StatusCode, header};
use ipnet::IpNet;

use super::problem::Problem;
use crate::{limits::ClientLimiter, server::Peer, telemetry::Limit};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Tells clients apart, and limits the rate of each.
#[derive(Debug)]
pub struct Clients {
    /// The proxies in front of this server.
    pub proxies: Proxies,
    /// The rate of each client.
    pub limiter: Arc<ClientLimiter>,
    /// Whether the access log names a client that is beyond its rate.
    pub are_limited_named: bool,
}

/// The proxies in front of this server, and the header in which they name their clients.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Their networks.
    pub networks: Vec<IpNet>,
    /// Whether connections through a Unix socket come from a proxy.
    pub unix: bool,
    /// The header that they write.
    pub header: ClientHeader,
}

/// The header in which a proxy names its client. The other one is ignored: a proxy passes on what a
/// client wrote there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientHeader {
    /// `X-Forwarded-For: client, proxy`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239)
    Forwarded,
}

/// The client has used up its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateExceeded {
    /// The time until its next request is accepted.
    pub(crate) wait: Duration,
    /// The client, if the log may name it.
    pub(crate) client: Option<IpAddr>,
}

impl Clients {
    /// Counts the request against the client's rate, and returns the address that all limits of the client
    /// are kept under. Requests of this machine, and of the proxies themselves, are not limited.
    pub(crate) fn admit(
        &self,
        peer: Peer,
        headers: &HeaderMap,
    ) -> Result<Option<IpAddr>, RateExceeded> {
        match self.proxies.client(peer, headers) {
            Some(client) if !client.is_loopback() => match self.limiter.take(client) {
                Ok(client) => Ok(Some(client)),
                Err(wait) => {
                    Limit::ClientRate.report();
                    let client = self.are_limited_named.then_some(client);
                    Err(RateExceeded { wait, client })
                }
            },
            _ => Ok(None),
        }
    }
}

impl From<RateExceeded> for Problem {
    fn from(RateExceeded { wait, .. }: RateExceeded) -> Self {
        let seconds = u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many requests from this client",
            "wait as long as Retry-After says; the operator can raise server.client_rate, and names the proxies behind which many clients are in server.trusted_proxies",
        )
        .with_header(header::RETRY_AFTER, seconds.to_string())
    }
}

impl Proxies {
    /// Whether the peer is a trusted proxy.
    pub(crate) fn contains(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(address) => self.contain(address),
            Peer::Local => self.unix,
        }
    }

    /// The client's address: the last one that is not a proxy's. `None` if it is not known.
    fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
        match peer {
            Peer::Ip(address) if !self.contain(address) => Some(address),
            Peer::Local if !self.unix => None,
            _ => self.named_client(headers),
        }
    }

    fn named_client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let (name, read): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ClientHeader::XForwardedFor => (X_FORWARDED_FOR, address),
            ClientHeader::Forwarded => (header::FORWARDED, forwarded_for),
        };
        // Each proxy appends the address of its client, so the last address is the most trustworthy.
        let mut lines: Vec<_> = headers.get_all(name).iter().collect();
        lines.reverse();
        for line in lines {
            for element in line.to_str().ok()?.rsplit(',') {
                // An unreadable address ends the search: the addresses before it may be forged.
                let address = read(element.trim())?;
                if !self.contain(address) {
                    return Some(address);
                }
            }
        }
        None
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// The `for` of one element of `Forwarded` (RFC 7239 §4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        if !name.eq_ignore_ascii_case("for") {
            return None;
        }
        address(value.trim_matches('"'))
    })
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let plain: Option<IpAddr> = bare.unwrap_or(text).parse().ok();
    let address = plain.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(header: ClientHeader, peer: &str, name: &str, lines: &[&str]) -> Option<String> {
        let proxies = Proxies {
            networks: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8:ffff::/48".parse().unwrap(),
            ],
            unix: false,
            header,
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, line.parse().unwrap());
        }
        let client = proxies.client(Peer::Ip(peer.parse().unwrap()), &headers);
        client.map(|client| client.to_string())
    }

    #[test]
    fn headers_of_unknown_peers_are_ignored() {
        for name in ["x-forwarded-for", "forwarded"] {
            let header = ClientHeader::XForwardedFor;
            let client_address = client(header, "192.0.2.7", name, &["for=198.51.100.1"]);
            assert_eq!(client_address.as_deref(), Some("192.0.2.7"));
        }
        // A proxy's client could have written the header that the proxy does not write.
        let client_address = client(
            ClientHeader::XForwardedFor,
            "10.0.0.1",
            "forwarded",
            &["for=192.0.2.1"],
        );
        assert_eq!(client_address, None);
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
        for (lines, expected) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["203.0.113.9, 192.0.2.1, 10.1.1.1"], Some("192.0.2.1")),
            (&["203.0.113.9", "192.0.2.1", "10.1.1.1"], Some("192.0.2.1")),
            (
                &["192.0.2.1:4711, [2001:db8:ffff::1]:80"],
                Some("192.0.2.1"),
            ),
            (&["2001:db8::17"], Some("2001:db8::17")),
            (&["::ffff:192.0.2.1"], Some("192.0.2.1")),
            (&["10.1.1.1, 10.1.1.2"], None),
            (&["192.0.2.1, unknown"], None),
            (&[], None),
        ] {
            let client_address = client(
                ClientHeader::XForwardedFor,
                "10.0.0.1",
                "x-forwarded-for",
                lines,
            );
            assert_eq!(client_address.as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_as_in_rfc_7239() {
        for (line, expected) in [
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                Some("192.0.2.60"),
            ),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                Some("2001:db8:cafe::17"),
            ),
            ("for=192.0.2.43, for=10.1.1.1", Some("192.0.2.43")),
            (
                "for=203.0.113.1, for=192.0.2.43;host=\"a\"",
                Some("192.0.2.43"),
            ),
            ("for=_hidden", None),
            ("proto=https", None),
        ] {
            let client_address = client(ClientHeader::Forwarded, "10.0.0.1", "forwarded", &[line]);
            assert_eq!(client_address.as_deref(), expected, "{line}");
        }
    }
}
