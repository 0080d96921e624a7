//! Reads `[instances.NAME]`: one account of a vendor.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU32};

use http::HeaderValue;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{
    detectors, fallback, hooks, patterns, providers::Providers, server::quota, upstream::Upstream,
};
use crate::{
    avatar::Jid,
    config::{
        Instance, InstancePattern,
        key::{Key, Section},
        reader::Reader,
        setting::{SecretReference, TimeOfDay, UrlText},
    },
    limits::{AdmissionLimits, BudgetLimits, CooldownPolicy, Quota},
    pipeline::{NamePattern, Schedule, is_instance_name},
    upstream::{self, Account, Description, Guard, HostPattern},
};

pub(super) const SECTION: Section = Section {
    name: "instances",
    about: "",
    keys: &[],
    sections: &[Section {
        name: "NAME",
        about: "One account of a vendor. Its name, here `NAME`, is part of the URLs of its faces: `/avatar/NAME/{jid}`. With one `*` in the name, such as `[instances.\"shop-*\"]`, an account for [each name that matches](operations.md#many-accounts).",
        keys: &[
            Key::required::<String>(
                "provider",
                "write the name of its gateway, such as \"evolution\"; `faceplate providers` lists them",
                "The gateway, by the name of its [description](providers.md); or `push` for none, where programs [push the pictures](operations.md#push).",
            ),
            Key::required::<String>(
                "account",
                "write the gateway's name for it; `faceplate providers show` says which",
                "The gateway's name for the account: instance, session or device. `faceplate providers` says which. Not needed for `push`. `{instance}` stands for the instance's name where that has a `*`.",
            ),
            Key::required::<SecretReference>(
                "token",
                "write env:NAME or file:PATH of the vendor's API key",
                "The vendor's API key. Not needed for `push`.",
            ),
            Key::optional::<UrlText>(
                "base_url",
                "the vendor's",
                "The URL of the gateway's API. Required for those that are self-hosted.",
            ),
            Key::optional::<Jid>(
                "own_jid",
                "unknown",
                "The account's own JID, for `/avatar/NAME/me` where the vendor has no call for it.",
            ),
            Key::optional::<NonZeroU32>(
                "daily",
                "no limit",
                "Calls to the vendor in a day, which begins at midnight UTC.",
            ),
            Key::new::<Vec<HostPattern>>(
                "picture_hosts",
                "*.whatsapp.net,web.whatsapp.com",
                "The hosts that links to pictures may point to: `pps.whatsapp.net`, or `*.whatsapp.net` for all below it; with a port other than 443, and 80 for plain http, as `127.0.0.1:9000`.",
            ),
            Key::new::<Vec<IpNet>>(
                "allow_private",
                "",
                "The private networks that may be reached, such as that of a gateway on this machine.",
            ),
            fallback::FALLBACK,
            patterns::MAX_NAMES,
            patterns::IDLE,
            Key::new::<bool>(
                "pass_through",
                "false",
                "Whether all other requests with the gateway's credential [pass through](dropin.md#pass-through) to `base_url`.",
            ),
        ],
        sections: &[
            Section {
                name: "params",
                about: "Further values that the gateway's description asks for, by their names there; `faceplate providers show` lists them.",
                keys: &[],
                sections: &[],
            },
            Section {
                name: "lookups",
                about: "How many calls to the vendor are made in all. The safety of the account depends on it.",
                keys: &[
                    Key::new::<NonZeroU32>("per_minute", "30", "Calls a minute, on average."),
                    Key::new::<NonZeroU32>("burst", "10", "Calls at once."),
                ],
                sections: &[],
            },
            Section {
                name: "refreshes",
                about: "How many of those calls may bypass the vendor's own cache.",
                keys: &[
                    Key::new::<NonZeroU32>("per_minute", "4", "Calls a minute, on average."),
                    Key::new::<NonZeroU32>("burst", "2", "Calls at once."),
                ],
                sections: &[],
            },
            detectors::EMPTY_ANSWERS,
            detectors::DEFAULT_PICTURES,
            Section {
                name: "warm",
                about: "A daily fetch of the faces that the account chatted with last. For gateways whose description has a list of chats.",
                keys: &[
                    Key::optional::<TimeOfDay>("at", "never", "The time of day in UTC."),
                    Key::new::<NonZeroU32>("top", "50", "How many chats."),
                ],
                sections: &[],
            },
            hooks::OF_INSTANCE,
        ],
    }],
};

