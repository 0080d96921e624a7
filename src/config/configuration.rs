//! The configuration as the modules get it: their settings, in their own types.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use super::{EffectiveValue, Problem};
use crate::{
    compat, fleet, hooks, http,
    images::ImageSettings,
    limits, pass_through, pipeline, public, server, store,
    telemetry::{log, traces},
    upstream,
};

/// A configuration without problems.
#[derive(Debug)]
pub struct Config {
    /// The settings that take effect at a start alone.
    pub startup: Startup,
    /// The settings that a reload replaces.
    pub reloadable: Reloadable,
    /// The values that a reload cannot change, by key, to be compared with those of another configuration.
    pub restart_only: BTreeMap<String, String>,
    /// Settings that are allowed, but unwise.
    pub warnings: Vec<Problem>,
    /// Every value, by the path of its key.
    pub values: BTreeMap<String, EffectiveValue>,
}

/// The settings that take effect at a start alone.
#[derive(Debug)]
pub struct Startup {
    /// The address of the public listener.
    pub listen: server::Address,
    /// How it serves its connections.
    pub server: server::Settings,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// The address of the admin listener.
    pub admin: server::Address,
    /// The address of the listener for webhooks, if there is one.
    pub hooks: Option<server::Address>,
    /// The cache.
    pub store: store::Settings,
    /// The fleet that this server is a replica of, if it is one.
    pub fleet: Option<fleet::Settings>,
    /// The bounds of image work.
    pub images: ImageSettings,
    /// The export of traces, if they are exported.
    pub traces: Option<traces::Settings>,
}

/// The settings that a reload replaces.
#[derive(Debug)]
pub struct Reloadable {
    /// The certificate of the public listener, if it speaks TLS.
    pub tls: Option<server::CertificateFiles>,
    /// The proxies that are trusted for clients' addresses.
    pub proxies: http::Proxies,
    /// How many requests a client may make.
    pub client_rate: limits::Quota,
    /// Whether the access log names a client that is beyond its rate.
    pub are_limited_named: bool,
    /// How long a client may take to send the body of a request.
    pub body_timeout: Duration,
    /// Where links to faces begin.
    pub origin: compat::Origin,
    /// The token that everything on the admin listener but the probes asks for.
    pub admin_token: Option<secrecy::SecretString>,
    /// How webhooks are served.
    pub hooks: hooks::Settings,
    /// The bounds of requests that pass through to a vendor.
    pub pass_through: pass_through::Settings,
    /// Which requests may see faces.
    pub access: public::Access,
    /// Whether faces may be served on an address that other machines can reach.
    pub may_be_public: bool,
    /// `Access-Control-Allow-Origin`.
    pub allow_origin: ::http::HeaderValue,
    /// The longest time for which a browser keeps a face.
    pub browser_ttl: Option<Duration>,
    /// How clients may listen to changes.
    pub live: public::LiveSettings,
    /// The limits of the cache's disk.
    pub disk_limits: store::MaintenanceSettings,
    /// The bytes of pictures in memory.
    pub picture_memory: u64,
    /// The bytes of pictures in other sizes and formats in memory.
    pub variant_memory: u64,
    /// The form and the level of the log.
    pub log: log::Settings,
    /// How long answers are believed, and how long requests wait.
    pub pipeline: pipeline::Settings,
    /// The accounts with a table of their own.
    pub instances: Vec<Instance>,
    /// The tables for accounts of any matching name.
    pub patterns: Vec<InstancePattern>,
}

impl Config {
    /// The keys whose change needs a restart, compared with the values that a server was started with.
    pub fn restart_needed(&self, started_with: &BTreeMap<String, String>) -> Vec<String> {
        let values = self.restart_only.iter();
        let changed = values.filter(|(key, value)| started_with.get(*key) != Some(value));
        changed.map(|(key, _)| key.clone()).collect()
    }
}

impl Reloadable {
    /// The instance called `name`, whether it has a table of its own or is of a pattern.
    pub fn instance(&self, name: &str) -> Option<Cow<'_, Instance>> {
        let mut instances = self.instances.iter();
        if let Some(instance) = instances.find(|instance| instance.name == name) {
            return Some(Cow::Borrowed(instance));
        }
        let pattern = pipeline::winner(&self.patterns, |pattern| &pattern.names, name)?;
        Some(Cow::Owned(pattern.instance(name)))
    }

    /// The descriptions of the vendors of all accounts.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<upstream::Description>> {
        let templates = self.patterns.iter().map(|pattern| &pattern.template);
        let instances = self.instances.iter().chain(templates);
        instances.map(|instance| &instance.provider)
    }
}

/// The accounts of any matching name.
#[derive(Clone, Debug)]
pub struct InstancePattern {
    /// The pattern of their names.
    pub names: pipeline::NamePattern,
    /// The vendor's names for their accounts; the wildcard is the instance's name.
    pub account: pipeline::NamePattern,
    /// The instance, with the pattern as its name and `{instance}` in its account.
    pub template: Instance,
    /// The largest number of them in memory.
    pub max_names: usize,
    /// A name leaves memory when no client has asked for it for this long.
    pub idle: Duration,
}

impl InstancePattern {
    /// The instance called `name`.
    pub fn instance(&self, name: &str) -> Instance {
        let mut instance = self.template.clone();
        instance.account.name = self.account.fill(name);
        name.clone_into(&mut instance.name);
        instance
    }
}

/// One account.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its name in URLs.
    pub name: String,
    /// The description of its vendor's API.
    pub provider: Arc<upstream::Description>,
    /// Its name and credential at the vendor.
    pub account: upstream::Account,
    /// Its HTTP client.
    pub client: upstream::ClientSettings,
    /// Its budget, its pauses and its soft-throttling detector.
    pub limits: limits::AdmissionLimits,
    /// The daily warm-up.
    pub warm: Option<pipeline::Schedule>,
    /// Whether requests for the rest of its vendor's API pass through.
    pub pass_through: bool,
    /// The credentials of its webhook's events.
    pub hook: Option<hooks::Credentials>,
    /// The instances that are asked for a person of whom this one has no picture.
    pub fallback: Vec<String>,
}
