//! The address of Redis: one server, a primary that Sentinels know, or a cluster.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

/// The address of Redis.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) kind: EndpointKind,
    /// At least one.
    hosts: Vec<(String, u16)>,
    is_tls: bool,
    /// User, password and database.
    settings: RedisConnectionInfo,
}

/// The kind of address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EndpointKind {
    /// One server.
    Server,
    /// The hosts are Sentinels, and this is the name of their primary.
    Sentinel(String),
    /// The hosts are nodes of a cluster.
    Cluster,
}

/// The remedy of a wrong URL.
const REMEDY: &str = "write redis://user:password@host:6379/0, rediss:// with TLS, several hosts with commas between them for a cluster, or redis+sentinel://user:password@host:26379,host:26379/NAME";

impl Endpoint {
    /// The address that a URL says. The error is the remedy.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let not_complete = || format!("is not a complete URL; {REMEDY}");
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(format!("is not the URL of a Redis server; {REMEDY}"));
        };
        let (is_tls, is_sentinel) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            _ => return Err(format!("is not the URL of a Redis server; {REMEDY}")),
        };
        let (credential, rest) = match rest.rsplit_once('@') {
            Some((credential, rest)) => (format!("{credential}@"), rest),
            None => (String::new(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, database) = match is_sentinel {
            true => path.split_once('/').unwrap_or((path, "")),
            false => ("", path),
        };
        if is_sentinel && name.is_empty() {
            return Err(format!("names no primary; {REMEDY}"));
        }
        let usual_port = if is_sentinel { ":26379" } else { "" };
        let (mut known, mut settings) = (Vec::new(), None);
        for host in hosts.split(',') {
            let has_port = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| !port.contains(']'));
            let port = if has_port { "" } else { usual_port };
            // The crate's own parser decodes the credential and checks the rest.
            let one = format!("redis://{credential}{host}{port}/{database}");
            let one = one.into_connection_info().map_err(|_| not_complete())?;
            let ConnectionAddr::Tcp(host, port) = one.addr() else {
                return Err(not_complete());
            };
            if host.is_empty() {
                return Err(not_complete());
            }
            known.push((host.clone(), *port));
            // Else each connection sends CLIENT SETINFO, which Redis 7.0 does not know.
            settings = Some(one.redis_settings().clone().set_skip_set_lib_name());
        }
        let kind = match (is_sentinel, known.len()) {
            (true, _) => EndpointKind::Sentinel(name.to_owned()),
            (false, 1) => EndpointKind::Server,
            (false, _) => EndpointKind::Cluster,
        };
        Ok(Self {
            kind,
            hosts: known,
            is_tls,
            settings: settings.ok_or_else(not_complete)?,
        })
    }

    /// The servers, or the nodes of the cluster.
    pub(super) fn servers(&self) -> Vec<ConnectionInfo> {
        let hosts = self.hosts.iter();
        hosts
            .filter_map(|(host, port)| self.server(host, *port))
            .collect()
    }

    /// The Sentinels, which have no credential of their own.
    pub(super) fn sentinels(&self) -> Vec<ConnectionInfo> {
        let servers = self.servers().into_iter();
        servers
            .map(|server| {
                let settings = RedisConnectionInfo::default();
                server.set_redis_settings(settings.set_skip_set_lib_name())
            })
            .collect()
    }

    /// The server at this address, with the credential of the URL.
    pub(super) fn server(&self, host: &str, port: u16) -> Option<ConnectionInfo> {
        let host = host.to_owned();
        let address = match self.is_tls {
            true => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
            false => ConnectionAddr::Tcp(host, port),
        };
        let server = address.into_connection_info().ok()?;
        Some(server.set_redis_settings(self.settings.clone()))
    }

    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({:?} of {} hosts)", self.kind, self.hosts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_a_server_a_primary_or_a_cluster() {
        let kind = |url: &str| Endpoint::parse(url).unwrap().kind;
        assert_eq!(kind("redis://redis:6379"), EndpointKind::Server);
        assert_eq!(kind("rediss://:word@cache.example/2"), EndpointKind::Server);
        assert_eq!(kind("redis://:p%40@a:1,b:2,[::1]:3"), EndpointKind::Cluster);
        let sentinel = Endpoint::parse("redis+sentinel://u:p@a,b:26380/main/1").unwrap();
        assert_eq!(sentinel.kind, EndpointKind::Sentinel("main".into()));
        let hosts = [("a".to_owned(), 26379), ("b".to_owned(), 26380)];
        assert_eq!(sentinel.hosts, hosts);
        assert_eq!(sentinel.settings.db(), 1);
    }

    #[test]
    fn a_wrong_url_has_a_remedy_without_its_password() {
        for url in [
            "",
            "redis",
            "http://redis:6379",
            "redis://",
            "redis+sentinel://:secret@a",
            "redis://:secret@a:b",
            "redis://:secret@a,,b",
        ] {
            let remedy = Endpoint::parse(url).unwrap_err();
            assert!(
                remedy.contains("redis://user:password@host"),
                "{url}: {remedy}"
            );
            assert!(!remedy.contains("secret"), "{url}: {remedy}");
        }
    }
}
