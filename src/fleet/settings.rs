//! The settings of a fleet.

use std::{fmt, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use super::{endpoint::Endpoint, s3::S3Settings};

/// The settings of a fleet.
#[derive(Clone)]
pub struct Settings {
    /// The name, which keeps fleets on one Redis apart.
    pub name: String,
    /// The URL of Redis, which may have a password in it.
    pub redis: SecretString,
    /// The certificates of the authorities that are trusted, in PEM, instead of the public ones.
    pub authorities: Option<Vec<u8>>,
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

/// The time limit of a command that no request waits for.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(5);

impl Settings {
    /// The same with another time limit of commands.
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
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
    Endpoint::parse(url).map(|_| ())
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("redis", &fingerprint(&self.redis))
            .field("authorities", &self.authorities.as_ref().map(Vec::len))
            .field("secret", &fingerprint(&self.secret))
            .field("replicas", &self.replicas)
            .field("reserve", &self.reserve)
            .field("timeout", &self.timeout)
            .field("s3", &self.s3)
            .finish()
    }
}
