//! Resolves host names with hickory-resolver instead of the C library, whose resolver reads its own
//! configuration and environment variables, and crashes in a static binary.
//!
//! The hosts file comes before DNS, as a whole: a name in it is never looked up elsewhere. IPv4 and IPv6
//! addresses are asked for at once, and the slower of the two answers is waited for only a moment
//! (RFC 8305 §3), because some DNS servers never answer questions for IPv6 addresses (RFC 4074 §4.1).

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    Hosts, ResolverBuilder, TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig},
    lookup_ip::LookupIp,
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::Query,
        rr::{Name, RecordType},
    },
};
use tokio::{sync::OnceCell, time};

/// Resolves host names. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Source);

#[derive(Clone)]
enum Source {
    /// `/etc/hosts`, and the DNS servers of `/etc/resolv.conf`. Both are read at the first lookup: the
    /// demo, on loopback, needs neither.
    System(Arc<OnceCell<Dns>>),
    /// A given hosts file and DNS server.
    Given(Arc<Dns>),
    /// A test's function instead of DNS; it may answer differently each time.
    Function(Arc<Lookup>),
}

type Lookup = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

/// A hosts file and DNS servers.
struct Dns {
    hosts: Hosts,
    /// Looks up IPv4 addresses only.
    v4: TokioResolver,
    /// Looks up IPv6 addresses only.
    v6: TokioResolver,
}

/// How long the second answer of DNS is waited for when the first one has an address (RFC 8305 §8).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// How long an answer of DNS is kept at most, also that there is no such name. Only new connections ask, and a container that
/// comes back at another address has to be found at once, whatever lifetime its DNS server names (Docker's: ten minutes).
const MAX_TTL: Duration = Duration::from_secs(1);

impl Resolver {
    /// A resolver that answers with the result of `lookup`.
    pub fn from_fn(lookup: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Source::Function(Arc::new(lookup)))
    }

    /// A resolver with the text of another hosts file, and another DNS server, which is asked over UDP.
    pub fn with_server(hosts: &str, server: SocketAddr) -> io::Result<Self> {
        let mut known = Hosts::default();
        known.read_hosts_conf(hosts.as_bytes())?;
        let mut udp = ConnectionConfig::udp();
        udp.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![udp]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let builder = || {
            let provider = TokioRuntimeProvider::default();
            Ok(TokioResolver::builder_with_config(config.clone(), provider))
        };
        let dns = Dns::new(known, builder)?;
        Ok(Self(Source::Given(Arc::new(dns))))
    }

    /// The addresses of `host`, which may be an address literal.
    pub async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let literal = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(address) = literal.parse() {
            return Ok(vec![address]);
        }
        match &self.0 {
            Source::System(dns) => {
                let dns = dns.get_or_try_init(|| async { Dns::of_system() }).await?;
                dns.resolve(host).await
            }
            Source::Given(dns) => dns.resolve(host).await,
            Source::Function(lookup) => Ok(lookup(host)),
        }
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self(Source::System(Arc::default()))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System(_) => "Resolver(system)",
            Source::Given(_) => "Resolver(given)",
            Source::Function(_) => "Resolver(function)",
        })
    }
}

impl Dns {
    fn of_system() -> io::Result<Self> {
        // A machine without a hosts file has no names of its own.
        let hosts = Hosts::from_system().unwrap_or_default();
        Self::new(hosts, TokioResolver::builder_tokio)
    }

    fn new(
        hosts: Hosts,
        builder: impl Fn() -> Result<ResolverBuilder<TokioRuntimeProvider>, NetError>,
    ) -> io::Result<Self> {
        let build = |strategy| {
            let mut builder = builder()?;
            let options = builder.options_mut();
            options.ip_strategy = strategy;
            options.use_hosts_file = ResolveHosts::Never;
            options.positive_max_ttl = Some(MAX_TTL);
            options.negative_max_ttl = Some(MAX_TTL);
            builder.build()
        };
        let built = build(LookupIpStrategy::Ipv4Only)
            .and_then(|v4| Ok((v4, build(LookupIpStrategy::Ipv6Only)?)));
        let (v4, v6) = built.map_err(|error| {
            io::Error::other(format!(
                "no usable DNS settings in /etc/resolv.conf: {error}"
            ))
        })?;
        Ok(Self { hosts, v4, v6 })
    }

    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let known = self.find_in_hosts(host);
        if !known.is_empty() {
            return Ok(known);
        }
        let (mut v4, mut v6) = (pin!(self.v4.lookup_ip(host)), pin!(self.v6.lookup_ip(host)));
        let (v4, v6) = tokio::select! {
            v4 = &mut v4 => {
                let v6 = wait_for_second(v4.is_ok(), v6).await;
                (Some(v4), v6)
            }
            v6 = &mut v6 => (wait_for_second(v6.is_ok(), v4).await, Some(v6)),
        };
        let addresses = |answer: &Option<Result<LookupIp, NetError>>| match answer {
            Some(Ok(found)) => found.iter().collect(),
            _ => Vec::new(),
        };
        let found = alternate(addresses(&v6), addresses(&v4));
        match v4.and_then(Result::err).or(v6.and_then(Result::err)) {
            Some(error) if found.is_empty() => Err(lookup_error(host, &error)),
            _ => Ok(found),
        }
    }

    fn find_in_hosts(&self, host: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_ascii(host) else {
            return Vec::new();
        };
        let types = [RecordType::AAAA, RecordType::A];
        let found = types.into_iter().filter_map(|kind| {
            let query = Query::query(name.clone(), kind);
            self.hosts.lookup_static_host(&query)
        });
        found
            .flat_map(|lookup| LookupIp::from(lookup).iter().collect::<Vec<_>>())
            .collect()
    }
}

/// The answer that came second; `None` if the first one has an address and this one is too late.
async fn wait_for_second<T>(first_has_address: bool, second: impl Future<Output = T>) -> Option<T> {
    if first_has_address {
        time::timeout(RESOLUTION_DELAY, second).await.ok()
    } else {
        Some(second.await)
    }
}

/// The addresses in the order in which they are tried: the families take turns (RFC 8305 §4).
fn alternate(v6: Vec<IpAddr>, v4: Vec<IpAddr>) -> Vec<IpAddr> {
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut ordered = Vec::new();
    loop {
        let before = ordered.len();
        ordered.extend(v6.next());
        ordered.extend(v4.next());
        if ordered.len() == before {
            return ordered;
        }
    }
}

fn lookup_error(host: &str, error: &NetError) -> io::Error {
    let text = if error.is_nx_domain() {
        format!("DNS knows no host {host}")
    } else if error.is_no_records_found() {
        format!("DNS has no address for {host}")
    } else {
        format!("DNS gave no answer about {host}: {error}")
    };
    io::Error::new(io::ErrorKind::NotFound, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_families_take_turns_and_ipv6_begins() {
        let parse = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let (v6, v4) = (parse(&["::1"]), parse(&["10.0.0.1", "10.0.0.2"]));
        let ordered = parse(&["::1", "10.0.0.1", "10.0.0.2"]);
        assert_eq!(alternate(v6, v4), ordered);
        assert!(alternate(Vec::new(), Vec::new()).is_empty());
    }
}
