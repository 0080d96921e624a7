//! The settings of a fleet.

use std::{fmt, time::Duration};

use redis::IntoConnectionInfo;
use secrecy::{ExposeSecret, SecretString};

use super::s3::S3Settings;

/// The settings of a fleet.
#[derive(Clone)]
pub struct Settings {
    /// The name, which keeps fleets on one Redis apart.
    pub name: String,
    /// The URL of Redis, which may have a password in it.
    pub redis: SecretString,
    /// The secret from which faces' names in Redis are derived.
    pub secret: SecretString,
    /// The most replicas.
    pub replicas: u32,
    /// How many percent of the budget the replicas keep for the time without Redis.
    pub reserve: u32,
    /// The time limit of a command.
    pub timeout: Duration,
    /// The S3 store of pictures; without one, they are in Redis.
    pub s3: Option<S3Settings>,
}

/// A short name of a secret, to compare it with another one.
pub fn fingerprint(secret: &SecretString) -> String {
    let key = blake3::derive_key(
        "faceplate fleet, fingerprint of a secret, version 1",
        secret.expose_secret().as_bytes(),
    );
    crate::hex::encode::<16>(&key[..8]).to_string()
}

/// Whether `url` is that of a Redis server. The error is the remedy.
pub fn check_url(url: &str) -> Result<(), String> {
    let remedy = "write redis://user:password@host:6379/0, or rediss:// with TLS";
    let is_known = ["redis://", "rediss://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    if !is_known {
        return Err(format!("is not the URL of a Redis server; {remedy}"));
    }
    url.into_connection_info()
        .map(|_| ())
        .map_err(|_| format!("is not a complete URL; {remedy}"))
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("redis", &fingerprint(&self.redis))
            .field("secret", &fingerprint(&self.secret))
            .field("replicas", &self.replicas)
            .field("reserve", &self.reserve)
            .field("timeout", &self.timeout)
            .field("s3", &self.s3)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_a_redis_server_are_accepted() {
        for url in ["redis://redis:6379", "rediss://:word@cache.example/2"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "redis",
            "http://redis:6379",
            "redis+sentinel://a",
            "redis://",
        ] {
            let remedy = check_url(url).unwrap_err();
            assert!(
                remedy.contains("redis://user:password@host"),
                "{url}: {remedy}"
            );
        }
    }
}
