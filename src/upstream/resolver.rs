//! Resolves host names with hickory-resolver instead of the C library, whose resolver reads its own
//! configuration and environment variables, and crashes in a static binary.

use std::{fmt, io, net::IpAddr, sync::Arc};

use hickory_resolver::TokioResolver;
use tokio::sync::OnceCell;

/// Resolves host names. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Source);

#[derive(Clone)]
enum Source {
    /// `/etc/hosts`, and the DNS servers of `/etc/resolv.conf`. Both are read at the first lookup: the
    /// demo, on loopback, needs neither.
    System(Arc<OnceCell<TokioResolver>>),
    /// A test's function instead of DNS; it may answer differently each time.
    Function(Arc<Lookup>),
}

type Lookup = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

impl Resolver {
    /// A resolver that answers with the result of `lookup`.
    pub fn from_fn(lookup: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Source::Function(Arc::new(lookup)))
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
        let dns = match &self.0 {
            Source::System(dns) => dns.get_or_try_init(|| async { system_dns() }).await?,
            Source::Function(lookup) => return Ok(lookup(host)),
        };
        let found = dns
            .lookup_ip(host)
            .await
            .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error.to_string()))?;
        Ok(found.iter().collect())
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
            Source::Function(_) => "Resolver(function)",
        })
    }
}

fn system_dns() -> io::Result<TokioResolver> {
    TokioResolver::builder_tokio()
        .and_then(|builder| builder.build())
        .map_err(|error| {
            io::Error::other(format!(
                "no usable DNS settings in /etc/resolv.conf: {error}"
            ))
        })
}