pub(super) fn read(
    reader: &Reader<'_>,
    upstream: &Upstream,
    cooldown_policy: &CooldownPolicy,
    providers: &mut Providers,
    takes_events: bool,
    are_strangers_allowed: bool,
) -> (Vec<Instance>, Vec<InstancePattern>) {
    let tables = reader.children();
    if tables.is_empty() {
        reader.problem(
            "NAME",
            "there is no instance; add a table such as [instances.sales] with provider, account and token".into(),
        );
    }
    for (name, _) in &tables {
        if !is_instance_name(name) && NamePattern::parse(name).is_none() {
            reader.problem(
                name,
                "an instance's name is made of letters, digits, - and _, at most 64 of them; one * in it stands for any of them".into(),
            );
        }
    }
    let mut instances: Vec<Instance> = Vec::new();
    let mut found_patterns = Vec::new();
    for (name, table) in tables {
        let instance = instance(name, &table, upstream, cooldown_policy, providers);
        let hook = hooks::of_instance(
            &table.section("hook"),
            instance.as_ref().map(|instance| &*instance.provider),
            takes_events,
        );
        let pattern = patterns::read(&table, name);
        table.finish();
        let Some(mut instance) = instance else {
            continue;
        };
        instance.hook = hook;
        if let Some(pattern) = pattern {
            found_patterns.extend(pattern.complete(&table, instance));
            continue;
        }
        let is_same = |other: &&Instance| {
            is_same_gateway(other, &instance) && other.account.name == instance.account.name
        };
        if let Some(other) = instances.iter().find(is_same) {
            table.problem(
                "account",
                format!(
                    "is the account of [instances.{}], too, and would get a second budget; give both names' users one instance",
                    other.name
                ),
            );
        }
        instances.push(instance);
    }
    fallback::check(reader, &instances, &found_patterns);
    patterns::check(reader, &instances, &found_patterns, are_strangers_allowed);
    (instances, found_patterns)
}

/// Whether the accounts of two instances are at one gateway.
pub(super) fn is_same_gateway(one: &Instance, other: &Instance) -> bool {
    one.provider.name == other.provider.name && one.client.base == other.client.base
}

fn instance(
    name: &str,
    reader: &Reader<'_>,
    upstream: &Upstream,
    cooldown_policy: &CooldownPolicy,
    providers: &mut Providers,
) -> Option<Instance> {
    let provider: Option<String> = reader.optional("provider");
    let provider = provider.and_then(|name| providers.find(reader, &name));
    let is_push = provider.as_deref().is_some_and(Description::is_push);
    let account = match is_push {
        true => Some(
            reader
                .waived("account")
                .unwrap_or(patterns::default_account(name)),
        ),
        false => reader.optional("account"),
    };
    let token = match is_push && reader.waived::<SecretReference>("token").is_none() {
        true => Some(SecretString::default()),
        false => token(reader),
    };
    let own: Option<Jid> = reader.optional("own_jid");
    let base = base_url(reader, provider.as_deref());
    let defaults = provider
        .as_deref()
        .map(|provider| provider.defaults.clone());
    let defaults = defaults.unwrap_or_default();
    let params = params(&reader.section("params"), provider.as_deref());
    let is_shipped = provider
        .as_ref()
        .is_some_and(|provider| provider.is_shipped);
    let has_hosts = reader.has("picture_hosts") || !is_shipped || defaults.picture_hosts.is_empty();
    let picture_hosts = reader.get("picture_hosts");
    let guard = Guard {
        picture_hosts: if has_hosts {
            picture_hosts
        } else {
            let hosts = defaults.picture_hosts.iter().map(ToString::to_string);
            reader.record_gateway_value("picture_hosts", hosts.collect::<Vec<_>>());
            defaults.picture_hosts.clone()
        },
        allow_private: reader.get("allow_private"),
    };
    let lookups = quota_or(reader, "lookups", defaults.lookups);
    let refreshes = quota_or(reader, "refreshes", defaults.refreshes);
    let daily: Option<NonZeroU32> = reader.optional("daily");
    let daily = daily.or_else(|| {
        let daily = NonZeroU32::new(defaults.daily?)?;
        reader.record_gateway_value("daily", i64::from(daily.get()));
        Some(daily)
    });
    let sensitivity = detectors::sensitivity(&reader.section("empty_answers"));
    let default_pictures = detectors::default_pictures(&reader.section("default_pictures"));
    let fallback = reader.get(fallback::FALLBACK.name);
    let warm = schedule(&reader.section("warm"), provider.as_deref());
    let pass_through = reader.get("pass_through");
    if pass_through && is_push {
        reader.problem(
            "pass_through",
            "has no gateway to pass through to, because the provider is push; remove it".into(),
        );
    }

    if guard.allow_private.iter().any(is_vast) {
        reader.warning(
            "allow_private",
            "a network of this size takes the protection of all other machines away: a gateway's link may then lead to any of them; write the gateway's own network",
        );
    }

    let base = base?;
    if base.scheme() == "http" && guard.allow_private.is_empty() {
        reader.problem(
            "base_url",
            "plain http sends the API key unencrypted; write https, or list the gateway's network in allow_private".into(),
        );
    }
    if is_loopback(base.host()) && guard.allow_private.is_empty() {
        reader.problem(
            "allow_private",
            "the gateway is on this machine; write allow_private = [\"127.0.0.0/8\"]".into(),
        );
    }
    let provider = provider?;
    let account = Account {
        name: account?,
        token: token?,
        own,
        params,
    };
    for problem in provider.check_account(&account) {
        reader.problem(&problem.key, problem.remedy);
    }
    Some(Instance {
        name: name.to_owned(),
        provider,
        account,
        client: upstream::ClientSettings {
            base,
            guard,
            call_timeout: defaults.call_timeout.unwrap_or(upstream.call_timeout),
            download_timeout: upstream.download_timeout,
            max_picture: upstream.max_picture,
            downloads: upstream.downloads,
        },
        limits: AdmissionLimits {
            budget: BudgetLimits {
                lookups,
                refreshes,
                daily,
            },
            cooldown: cooldown_policy.clone(),
            sensitivity,
            default_pictures,
        },
        warm,
        fallback,
        pass_through,
        hook: None,
    })
}

