//! `faceplate init`: prints a configuration for one gateway, with a comment and the default of every key.

use std::net::IpAddr;

use url::{Host, Url};

use super::{config_arg::ConfigArg, output::say, providers};
use crate::{
    config::{DefaultValue, Key, SECTIONS, Section},
    upstream::{ACCOUNT_PLACEHOLDER, Description},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The gateway's name; `faceplate providers` lists them.
    gateway: String,
    /// The instance's name in the URLs of its faces; by default the gateway's.
    #[arg(long)]
    name: Option<String>,
    /// The gateway's name for the account.
    #[arg(long)]
    account: Option<String>,
    /// The URL of the gateway's API, if you host it.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    base_url: Option<Url>,
    /// A directory of secrets, as Kubernetes, Docker and systemd mount them. Without it, secrets are in the environment.
    #[arg(long, value_name = "DIR")]
    secrets: Option<String>,
    #[command(flatten)]
    config: ConfigArg,
}

/// The name of the secret that signs URLs.
const SIGNING_KEY: &str = "signing-key";
/// The longest line of a comment.
const WIDTH: usize = 110;

pub(super) fn run(args: &Args) -> Result<(), String> {
    let gateway = providers::find(&args.config.catalog()?, &args.gateway)?;
    let draft = Draft {
        name: args.name.as_deref().unwrap_or(&args.gateway),
        account: args.account.as_deref(),
        base_url: args.base_url.as_ref(),
        secrets: args.secrets.as_deref(),
        gateway: &gateway,
    };
    draft.print_head();
    for section in SECTIONS.sections {
        match section.name {
            "instances" => draft.print_instance(&section.sections[0]),
            name => draft.print_section(section, name),
        }
    }
    Ok(())
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| "not the URL of a server; write https://gateway.example".to_owned())
}

/// The configuration to be printed.
struct Draft<'a> {
    name: &'a str,
    account: Option<&'a str>,
    base_url: Option<&'a Url>,
    secrets: Option<&'a str>,
    gateway: &'a Description,
}

impl Draft<'_> {
    fn print_head(&self) {
        let mut secrets = vec![(
            self.secret(SIGNING_KEY),
            "the output of: openssl rand -base64 32",
        )];
        if !self.gateway.is_push() {
            secrets.push((self.token(), &self.gateway.token));
        }
        for param in self.missing_params() {
            secrets.push((self.secret(&param.name), &param.what));
        }
        say!("# Faceplate in front of {}. It needs:", self.gateway.title);
        for (reference, what) in secrets {
            say!("#   {reference}, {what}");
        }
        print_comment(
            "Then: faceplate check, faceplate doctor, faceplate serve. A key that is commented out shows its default. Durations are 500ms, 30s, 12m, 24h, 7d; sizes are 512KiB, 256MiB, 10GiB. A secret is env:NAME or file:PATH. An environment variable overrides a key: FACEPLATE_CACHE__TTL overrides cache.ttl.",
        );
    }

    /// Prints a section whose keys have defaults, and the sections in it.
    fn print_section(&self, section: &Section, path: &str) {
        say!("");
        print_comment(section.about);
        // An empty table of this kind would be incomplete.
        let is_required = |key: &Key| matches!(key.default, DefaultValue::Required(_));
        match section.keys.iter().any(is_required) {
            true => say!("# [{path}]"),
            false => say!("[{path}]"),
        }
        for key in section.keys {
            match (path, key.name) {
                ("access", "signing_keys") => {
                    print_comment(key.about);
                    say!("signing_keys = [\"{}\"]", self.secret(SIGNING_KEY));
                }
                _ => print_key(key, None),
            }
        }
        for inner in section.sections {
            self.print_section(inner, &format!("{path}.{}", inner.name));
        }
    }

    fn print_instance(&self, section: &Section) {
        say!("");
        print_comment(section.about);
        say!("[instances.{}]", self.name);
        for key in section.keys {
            if matches!(key.name, "max_names" | "idle") {
                continue;
            }
            match self.value(key.name) {
                Some(value) => {
                    print_comment(key.about);
                    say!("{} = {value}", key.name);
                }
                None => print_key(key, self.default_of(key.name)),
            }
        }
        for inner in section.sections {
            self.print_inline(inner);
        }
    }

    /// The value of a key of the instance that has to be set.
    fn value(&self, key: &str) -> Option<String> {
        let is_push = self.gateway.is_push();
        match key {
            "provider" => Some(quote(&self.gateway.name)),
            "account" if !is_push => Some(quote(self.account.unwrap_or(ACCOUNT_PLACEHOLDER))),
            "token" if !is_push => Some(quote(&self.token())),
            "base_url" => match (self.base_url, &self.gateway.base_url) {
                (Some(url), _) => Some(quote(url.as_str().trim_end_matches('/'))),
                (None, None) if !is_push => {
                    Some(format!("\"https://{}.example\"", self.gateway.name))
                }
                _ => None,
            },
            "allow_private" => {
                let network = private_network(self.base_url?)?;
                Some(format!("[\"{network}\"]"))
            }
            _ => None,
        }
    }

    /// The value that the gateway's description gives a key which is left out.
    fn default_of(&self, key: &str) -> Option<String> {
        let defaults = &self.gateway.defaults;
        match key {
            "base_url" => self.gateway.base_url.as_deref().map(quote),
            "daily" => defaults.daily.map(|daily| daily.to_string()),
            "picture_hosts" if !defaults.picture_hosts.is_empty() => {
                let hosts = defaults.picture_hosts.iter();
                let hosts: Vec<_> = hosts.map(|host| quote(&host.to_string())).collect();
                Some(format!("[{}]", hosts.join(", ")))
            }
            _ => None,
        }
    }

    /// Prints a section of the instance on one line. A table of its own would override the gateway's defaults even
    /// if it were empty.
    fn print_inline(&self, section: &Section) {
        let defaults = &self.gateway.defaults;
        let quota = match section.name {
            "lookups" => defaults.lookups,
            "refreshes" => defaults.refreshes,
            "params" => return self.print_params(section),
            _ => None,
        };
        print_comment(section.about);
        for key in section.keys {
            print_comment(&format!("{}: {}", key.name, key.about));
        }
        if let Some((per_minute, burst)) = quota {
            say!(
                "# {} = {{ per_minute = {per_minute}, burst = {burst} }}",
                section.name
            );
            return;
        }
        let keys = section.keys.iter();
        let values = keys.filter_map(|key| Some(format!("{} = {}", key.name, key.default_toml()?)));
        let values: Vec<_> = values.collect();
        match section.keys.iter().any(|key| key.default_toml().is_none()) {
            // Without the other keys, these mean nothing.
            true => say!(
                "# {} = {{ {} }}",
                section.name,
                all_keys(section).join(", ")
            ),
            false => say!("# {} = {{ {} }}", section.name, values.join(", ")),
        }
    }

    fn print_params(&self, section: &Section) {
        if self.gateway.params.is_empty() {
            return;
        }
        print_comment(section.about);
        for param in &self.gateway.params {
            print_comment(&format!("{}: {}", param.name, param.what));
        }
        let missing: Vec<_> = self
            .missing_params()
            .map(|param| format!("{} = {}", param.name, quote(&self.secret(&param.name))))
            .collect();
        let others = self.gateway.params.iter().filter_map(|param| {
            Some(match param.default.as_deref()? {
                "" => format!("{} = <text>", param.name),
                default => format!("{} = {}", param.name, quote(default)),
            })
        });
        let others: Vec<_> = others.collect();
        if !missing.is_empty() {
            say!("params = {{ {} }}", missing.join(", "));
        } else {
            say!("# params = {{ {} }}", others.join(", "));
        }
    }

    /// The values without a default.
    fn missing_params(&self) -> impl Iterator<Item = &crate::upstream::Param> {
        let params = self.gateway.params.iter();
        params.filter(|param| param.default.is_none())
    }

    /// The reference to the vendor's API key.
    fn token(&self) -> String {
        match self.secrets {
            Some(_) => self.secret("vendor-token"),
            None => self.secret(&format!("{}-token", self.name)),
        }
    }

    /// The reference to a secret.
    fn secret(&self, name: &str) -> String {
        match self.secrets {
            Some(dir) => format!("file:{}/{name}", dir.trim_end_matches('/')),
            None if name == SIGNING_KEY => "env:FACEPLATE_SIGNING_KEY".to_owned(),
            None => format!("env:{}", name.replace('-', "_").to_uppercase()),
        }
    }
}

