//! The operator's words become the rooms' values. The only place that knows TOML, environment
//! variables and secret files; every room is handed settings of its own making.
//!
//! Reading never stops at the first problem: all of them are told at once, each with its place,
//! its key and its remedy.

mod load;
mod problem;
mod read;
mod section;
mod sections;
mod units;

use std::net::IpAddr;

pub use load::{Source, from_file, from_text};
pub use problem::{Problem, Problems};
pub use units::duration;

use crate::{
    compat, http, limits, pipeline, public, server, store,
    telemetry::{log, traces},
    upstream,
};

/// A configuration that was found to be right.
#[derive(Debug)]
pub struct Config {
    /// Where faces are served.
    pub listen: server::Address,
    /// The certificate, where faces are served over TLS.
    pub tls: Option<server::CertificateFiles>,
    /// What a client is granted.
    pub limits: server::Limits,
    /// The proxies in front of us.
    pub proxies: http::Proxies,
    /// How often a client may ask.
    pub client_rate: limits::Quota,
    /// Where probes are answered.
    pub admin: server::Address,
    /// What opens everything there but the probes.
    pub admin_token: Option<secrecy::SecretString>,
    /// Who may see faces.
    pub access: public::Access,
    /// Whether faces may be served where others can reach them, as things are.
    pub may_be_public: bool,
    /// `Access-Control-Allow-Origin`.
    pub allow_origin: ::http::HeaderValue,
    /// Where links to faces begin.
    pub origin: compat::Origin,
    /// Where entries are kept.
    pub store: store::Settings,
    /// Bytes of memory for pictures in other sizes and formats.
    pub images_memory: u64,
    /// How long answers are believed, and how long browsers wait.
    pub pipeline: pipeline::Settings,
    /// The accounts.
    pub instances: Vec<Instance>,
    /// How the log is written.
    pub log: log::Settings,
    /// Where traces go, if anywhere.
    pub traces: Option<traces::Settings>,
    /// What is right, but not wise.
    pub warnings: Vec<Problem>,
}

/// One account.
#[derive(Debug)]
pub struct Instance {
    /// Its name in URLs.
    pub name: String,
    /// Whose account it is.
    pub vendor: upstream::Vendor,
    /// The account itself.
    pub account: upstream::Account,
    /// Its client.
    pub client: upstream::ClientSettings,
    /// Calls in all.
    pub lookups: limits::Quota,
    /// Calls past the vendor's cache.
    pub refreshes: limits::Quota,
    /// Calls a day.
    pub daily: Option<std::num::NonZeroU32>,
    /// Pauses after trouble.
    pub cooldown: limits::CooldownPolicy,
    /// When empty answers are read as a rate limit.
    pub sensitivity: limits::Sensitivity,
    /// When its faces are fetched ahead, every day.
    pub warm: Option<pipeline::Schedule>,
}

/// Whether only this machine can reach `host`.
fn is_loopback(host: Option<url::Host<&str>>) -> bool {
    match host {
        Some(url::Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        _ => false,
    }
}
