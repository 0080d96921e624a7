//! `[instances.NAME]`: the accounts, and what their clients have in common (`[upstream]`).

use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use http::HeaderValue;
use ipnet::IpNet;
use secrecy::ExposeSecret;
use url::Url;

use crate::config::{
    Instance, is_loopback,
    read::{Parsed, Size, TimeOfDay},
    section::Section,
    units::count,
};
use crate::{
    avatar::Jid,
    limits::{CooldownPolicy, Quota, Sensitivity},
    pipeline::Schedule,
    upstream::{self, Account, Guard, HostPattern, Vendor},
};

/// What every instance's client has in common.
pub(super) struct Limits {
    call_timeout: Duration,
    download_timeout: Duration,
    pub(super) max_picture: usize,
    downloads: usize,
}

pub(super) fn instances(
    section: &Section<'_>,
    limits: &Limits,
    cooldown: &CooldownPolicy,
) -> Vec<Instance> {
    let tables = section.children();
    if tables.is_empty() {
        section.problem(
            "NAME",
            "there is no instance; add a table such as [instances.sales] with provider, account and token".into(),
        );
    }
    let mut names = BTreeSet::new();
    tables
        .into_iter()
        .filter_map(|(name, table)| {
            if !is_name(name) || !names.insert(name) {
                section.problem(
                    name,
                    "an instance's name is made of letters, digits, - and _, at most 64 of them"
                        .into(),
                );
            }
            instance(name, &table, limits, cooldown)
        })
        .collect()
}

fn instance(
    name: &str,
    section: &Section<'_>,
    limits: &Limits,
    cooldown: &CooldownPolicy,
) -> Option<Instance> {
    let known = Vendor::ALL.map(Vendor::as_str).join(", ");
    let vendor: Option<Parsed<Vendor>> =
        section.required("provider", &format!("write one of {known}"));
    let account: Option<String> = section.required(
        "account",
        "write the vendor's name for it: instanceName, instance_id, instance UUID or session",
    );
    let token: Option<String> = section.required(
        "token",
        "write env:NAME or file:PATH of the vendor's API key",
    );
    let token = token.and_then(|text| section.secret("token", &text));
    if token
        .as_ref()
        .is_some_and(|token| HeaderValue::from_str(token.expose_secret()).is_err())
    {
        section.problem(
            "token",
            "the secret holds characters that no HTTP header can carry".into(),
        );
    }
    let own: Option<Parsed<Jid>> = section.optional("own_jid");
    let base = base_url(section, vendor.as_ref().map(|vendor| vendor.0));
    let hosts = section.or("picture_hosts", default_hosts());
    let private: Vec<IpNet> = section.or("allow_private", Vec::new());
    let lookups = quota(&section.section("lookups"), 30, 10);
    let refreshes = quota(&section.section("refreshes"), 4, 2);
    let daily = section.optional("daily");
    let sensitivity = sensitivity(&section.section("empty_answers"));
    let warm = schedule(
        &section.section("warm"),
        vendor.as_ref().map(|vendor| vendor.0),
    );
    section.finish();

    let guard = Guard {
        picture_hosts: hosts.into_iter().map(|host| host.0).collect(),
        allow_private: private,
    };
    let base = base?;
    if base.scheme() == "http" && guard.allow_private.is_empty() {
        section.problem(
            "base_url",
            "plain http sends the API key in the open; write https, or list the gateway's network in allow_private".into(),
        );
    }
    if is_loopback(base.host()) && guard.allow_private.is_empty() {
        section.problem(
            "allow_private",
            "the gateway is on this machine; write allow_private = [\"127.0.0.0/8\"]".into(),
        );
    }
    Some(Instance {
        name: name.to_owned(),
        vendor: vendor?.0,
        account: Account {
            name: account?,
            token: token?,
            own: own.map(|jid| jid.0),
        },
        client: upstream::ClientSettings {
            base,
            guard,
            call_timeout: limits.call_timeout,
            download_timeout: limits.download_timeout,
            max_picture: limits.max_picture,
            downloads: limits.downloads,
        },
        lookups,
        refreshes,
        daily,
        cooldown: cooldown.clone(),
        sensitivity,
        warm,
    })
}

/// A warm-up every day, where `at` is set.
fn schedule(section: &Section<'_>, vendor: Option<Vendor>) -> Option<Schedule> {
    let at: Option<TimeOfDay> = section.optional("at");
    let top: Option<NonZeroU32> = section.optional("top");
    section.finish();
    if at.is_none() && top.is_some() {
        section.problem(
            "at",
            "is missing; write a time of day in UTC such as \"03:00\"".into(),
        );
    }
    let at = at?.0;
    let top = top.unwrap_or(count(50)).get() as usize;
    if vendor.is_some_and(|vendor| vendor.provider().chat_lister().is_none()) {
        section.problem("at", "this vendor's API has no list of chats; leave it out, and run faceplate warm with a list of JIDs".into());
    }
    Some(Schedule { at, top })
}

fn base_url(section: &Section<'_>, vendor: Option<Vendor>) -> Option<Url> {
    let written: Option<String> = section.optional("base_url");
    let text = match (&written, vendor?.base_url()) {
        (Some(text), _) => text.as_str(),
        (None, Some(text)) => text,
        (None, None) => {
            section.problem("base_url", "is missing; this gateway is self-hosted: write where it listens, such as https://waha.example".into());
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
            section.problem(
                "base_url",
                "is not a plain http(s) URL; write for example https://waha.example".into(),
            );
            None
        }
    }
}

/// So many calls, on average and at once.
pub(super) fn quota(section: &Section<'_>, per_minute: usize, burst: usize) -> Quota {
    let quota = Quota {
        per_minute: section.or("per_minute", count(per_minute)),
        burst: section.or("burst", count(burst)),
    };
    section.finish();
    quota
}

fn sensitivity(section: &Section<'_>) -> Sensitivity {
    let defaults = Sensitivity::default();
    let percent = |key: &'static str, default: u32| {
        let percent = section.or(key, count(default as usize)).get();
        if percent > 100 {
            section.problem(key, "is a percentage; write 1 to 100".into());
        }
        percent
    };
    let sensitivity = Sensitivity {
        lost: section.or("lost", count(defaults.lost)).get() as usize,
        window: section.or("window", count(defaults.window)).get() as usize,
        empty_percent: percent("empty_percent", defaults.empty_percent),
        usual_percent: percent("usual_percent", defaults.usual_percent),
    };
    section.finish();
    sensitivity
}

impl Limits {
    pub(super) fn read(section: &Section<'_>) -> Self {
        let limits = Self {
            call_timeout: section.or("call_timeout", Duration::from_secs(12)),
            download_timeout: section.or("download_timeout", Duration::from_secs(10)),
            max_picture: section.or("max_picture", Size(5 << 20)).0 as usize,
            downloads: section.or("downloads", count(16)).get() as usize,
        };
        for (key, timeout) in [
            ("call_timeout", limits.call_timeout),
            ("download_timeout", limits.download_timeout),
        ] {
            if timeout.is_zero() {
                section.problem(
                    key,
                    "must be longer than 0; nothing ever answers at once".into(),
                );
            }
        }
        section.finish();
        limits
    }
}

fn default_hosts() -> Vec<Parsed<HostPattern>> {
    ["*.whatsapp.net", "web.whatsapp.com"]
        .into_iter()
        .filter_map(|host| host.parse().ok().map(Parsed))
        .collect()
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
