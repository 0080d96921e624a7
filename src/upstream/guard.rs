//! Which hosts a picture link may name, and which addresses may be dialled. Asked for every link
//! and every redirect, and then again for the very address that a connection is made to.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;

use super::Link;

/// One instance's rules for what it may reach.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Hosts that picture links may point to.
    pub picture_hosts: Vec<HostPattern>,
    /// Networks that may be reached although private; plain HTTP is allowed there.
    pub allow_private: Vec<IpNet>,
}

/// `pps.whatsapp.net`, `*.whatsapp.net` (any depth), or either with a `:port` other than 443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: String,
    with_subdomains: bool,
    port: u16,
}

/// Why something was not reached. Names no host and no address: a link is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The link's host is not in `picture_hosts`.
    #[error("the picture link's host is not among picture_hosts")]
    Host,
    /// The name leads to an address that is private, reserved or special.
    #[error("the host has a private or reserved address, which is not in allow_private")]
    Address,
    /// Plain HTTP to somewhere that is not in `allow_private`.
    #[error("plain http is only allowed to networks in allow_private; use https")]
    PlainHttp,
}

// === impl Guard ===

impl Guard {
    /// Whether a picture may be fetched from where `link` points.
    pub fn admits_link(&self, link: &Link) -> Result<(), Forbidden> {
        let (host, port) = link.origin();
        let is_listed = self.picture_hosts.iter().any(|hosts| {
            hosts.matches(host)
                && (port == hosts.port || (!link.is_secure() && hosts.port == 443 && port == 80))
        });
        if is_listed {
            Ok(())
        } else {
            Err(Forbidden::Host)
        }
    }

    /// Whether `address` may be dialled, with TLS or without.
    pub fn admits_address(&self, address: IpAddr, is_secure: bool) -> Result<(), Forbidden> {
        let address = address.to_canonical();
        if self.allow_private.iter().any(|net| net.contains(&address)) {
            Ok(())
        } else if !is_public(address) {
            Err(Forbidden::Address)
        } else if !is_secure {
            Err(Forbidden::PlainHttp)
        } else {
            Ok(())
        }
    }
}

// === impl HostPattern ===

impl HostPattern {
    /// A host that matches; `subdomain` stands where any may.
    pub fn example(&self, subdomain: &str) -> String {
        if self.with_subdomains {
            format!("{subdomain}.{}", self.host)
        } else {
            self.host.clone()
        }
    }

    fn matches(&self, host: &str) -> bool {
        host == self.host
            || (self.with_subdomains
                && host
                    .strip_suffix(self.host.as_str())
                    .is_some_and(|prefix| prefix.len() > 1 && prefix.ends_with('.')))
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "{text:?} is not a host; write pps.whatsapp.net, *.whatsapp.net or 127.0.0.1:9000"
            )
        };
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 literal has colons of its own and stands in brackets.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| refuse())?)
            }
            _ => (text, 443),
        };
        let (host, with_subdomains) = match host.strip_prefix("*.") {
            Some(parent) => (parent, true),
            None => (host, false),
        };
        let host = url::Host::parse(host).map_err(|_| refuse())?.to_string();
        if host.contains('*') || (with_subdomains && !host.contains('.')) {
            return Err(refuse());
        }
        Ok(Self {
            host,
            with_subdomains,
            port,
        })
    }
}

/// Whether an address is an ordinary one on the public internet, going by IANA's special-purpose
/// registries (RFC 6890 and successors). IPv4 in IPv6 clothing is judged by the IPv4 inside.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => is_public_v4(inner) && is_public_v6(address),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = a == 0 // "this network"
        || a == 10
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT
        || a == 127
        || (a == 169 && b == 254) // link-local, cloud metadata
        || (a == 172 && (16..32).contains(&b))
        || (a == 192 && b == 0 && c == 0) // IETF protocol assignments
        || (a == 192 && b == 0 && c == 2) // documentation
        || (a == 192 && b == 31 && c == 196) // AS112
        || (a == 192 && b == 52 && c == 193) // AMT
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 192 && b == 168)
        || (a == 192 && b == 175 && c == 48) // AS112
        || (a == 198 && (b == 18 || b == 19)) // benchmarking
        || (a == 198 && b == 51 && c == 100) // documentation
        || (a == 203 && b == 0 && c == 113) // documentation
        || a >= 224; // multicast, reserved, broadcast
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    // Only 2000::/3 is handed out; what is special lies inside it or is one of the translations.
    let is_unicast = (s[0] & 0xE000) == 0x2000 || is_nat64(s);
    let is_special = (s[0] == 0x2001 && s[1] < 0x0200 && s[1] != 0) // IETF assignments, ORCHID
        || (s[0] == 0x2001 && s[1] == 0x0db8) // documentation
        || (s[0] == 0x2620 && s[1] == 0x004f && s[2] == 0x8000) // AS112
        || (s[0] == 0x3fff && s[1] < 0x1000) // documentation
        || (s[4] & 0xFCFF == 0 && s[5] == 0x5EFE); // ISATAP
    is_unicast && !is_special
}

