//! What may be written, what it means, and what it must not be.

use std::{collections::BTreeSet, num::NonZeroU32, path::PathBuf, time::Duration};

use http::HeaderValue;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Config, Instance, Problems, Source, is_loopback,
    read::{Parsed, Size},
    section::{Findings, Section},
};
use crate::{
    avatar::{Jid, Negative, OnHidden, Policy},
    http::{Access, Mode, SigningKey},
    limits::{Pause, Quota, Sensitivity},
    pipeline,
    server::{Address, Caps, CertificateFiles, Tls},
    store,
    telemetry::log,
    upstream::{self, Account, Guard, HostPattern, Vendor},
};

/// Reads everything, and refuses everything that is wrong at once.
pub(super) fn check(source: &Source) -> Result<Config, Problems> {
    let findings = Findings::default();
    let root = Section::root(source, &findings);

    let (listen, caps, tls) = server(&root.section("server"));
    let (admin, admin_token) = admin(&root.section("admin"));
    let (access, allow_origin) = access(&root.section("access"), &listen);
    let upstream = Limits::read(&root.section("upstream"));
    let cache = root.section("cache");
    let (pipeline, pause) = pipeline(&cache);
    let store = store::Settings {
        dir: cache.or("dir", PathBuf::from("cache")),
        memory: cache.or("memory", Size(256 << 20)).0,
        tending: store::Tending {
            max_bytes: cache.or("max_bytes", Size(10 << 30)).0,
            max_entries: cache
                .optional::<NonZeroU32>("max_entries")
                .map_or(u64::MAX, |entries| u64::from(entries.get())),
            min_free: cache.or("min_free", Size(512 << 20)).0,
            gc_grace: cache.or("gc_grace", Duration::from_secs(3600)),
            files_per_second: cache.or("tend_files_per_second", count(500)).get(),
        },
        max_picture: upstream.max_picture,
    };
    cache.finish();
    let log = log(&root.section("log"));
    let instances = instances(&root.section("instances"), &upstream, &pause);
    root.finish();

    let problems = findings.problems.into_inner();
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    Ok(Config {
        listen,
        tls,
        caps,
        admin,
        admin_token,
        access,
        allow_origin,
        store,
        pipeline,
        instances,
        log,
        warnings: findings.warnings.into_inner(),
    })
}

/// What every instance's client has in common.
struct Limits {
    call_timeout: Duration,
    download_timeout: Duration,
    max_picture: usize,
    downloads: usize,
}

fn server(section: &Section<'_>) -> (Address, Caps, Option<CertificateFiles>) {
    let defaults = Caps::default();
    let listen = section.or("listen", Parsed(address([127, 0, 0, 1], 8080)));
    let connections = section.or("max_connections", count(defaults.connections));
    let header_bytes = section.or("max_header", Size(defaults.header_bytes as u64));
    if !(8 * 1024..=1024 * 1024).contains(&header_bytes.0) {
        section.problem("max_header", "must be from 8KiB to 1MiB".into());
    }
    let caps = Caps {
        connections: connections.get() as usize,
        header_read: section.or("header_timeout", defaults.header_read),
        streams: section
            .or("max_streams", count(defaults.streams as usize))
            .get(),
        header_bytes: header_bytes.0 as usize,
        drain: section.or("drain_timeout", defaults.drain),
    };
    let tls = tls(section, &listen.0);
    section.finish();
    (listen.0, caps, tls)
}

fn tls(section: &Section<'_>, listen: &Address) -> Option<CertificateFiles> {
    let files = (section.optional("certificate"), section.optional("key"));
    let files = match files {
        (None, None) => return None,
        (Some(certificate), Some(key)) => CertificateFiles { certificate, key },
        _ => {
            section.problem(
                "certificate",
                "certificate and key go together; write both, as paths of PEM files".into(),
            );
            return None;
        }
    };
    if matches!(listen, Address::Unix(_)) {
        section.problem(
            "certificate",
            "a Unix socket speaks no TLS; listen on an address, or leave certificate and key out"
                .into(),
        );
    }
    if let Err(error) = Tls::new(&files) {
        section.problem("certificate", error.to_string());
    }
    Some(files)
}

fn admin(section: &Section<'_>) -> (Address, Option<SecretString>) {
    let listen = section.or("listen", Parsed(address([127, 0, 0, 1], 9090)));
    let token: Option<String> = section.optional("token");
    let token = token.and_then(|text| section.secret("token", &text));
    if !listen.0.is_local() && token.is_none() {
        section.problem(
            "token",
            format!("{} can be reached from elsewhere; write token = \"file:/run/secrets/admin\", or listen on 127.0.0.1:9090", listen.0),
        );
    }
    section.finish();
    (listen.0, token)
}