/// The further values that the gateway needs: the operator's, then the description's defaults.
fn params(reader: &Reader<'_>, provider: Option<&Description>) -> BTreeMap<String, SecretString> {
    let declared = provider
        .map(|provider| provider.params.as_slice())
        .unwrap_or_default();
    let mut params = BTreeMap::new();
    for param in declared {
        if let Some(default) = &param.default {
            reader.record_gateway_value(&param.name, default.as_str());
            params.insert(param.name.clone(), SecretString::from(default.as_str()));
        }
    }
    for (name, text) in reader.other_texts() {
        let is_secret = declared
            .iter()
            .all(|param| param.name != *name || param.is_secret);
        let is_reference = text.starts_with("env:") || text.starts_with("file:");
        reader.record_other(name, text, is_secret && !is_reference);
        let value = if is_secret || is_reference {
            reader.secret(name, &SecretReference(text.to_owned()))
        } else {
            Some(SecretString::from(text))
        };
        if let Some(value) = value {
            if HeaderValue::from_str(value.expose_secret()).is_err() {
                reader.problem(
                    name,
                    "has characters that are not allowed in a request; check it".into(),
                );
            }
            params.insert(name.to_owned(), value);
        }
    }
    reader.finish();
    params
}

/// The quota of the instance, or the description's where the instance sets none.
fn quota_or(reader: &Reader<'_>, section: &str, default: Option<(u32, u32)>) -> Quota {
    let inner = reader.section(section);
    let written = quota(&inner);
    let default = default.and_then(|(per_minute, burst)| {
        Some(Quota {
            per_minute: NonZeroU32::new(per_minute)?,
            burst: NonZeroU32::new(burst)?,
        })
    });
    let Some(default) = default.filter(|_| !reader.has(section)) else {
        return written;
    };
    inner.record_gateway_value("per_minute", i64::from(default.per_minute.get()));
    inner.record_gateway_value("burst", i64::from(default.burst.get()));
    default
}

fn token(reader: &Reader<'_>) -> Option<SecretString> {
    let reference: SecretReference = reader.optional("token")?;
    let token = reader.secret("token", &reference)?;
    if HeaderValue::from_str(token.expose_secret()).is_err() {
        reader.problem(
            "token",
            "the secret has characters that are not allowed in an HTTP header; check the file or the variable".into(),
        );
    }
    Some(token)
}

/// The daily warm-up, where `at` is set.
fn schedule(reader: &Reader<'_>, provider: Option<&Description>) -> Option<Schedule> {
    let at: Option<TimeOfDay> = reader.optional("at");
    let top = reader.get::<NonZeroU32>("top").get() as usize;
    reader.finish();
    if at.is_none() {
        reader.omit_value("top");
        if reader.has("top") {
            let remedy = "is missing; write a time of day in UTC such as \"03:00\"";
            reader.problem("at", remedy.into());
        }
    }
    let TimeOfDay(at) = at?;
    if provider.is_some_and(|provider| !provider.has_chats()) {
        reader.problem("at", "this vendor's API has no list of chats; leave it out, and run faceplate warm with a list of JIDs".into());
    }
    Some(Schedule { at, top })
}

fn base_url(reader: &Reader<'_>, provider: Option<&Description>) -> Option<Url> {
    let written: Option<UrlText> = reader.optional("base_url");
    let text = match (&written, provider?.base_url.as_deref()) {
        (Some(UrlText(text)), _) => text.as_str(),
        (None, Some(text)) => {
            reader.record_gateway_value("base_url", text);
            text
        }
        (None, None) => {
            reader.problem("base_url", "is missing; this gateway is self-hosted: write where it listens, such as https://waha.example".into());
            return None;
        }
    };
    match Url::parse(text) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none() =>
        {
            Some(url)
        }
        _ => {
            reader.problem(
                "base_url",
                "is not a plain http(s) URL; write for example https://waha.example".into(),
            );
            None
        }
    }
}

/// Whether a network has more addresses than any private one.
fn is_vast(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() < 8,
        IpNet::V6(network) => network.prefix_len() < 7,
    }
}

/// Whether only this machine can reach `host`.
fn is_loopback(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        _ => false,
    }
}