/// All keys of a section, with an example for those without a default.
fn all_keys(section: &Section) -> Vec<String> {
    let keys = section.keys.iter();
    let keys = keys.map(|key| {
        let value = key.default_toml();
        let value = value.unwrap_or_else(|| format!("<{}>", key.kind));
        format!("{} = {value}", key.name)
    });
    keys.collect()
}

/// Prints a key that is commented out. `default` counts in place of the key's own.
fn print_key(key: &Key, default: Option<String>) {
    print_comment(key.about);
    match (default.or_else(|| key.default_toml()), key.default) {
        (Some(value), _) => say!("# {} = {value}", key.name),
        (None, DefaultValue::Absent(meaning)) => {
            say!("# {} = <{}>   (default: {meaning})", key.name, key.kind);
        }
        (None, _) => say!("# {} = <{}>", key.name, key.kind),
    }
}

/// Prints a text of Markdown as lines of a comment.
fn print_comment(text: &str) {
    let mut line = String::new();
    for word in without_links(text).split_whitespace() {
        if !line.is_empty() && line.len() + word.len() >= WIDTH {
            say!("# {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        say!("# {line}");
    }
}

/// `[text](target)` becomes `text`. A text that is the title of a page gets the page's path.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let Some((start, end)) = before.rfind('[').zip(after.find(')')) else {
            break;
        };
        plain.push_str(&before[..start]);
        let text = &before[start + 1..];
        plain.push_str(text);
        if text.starts_with(char::is_uppercase) {
            plain.push_str(&format!(" (docs/{})", &after[..end]));
        }
        rest = &after[end + 1..];
    }
    plain.push_str(rest);
    plain
}

/// The private network that a URL's address is in; `None` for a name and for a public address.
fn private_network(url: &Url) -> Option<String> {
    let address = match url.host()? {
        Host::Ipv4(address) => IpAddr::from(address),
        Host::Ipv6(address) => IpAddr::from(address),
        Host::Domain(_) => return None,
    };
    let networks = [
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    ];
    let mut networks = networks.into_iter();
    let is_in = |network: &&str| {
        let network = network.parse::<ipnet::IpNet>();
        network.is_ok_and(|network| network.contains(&address))
    };
    networks.find(is_in).map(str::to_owned)
}

/// A text as TOML writes it.
fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
