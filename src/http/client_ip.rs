//! Who asks, and whether too often. Behind a proxy every request comes from the proxy's address; the
//! client's is in a header, which is believed only if the proxy is one of ours: anybody can write it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::problem::Problem;
use crate::{limits::ClientLimiter, server::Peer};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What is known of clients.
#[derive(Debug)]
pub struct Clients {
    /// The proxies in front of us.
    pub proxies: Proxies,
    /// How often a client may ask.
    pub limiter: ClientLimiter,
}

/// The proxies in front of us, and how they name their clients.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Their networks.
    pub networks: Vec<IpNet>,
    /// Whether whoever comes through a Unix socket is one of them.
    pub unix: bool,
    /// The header that they write.
    pub header: Via,
}

/// The header in which a proxy names its client. The other one is not looked at: a proxy passes on
/// what a client wrote there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// `X-Forwarded-For: client, proxy`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239)
    Forwarded,
}

impl Clients {
    /// Refuses a client that asks too often. This machine and the proxies themselves are none.
    pub(crate) fn admit(&self, peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
        match self.proxies.client(peer, headers) {
            Some(client) if !client.is_loopback() => {
                self.limiter.take(client).map_err(Problem::TooMany)
            }
            _ => Ok(()),
        }
    }
}

impl Proxies {
    /// The client: the last address that is none of our proxies', if there is one.
    fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
        match peer {
            Peer::Ip(address) if !self.are_at(address) => Some(address),
            Peer::Local if !self.unix => None,
            _ => self.named(headers),
        }
    }

    fn named(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let (name, read): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            Via::XForwardedFor => (X_FORWARDED_FOR, address),
            Via::Forwarded => (header::FORWARDED, forwarded_for),
        };
        // Each proxy appends whom it was asked by, so the end is the newest and the most trusted.
        let mut lines: Vec<_> = headers.get_all(name).iter().collect();
        lines.reverse();
        for line in lines {
            for element in line.to_str().ok()?.rsplit(',') {
                // One that cannot be read hides the client; what stands before it may be a lie.
                let address = read(element.trim())?;
                if !self.are_at(address) {
                    return Some(address);
                }
            }
        }
        None
    }

    fn are_at(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

/// The `for` of one element of `Forwarded`.
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

    fn client(via: Via, peer: &str, name: &str, lines: &[&str]) -> Option<String> {
        let proxies = Proxies {
            networks: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8:ffff::/48".parse().unwrap(),
            ],
            unix: false,
            header: via,
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
    fn a_stranger_s_headers_are_not_believed() {
        for name in ["x-forwarded-for", "forwarded"] {
            let via = Via::XForwardedFor;
            let told = client(via, "192.0.2.7", name, &["for=198.51.100.1"]);
            assert_eq!(told.as_deref(), Some("192.0.2.7"));
        }
        // Nor is the header that our proxy does not write.
        let told = client(
            Via::XForwardedFor,
            "10.0.0.1",
            "forwarded",
            &["for=192.0.2.1"],
        );
        assert_eq!(told, None);
    }

    #[test]
    fn the_client_is_the_last_that_is_no_proxy_of_ours() {
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
            let told = client(Via::XForwardedFor, "10.0.0.1", "x-forwarded-for", lines);
            assert_eq!(told.as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
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
            let told = client(Via::Forwarded, "10.0.0.1", "forwarded", &[line]);
            assert_eq!(told.as_deref(), expected, "{line}");
        }
    }
}