fn access(section: &Section<'_>, listen: &Address) -> (Access, HeaderValue) {
    let mode = match section.or("mode", "signed".to_owned()).as_str() {
        "signed" => Mode::Signed,
        "open" => Mode::Open,
        other => {
            section.problem(
                "mode",
                format!("{other:?} does not exist; write signed or open"),
            );
            Mode::Signed
        }
    };
    let allow_public = section.or("allow_public", false);
    if mode == Mode::Open && !listen.is_local() && !allow_public {
        section.problem(
            "mode",
            format!("open shows every face to everybody who can reach {listen}; write signed, listen on 127.0.0.1, or set access.allow_public = true if that is what you want"),
        );
    }
    let named = std::cell::Cell::new(0);
    let secrets = |key: &'static str| -> Vec<_> {
        let references: Vec<String> = section.or(key, Vec::new());
        named.set(named.get() + references.len());
        let found = references
            .iter()
            .filter_map(|text| section.secret(key, text));
        found.collect()
    };
    let keys = secrets("signing_keys");
    if keys.iter().any(|key| key.expose_secret().len() < 16) {
        section.problem(
            "signing_keys",
            "a key is shorter than 16 characters; make one with: openssl rand -base64 32".into(),
        );
    }
    let bearer_tokens = secrets("bearer_tokens");
    if mode == Mode::Signed && named.get() == 0 {
        section.problem(
            "signing_keys",
            "nobody could get in: write signing_keys = [\"env:FACEPLATE_SIGNING_KEY\"] and set that variable to the output of: openssl rand -base64 32".into(),
        );
    }
    let origin = section.or("allow_origin", "*".to_owned());
    let allow_origin = HeaderValue::from_str(&origin).unwrap_or_else(|_| {
        section.problem(
            "allow_origin",
            "is no header value; write * or https://crm.example".into(),
        );
        HeaderValue::from_static("*")
    });
    section.finish();
    let access = Access {
        mode,
        keys: keys.iter().map(SigningKey::new).collect(),
        bearer_tokens,
    };
    (access, allow_origin)
}

fn pipeline(cache: &Section<'_>) -> (pipeline::Settings, Pause) {
    let defaults = Policy::default();
    let on_hidden = match cache.or("on_hidden", "keep".to_owned()).as_str() {
        "keep" => OnHidden::Keep,
        "drop" => OnHidden::Drop,
        other => {
            cache.problem(
                "on_hidden",
                format!("{other:?} does not exist; write keep or drop"),
            );
            OnHidden::Keep
        }
    };
    let (negative, pause) = negative(&cache.section("negative"));
    let settings = pipeline::Settings {
        policy: Policy {
            ttl: cache.or("ttl", defaults.ttl),
            stale_while_revalidate: cache
                .or("stale_while_revalidate", defaults.stale_while_revalidate),
            confirmations: cache.or("confirmations", count(3)).get(),
            on_hidden,
            forget_for: cache.or("forget_for", defaults.forget_for),
            negative,
        },
        first_paint: cache.or("first_paint", Duration::from_secs(2)),
    };
    (settings, pause)
}

fn negative(section: &Section<'_>) -> (Negative, Pause) {
    let (negative, pause) = (Negative::default(), Pause::default());
    let rate_limited = section.or("rate_limited", negative.rate_limited);
    let session_down = section.or("session_down", negative.session_down);
    let auth = section.or("auth", negative.auth);
    let pause = Pause {
        rate_limited_first: rate_limited,
        rate_limited_longest: section.or("rate_limited_longest", pause.rate_limited_longest),
        session_down,
        auth,
    };
    let negative = Negative {
        empty: section.or("empty", negative.empty),
        not_found: section.or("not_found", negative.not_found),
        session_down,
        auth,
        error_first: section.or("error_first", negative.error_first),
        error_longest: section.or("error_longest", negative.error_longest),
        rate_limited,
    };
    section.finish();
    (negative, pause)
}

fn log(section: &Section<'_>) -> log::Settings {
    let format = match section.or("format", "text".to_owned()).as_str() {
        "text" => log::Format::Text,
        "json" => log::Format::Json,
        other => {
            section.problem(
                "format",
                format!("{other:?} does not exist; write text or json"),
            );
            log::Format::Text
        }
    };
    let level = section.or("level", "info".to_owned());
    if let Err(remedy) = log::check_level(&level) {
        section.problem("level", remedy);
    }
    section.finish();
    log::Settings { format, level }
}

fn instances(section: &Section<'_>, limits: &Limits, pause: &Pause) -> Vec<Instance> {
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
            instance(name, &table, limits, pause)
        })
        .collect()
}

fn instance(name: &str, section: &Section<'_>, limits: &Limits, pause: &Pause) -> Option<Instance> {
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
        client: upstream::Settings {
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
        pause: pause.clone(),
        sensitivity,
    })
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

fn quota(section: &Section<'_>, per_minute: usize, burst: usize) -> Quota {
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
    fn read(section: &Section<'_>) -> Self {
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

fn address(ip: [u8; 4], port: u16) -> Address {
    Address::Tcp((ip, port).into())
}

fn count(number: usize) -> NonZeroU32 {
    u32::try_from(number)
        .ok()
        .and_then(NonZeroU32::new)
        .unwrap_or(NonZeroU32::MAX)
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
