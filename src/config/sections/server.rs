//! Reads `[server]`: the public listener.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use super::instances::quota;
use crate::config::{
    read::{Parsed, Size},
    section::Section,
    units::{address, count},
};
use crate::{
    compat::Origin,
    http::{Proxies, Via},
    limits::Quota,
    server::{Address, CertificateFiles, Limits, Tls},
};

/// `[server]`, read.
pub(super) struct Server {
    pub(super) listen: Address,
    pub(super) limits: Limits,
    pub(super) tls: Option<CertificateFiles>,
    pub(super) origin: Origin,
    pub(super) proxies: Proxies,
    pub(super) client_rate: Quota,
}

pub(super) fn server(section: &Section<'_>) -> Server {
    let defaults = Limits::default();
    let listen = section.or("listen", Parsed(address([127, 0, 0, 1], 8080)));
    let connections = section.or("max_connections", count(defaults.connections));
    let header_bytes = section.or("max_header", Size(defaults.header_bytes as u64));
    if !(8 * 1024..=1024 * 1024).contains(&header_bytes.0) {
        section.problem("max_header", "must be from 8KiB to 1MiB".into());
    }
    let limits = Limits {
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
        limits,
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
