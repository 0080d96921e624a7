//! Names to addresses. Never through the C library, which would read files of its own, obey
//! variables of its own, and crash in a static binary.

use std::{io, net::IpAddr, sync::Arc};

use hickory_resolver::TokioResolver;
use tokio::sync::OnceCell;

/// Looks names up in `/etc/hosts` and the DNS servers of `/etc/resolv.conf`. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    /// Made at the first name: a demo on loopback needs no DNS and no `/etc/resolv.conf`.
    dns: Arc<OnceCell<TokioResolver>>,
}

impl Resolver {
    /// The addresses of `host`, which may be an address already.
    pub async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let literal = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(address) = literal.parse() {
            return Ok(vec![address]);
        }
        let dns = self.dns.get_or_try_init(|| async { system_dns() }).await?;
        let found = dns
            .lookup_ip(host)
            .await
            .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error.to_string()))?;
        Ok(found.iter().collect())
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