/// The IPv4 address that a mapped, compatible, 6to4, Teredo, NAT64 or ISATAP address leads to.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xFFFF, high, low] | [0, 0, 0, 0, 0xFFFF, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo obscures the client's address by inverting it.
        [0x2001, 0, .., high, low] => v4(!high, !low),
        [.., high, low] if is_nat64(s) => v4(high, low),
        [.., 0x5EFE, high, low] if s[4] & 0xFCFF == 0 => v4(high, low),
        _ => None,
    }
}

fn is_nat64(s: [u16; 8]) -> bool {
    s[0] == 0x64 && s[1] == 0xFF9B && s[2..6] == [0; 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &[&str], private: &[&str]) -> Guard {
        Guard {
            picture_hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            allow_private: private.iter().map(|net| net.parse().unwrap()).collect(),
        }
    }

    fn admits(guard: &Guard, link: &str) -> Result<(), Forbidden> {
        guard.admits_link(&Link::parse(link).unwrap())
    }

    #[test]
    fn only_listed_hosts_are_asked_for_pictures() {
        let guard = guard(
            &["*.whatsapp.net", "web.whatsapp.com", "127.0.0.1:9000"],
            &[],
        );
        for good in [
            "https://pps.whatsapp.net/a.jpg",
            "https://media-gru1-2.cdn.whatsapp.net/a.jpg",
            "https://PPS.WhatsApp.net/a.jpg",
            "https://web.whatsapp.com/x",
            "http://127.0.0.1:9000/a.jpg",
        ] {
            assert_eq!(admits(&guard, good), Ok(()), "{good}");
        }
        for bad in [
            "https://whatsapp.net.evil.example/a.jpg",
            "https://evilwhatsapp.net/a.jpg",
            "https://pps.whatsapp.net:8443/a.jpg",
            "https://127.0.0.1/a.jpg",
            "http://127.0.0.1:9001/a.jpg",
            "https://evil.example/pps.whatsapp.net",
        ] {
            assert_eq!(admits(&guard, bad), Err(Forbidden::Host), "{bad}");
        }
    }

    #[test]
    fn host_patterns_that_are_too_wide_or_wrong_are_refused() {
        for bad in ["", "*", "*.net", "a b", "host:x", "https://a.example"] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn private_and_special_addresses_are_never_dialled_unless_allowed() {
        let open = guard(&[], &[]);
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::ffff:0:10.0.0.1",
            "2002:7f00:1::",
            "2001:0:1::80ff:fffe",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "2001:2::1",
            "2001:10::1",
            "5f00::1",
            "2a00:1450::5efe:a00:1",
        ] {
            let address: IpAddr = special.parse().unwrap();
            assert_eq!(
                open.admits_address(address, true),
                Err(Forbidden::Address),
                "{special}"
            );
        }
        for public in [
            "1.1.1.1",
            "157.240.1.60",
            "2a03:2880:f1::1",
            "64:ff9b::101:101",
        ] {
            assert_eq!(
                open.admits_address(public.parse().unwrap(), true),
                Ok(()),
                "{public}"
            );
        }
    }

    #[test]
    fn allowed_private_networks_may_be_reached_even_without_tls() {
        let local = guard(&[], &["127.0.0.0/8"]);
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        assert_eq!(local.admits_address(loopback, false), Ok(()));
        assert_eq!(local.admits_address(mapped, false), Ok(()));
        assert_eq!(
            local.admits_address("10.0.0.1".parse().unwrap(), true),
            Err(Forbidden::Address)
        );
        assert_eq!(
            local.admits_address("1.1.1.1".parse().unwrap(), false),
            Err(Forbidden::PlainHttp)
        );
    }
}
