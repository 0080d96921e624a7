//! `[server]`, `[admin]` and `[access]`: where faces are served, and to whom.

use std::{cell::Cell, net::IpAddr};

use http::HeaderValue;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    instances::quota,
    read::{Parsed, Size},
    section::Section,
    units::count,
};
use crate::{
    http::{Access, Mode, Origin, Proxies, SigningKey, Via},
    limits::Quota,
    server::{Address, Caps, CertificateFiles, Tls},
};

/// `[server]`, read.
pub(super) struct Server {
    pub(super) listen: Address,
    pub(super) caps: Caps,
    pub(super) tls: Option<CertificateFiles>,
    pub(super) origin: Origin,
    pub(super) proxies: Proxies,
    pub(super) client_rate: Quota,
}

pub(super) fn server(section: &Section<'_>) -> Server {
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
        send: section.or("send_timeout", defaults.send),
        drain: section.or("drain_timeout", defaults.drain),
    };
    let tls = tls(section, &listen.0);
    let server = Server {
        caps,
        origin: origin(section, tls.is_some()),
        tls,
        proxies: proxies(section),
        client_rate: quota(&section.section("client_rate"), 30_000, 3_000),
        listen: listen.0,
    };
    section.finish();
    server
}

fn origin(section: &Section<'_>, is_tls: bool) -> Origin {
    let Some(url) = section.optional::<String>("public_url") else {
        return Origin::Asked(if is_tls { "https" } else { "http" });
    };
    let is_origin = Url::parse(&url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.query().is_none()
    });
    if !is_origin {
        section.problem(
            "public_url",
            "is no http(s) URL; write what browsers see, such as https://faces.example".into(),
        );
    }
    Origin::Fixed(url.trim_end_matches('/').to_owned())
}

fn proxies(section: &Section<'_>) -> Proxies {
    let named: Vec<String> = section.or("trusted_proxies", Vec::new());
    let unix = named.iter().any(|name| name == "unix");
    let mut networks = Vec::new();
    for name in named.iter().filter(|name| *name != "unix") {
        let address = name.parse::<IpAddr>().map(IpNet::from).ok();
        match address.or_else(|| name.parse().ok()) {
            Some(network) => networks.push(network),
            None => section.problem(
                "trusted_proxies",
                format!("{name:?} is no network; write 10.0.0.0/8, 192.0.2.7, or unix for those who come through a Unix socket"),
            ),
        }
    }
    let header = match section
        .or("forwarded", "x-forwarded-for".to_owned())
        .as_str()
    {
        "x-forwarded-for" => Via::XForwardedFor,
        "forwarded" => Via::Forwarded,
        other => {
            section.problem(
                "forwarded",
                format!("{other:?} does not exist; write x-forwarded-for or forwarded"),
            );
            Via::XForwardedFor
        }
    };
    Proxies {
        networks,
        unix,
        header,
    }
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

pub(super) fn admin(section: &Section<'_>) -> (Address, Option<SecretString>) {
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

/// `[access]`, read.
pub(super) struct Entrance {
    pub(super) access: Access,
    pub(super) allow_origin: HeaderValue,
    /// Whether a listener that others can reach is right.
    pub(super) may_be_public: bool,
}

pub(super) fn access(section: &Section<'_>, listen: &Address) -> Entrance {
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
    let named = Cell::new(0);
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
    Entrance {
        may_be_public: access.mode == Mode::Signed || allow_public,
        access,
        allow_origin,
    }
}

fn address(ip: [u8; 4], port: u16) -> Address {
    Address::Tcp((ip, port).into())
}
