//! The guard against server-side request forgery: which hosts a picture link may name, and which
//! addresses may be dialed. Every link and every redirect is checked, then each address before a
//! connection to it.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

use super::{link::Link, public_address::is_public};

/// An instance's rules for outbound connections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guard {
    /// Hosts that picture links may point to.
    pub picture_hosts: Vec<HostPattern>,
    /// Private networks that may be reached all the same, with plain HTTP, too.
    pub allow_private: Vec<IpNet>,
}

/// `pps.whatsapp.net`, `*.whatsapp.net` (any depth), or either with a `:port` other than 443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: String,
    with_subdomains: bool,
    port: u16,
}

/// The guard's refusal. It names no host and no address; [`super::ClientError`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The link's host is not in `picture_hosts`.
    #[error("the picture link's host is not among picture_hosts")]
    Host,
    /// The address is private, reserved or special.
    #[error("the host has a private or reserved address, which is not in allow_private")]
    Address,
    /// Plain HTTP to an address outside of `allow_private`.
    #[error("plain http is only allowed to networks in allow_private; use https")]
    PlainHttp,
}

// === impl Guard ===

impl Guard {
    /// Checks the host and the port that `link` names.
    pub fn check_link(&self, link: &Link) -> Result<(), GuardError> {
        let (host, port) = link.origin();
        let is_listed = self.picture_hosts.iter().any(|hosts| {
            hosts.matches(host)
                && (port == hosts.port || (!link.is_secure() && hosts.port == 443 && port == 80))
        });
        if is_listed {
            Ok(())
        } else {
            Err(GuardError::Host)
        }
    }

    /// Checks an address before it is dialed, with TLS or without.
    pub fn check_address(&self, address: IpAddr, is_secure: bool) -> Result<(), GuardError> {
        let address = address.to_canonical();
        if self.allow_private.iter().any(|net| net.contains(&address)) {
            Ok(())
        } else if !is_public(address) {
            Err(GuardError::Address)
        } else if !is_secure {
            Err(GuardError::PlainHttp)
        } else {
            Ok(())
        }
    }
}

// === impl HostPattern ===

impl HostPattern {
    /// A host that matches, with `subdomain` in place of the wildcard.
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
            // The colons of an IPv6 literal are inside of brackets.
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

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.with_subdomains {
            f.write_str("*.")?;
        }
        f.write_str(&self.host)?;
        match self.port {
            443 => Ok(()),
            port => write!(f, ":{port}"),
        }
    }
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

    fn check(guard: &Guard, link: &str) -> Result<(), GuardError> {
        guard.check_link(&Link::parse(link).unwrap())
    }

    #[test]
    fn pictures_are_downloaded_from_listed_hosts_only() {
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
            assert_eq!(check(&guard, good), Ok(()), "{good}");
        }
        for bad in [
            "https://whatsapp.net.evil.example/a.jpg",
            "https://evilwhatsapp.net/a.jpg",
            "https://pps.whatsapp.net:8443/a.jpg",
            "https://127.0.0.1/a.jpg",
            "http://127.0.0.1:9001/a.jpg",
            "https://evil.example/pps.whatsapp.net",
        ] {
            assert_eq!(check(&guard, bad), Err(GuardError::Host), "{bad}");
        }
    }

    #[test]
    fn host_patterns_that_are_malformed_or_too_wide_are_refused() {
        for bad in ["", "*", "*.net", "a b", "host:x", "https://a.example"] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn private_and_special_addresses_are_refused_by_default() {
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
                open.check_address(address, true),
                Err(GuardError::Address),
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
                open.check_address(public.parse().unwrap(), true),
                Ok(()),
                "{public}"
            );
        }
    }

    #[test]
    fn networks_in_allow_private_are_reachable_without_tls() {
        let local = guard(&[], &["127.0.0.0/8"]);
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        assert_eq!(local.check_address(loopback, false), Ok(()));
        assert_eq!(local.check_address(mapped, false), Ok(()));
        assert_eq!(
            local.check_address("10.0.0.1".parse().unwrap(), true),
            Err(GuardError::Address)
        );
        assert_eq!(
            local.check_address("1.1.1.1".parse().unwrap(), false),
            Err(GuardError::PlainHttp)
        );
    }
}
