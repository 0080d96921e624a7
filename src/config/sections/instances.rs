//! Reads `[instances.NAME]`: one account of a vendor.

use std::{net::IpAddr, num::NonZeroU32};

use http::HeaderValue;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{server::quota, upstream::Upstream};
use crate::{
    avatar::Jid,
    config::{
        Instance,
        key::{Key, Section},
        reader::Reader,
        setting::{SecretReference, TimeOfDay, UrlText},
    },
    limits::{AdmissionLimits, BudgetLimits, CooldownPolicy, Sensitivity},
    pipeline::Schedule,
    upstream::{self, Account, Guard, HostPattern, Vendor},
};

pub(super) const SECTION: Section = Section {
    name: "instances",
    about: "",
    keys: &[],
    sections: &[Section {
        name: "NAME",
        about: "One account of a vendor. Its name, here `NAME`, is part of the URLs of its faces: `/avatar/NAME/{jid}`.",
        keys: &[
            Key::required::<Vendor>("provider", "write the vendor", "The vendor."),
            Key::required::<String>(
                "account",
                "write the vendor's name for it: instanceName, instance_id, instance UUID or session",
                "The vendor's name for the account: `instanceName` (Wachat), `instance_id` (Wawp), the instance's UUID (Hypersender), the session (Wappfy, WAHA).",
            ),
            Key::required::<SecretReference>(
                "token",
                "write env:NAME or file:PATH of the vendor's API key",
                "The vendor's API key.",
            ),
            Key::optional::<UrlText>(
                "base_url",
                "the vendor's",
                "The URL of the vendor's API. Required for WAHA, which is self-hosted.",
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
                "The hosts that links to pictures may point to.",
            ),
            Key::new::<Vec<IpNet>>(
                "allow_private",
                "",
                "The private networks that may be reached, such as that of a gateway on this machine.",
            ),
        ],
        sections: &[
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
            Section {
                name: "empty_answers",
                about: "When empty answers are taken as a sign of a rate limit: if enough faces in a row lose their picture, or if nearly all of the latest answers are empty where fewer used to be.",
                keys: &[
                    Key::new::<NonZeroU32>(
                        "lost",
                        "3",
                        "How many faces in a row have to lose their picture.",
                    ),
                    Key::new::<NonZeroU32>(
                        "window",
                        "20",
                        "How many of the latest answers about faces without a picture are looked at.",
                    ),
                    Key::new::<NonZeroU32>(
                        "empty_percent",
                        "90",
                        "The share of those, in percent, that has to be empty.",
                    )
                    .within("1", "100"),
                    Key::new::<NonZeroU32>(
                        "usual_percent",
                        "50",
                        "The share of earlier answers, in percent, that may have been empty.",
                    )
                    .within("1", "100"),
                ],
                sections: &[],
            },
            Section {
                name: "warm",
                about: "A daily fetch of the faces that the account chatted with last. For vendors with a list of chats: Wawp, Wappfy, WAHA.",
                keys: &[
                    Key::optional::<TimeOfDay>("at", "never", "The time of day in UTC."),
                    Key::new::<NonZeroU32>("top", "50", "How many chats."),
                ],
                sections: &[],
            },
        ],
    }],
};

pub(super) fn read(
    reader: &Reader<'_>,
    upstream: &Upstream,
    cooldown_policy: &CooldownPolicy,
) -> Vec<Instance> {
    let tables = reader.children();
    if tables.is_empty() {
        reader.problem(
            "NAME",
            "there is no instance; add a table such as [instances.sales] with provider, account and token".into(),
        );
    }
    for (name, _) in &tables {
        if !is_name(name) {
            reader.problem(
                name,
                "an instance's name is made of letters, digits, - and _, at most 64 of them".into(),
            );
        }
    }
    let mut instances: Vec<Instance> = Vec::new();
    for (name, table) in tables {
        let Some(instance) = instance(name, &table, upstream, cooldown_policy) else {
            continue;
        };
        let is_same = |other: &&Instance| {
            (other.vendor, &other.client.base, &other.account.name)
                == (
                    instance.vendor,
                    &instance.client.base,
                    &instance.account.name,
                )
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
    instances
}

fn instance(
    name: &str,
    reader: &Reader<'_>,
    upstream: &Upstream,
    cooldown_policy: &CooldownPolicy,
) -> Option<Instance> {
    let vendor: Option<Vendor> = reader.optional("provider");
    let account: Option<String> = reader.optional("account");
    let token = token(reader);
    let own: Option<Jid> = reader.optional("own_jid");
    let base = base_url(reader, vendor);
    let guard = Guard {
        picture_hosts: reader.get("picture_hosts"),
        allow_private: reader.get("allow_private"),
    };
    let lookups = quota(&reader.section("lookups"));
    let refreshes = quota(&reader.section("refreshes"));
    let daily: Option<NonZeroU32> = reader.optional("daily");
    let sensitivity = sensitivity(&reader.section("empty_answers"));
    let warm = schedule(&reader.section("warm"), vendor);
    reader.finish();

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
    Some(Instance {
        name: name.to_owned(),
        vendor: vendor?,
        account: Account {
            name: account?,
            token: token?,
            own,
            params: Default::default(),
        },
        client: upstream::ClientSettings {
            base,
            guard,
            call_timeout: upstream.call_timeout,
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
        },
        warm,
    })
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
fn schedule(reader: &Reader<'_>, vendor: Option<Vendor>) -> Option<Schedule> {
    let at: Option<TimeOfDay> = reader.optional("at");
    let top = reader.get::<NonZeroU32>("top").get() as usize;
    reader.finish();
    if at.is_none() && reader.has("top") {
        reader.problem(
            "at",
            "is missing; write a time of day in UTC such as \"03:00\"".into(),
        );
    }
    let TimeOfDay(at) = at?;
    if vendor.is_some_and(|vendor| vendor.provider().chat_lister().is_none()) {
        reader.problem("at", "this vendor's API has no list of chats; leave it out, and run faceplate warm with a list of JIDs".into());
    }
    Some(Schedule { at, top })
}

fn base_url(reader: &Reader<'_>, vendor: Option<Vendor>) -> Option<Url> {
    let written: Option<UrlText> = reader.optional("base_url");
    let text = match (&written, vendor?.base_url()) {
        (Some(UrlText(text)), _) => text.as_str(),
        (None, Some(text)) => text,
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

fn sensitivity(reader: &Reader<'_>) -> Sensitivity {
    let sensitivity = Sensitivity {
        lost: reader.get::<NonZeroU32>("lost").get() as usize,
        window: reader.get::<NonZeroU32>("window").get() as usize,
        empty_percent: reader.get::<NonZeroU32>("empty_percent").get(),
        usual_percent: reader.get::<NonZeroU32>("usual_percent").get(),
    };
    reader.finish();
    sensitivity
}

/// Whether only this machine can reach `host`.
fn is_loopback(host: Option<Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        _ => false,
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
