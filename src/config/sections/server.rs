//! Reads `[server]`: the public listener.

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use ipnet::IpNet;
use toml::Value;
use url::Url;

use crate::{
    compat::Origin,
    config::{
        key::{Key, Kind, Section},
        reader::Reader,
        setting::{Setting, Size, UrlText},
    },
    http::{ClientHeader, Proxies},
    in_flight::InFlight,
    limits::Quota,
    server::{Address, CertificateFiles, Limits, SealedFiles, Settings, Tls},
};

pub(super) const SECTION: Section = Section {
    name: "server",
    about: "The public listener, which serves faces.",
    keys: &[
        Key::new::<Address>(
            "listen",
            "127.0.0.1:8080",
            "The address to listen on: `address:port`, or `unix:/path` for a Unix socket.",
        )
        .at_restart(),
        Key::optional::<PathBuf>(
            "certificate",
            "no TLS",
            "The PEM file with the certificate chain. It is read again when it changes.",
        )
        .reloads_except("turning TLS on or off"),
        Key::optional::<PathBuf>(
            "key",
            "no TLS",
            "The PEM file with the certificate's private key.",
        ),
        Key::optional::<UrlText>(
            "public_url",
            "the host of the request",
            "The beginning of links to faces in JSON and of what `faceplate sign` prints, as browsers see it.",
        ),
        Key::new::<NonZeroU32>(
            "max_connections",
            "10000",
            "Connections that may be open at once; further ones wait.",
        )
        .at_restart(),
        Key::new::<Duration>(
            "header_timeout",
            "30s",
            "How long a client may take to send a request's head, and how long an idle connection is kept.",
        )
        .at_restart(),
        Key::new::<Duration>(
            "body_timeout",
            "10s",
            "How long a client may take to send the body of a request; then it gets 408.",
        ),
        Key::new::<Duration>(
            "send_timeout",
            "30s",
            "How long a client may read nothing of its response before the connection is closed.",
        )
        .at_restart(),
        Key::new::<Size>(
            "max_header",
            "16KiB",
            "The largest head of a request; a larger one is answered with 431.",
        )
        .within("8KiB", "1MiB")
        .at_restart(),
        Key::new::<NonZeroU32>(
            "max_streams",
            "128",
            "Requests that may be under way at once on an HTTP/2 connection.",
        )
        .at_restart(),
        Key::new::<Size>(
            "in_flight",
            "32MiB",
            "Pictures in memory that no cache holds, because they are being sent. Beyond it, requests wait up to 2 s and get 503.",
        )
        .within("64KiB", "1TiB")
        .at_restart(),
        Key::new::<Duration>(
            "drain_timeout",
            "10s",
            "How long requests under way may take to finish after the shutdown begins.",
        )
        .at_restart(),
        Key::new::<bool>(
            "fast_path",
            "true",
            "Whether GET and HEAD over HTTP/1.1 take a shorter path than other requests. `false` lets hyper read all requests.",
        )
        .at_restart(),
        Key::new::<bool>(
            "sendfile",
            "true",
            "Whether that path sends long pictures out of files in memory. `false` copies them for each request.",
        )
        .at_restart(),
        Key::new::<Vec<TrustedProxy>>(
            "trusted_proxies",
            "",
            "The proxies whose header is trusted for the client's address: networks, and `unix` for Unix sockets.",
        ),
        Key::new::<ClientHeader>(
            "forwarded",
            "x-forwarded-for",
            "The header in which those proxies send the client's address; `forwarded` is that of RFC 7239.",
        ),
    ],
    sections: &[Section {
        name: "client_rate",
        about: "How many requests a client may make. A client is an IPv4 address or a /64 of IPv6; beyond the rate it gets 429.",
        keys: &[
            Key::new::<NonZeroU32>("per_minute", "30000", "Requests a minute, on average."),
            Key::new::<NonZeroU32>("burst", "3000", "Requests at once."),
        ],
        sections: &[],
    }],
};

/// The values of `[server]`.
pub(super) struct Server {
    pub(super) listen: Address,
    pub(super) settings: Settings,
    pub(super) tls: Option<CertificateFiles>,
    pub(super) body_timeout: Duration,
    pub(super) origin: Origin,
    pub(super) proxies: Proxies,
    pub(super) client_rate: Quota,
}

/// A proxy that may say which client a request is from.
#[derive(Clone, Copy, Debug)]
enum TrustedProxy {
    Network(IpNet),
    /// Any process that connects through a Unix socket.
    Unix,
}

pub(super) fn read(reader: &Reader<'_>) -> Server {
    let listen: Address = reader.get("listen");
    let limits = Limits {
        connections: reader.get::<NonZeroU32>("max_connections").get() as usize,
        header_read: reader.get("header_timeout"),
        streams: reader.get::<NonZeroU32>("max_streams").get(),
        header_bytes: reader.get::<Size>("max_header").0 as usize,
        send: reader.get("send_timeout"),
        drain: reader.get("drain_timeout"),
    };
    let settings = Settings {
        limits,
        fast_path: reader.get("fast_path"),
        sendfile: reader.get("sendfile"),
        in_flight: InFlight::new(reader.get::<Size>("in_flight").0),
        sealed_files: SealedFiles::default(),
    };
    let tls = tls(reader, &listen);
    let proxies = proxies(reader);
    let server = Server {
        listen,
        settings,
        body_timeout: reader.get("body_timeout"),
        origin: origin(reader, tls.is_some(), &proxies),
        tls,
        proxies,
        client_rate: quota(&reader.section("client_rate")),
    };
    reader.finish();
    server
}

/// A rate, for clients here and for accounts in `[instances]`.
pub(super) fn quota(reader: &Reader<'_>) -> Quota {
    let quota = Quota {
        per_minute: reader.get("per_minute"),
        burst: reader.get("burst"),
    };
    reader.finish();
    quota
}

fn origin(reader: &Reader<'_>, is_tls: bool, proxies: &Proxies) -> Origin {
    let Some(UrlText(url)) = reader.optional("public_url") else {
        if !is_tls && (proxies.unix || !proxies.networks.is_empty()) {
            reader.warning(
                "public_url",
                "is not set, so links to faces in JSON begin with http://, which a browser blocks on a page that the proxy \
                 serves over https; write what browsers see, such as https://faces.example",
            );
        }
        return Origin::OfRequest(if is_tls { "https" } else { "http" });
    };
    let is_origin = Url::parse(&url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.query().is_none()
    });
    if !is_origin {
        reader.problem(
            "public_url",
            "is not an http(s) URL; write what browsers see, such as https://faces.example".into(),
        );
    }
    Origin::Fixed(url.trim_end_matches('/').to_owned())
}

fn proxies(reader: &Reader<'_>) -> Proxies {
    let trusted: Vec<TrustedProxy> = reader.get("trusted_proxies");
    let networks = trusted.iter().filter_map(|proxy| match proxy {
        TrustedProxy::Network(network) => Some(*network),
        TrustedProxy::Unix => None,
    });
    Proxies {
        networks: networks.collect(),
        unix: trusted
            .iter()
            .any(|proxy| matches!(proxy, TrustedProxy::Unix)),
        header: reader.get("forwarded"),
    }
}

fn tls(reader: &Reader<'_>, listen: &Address) -> Option<CertificateFiles> {
    let files = (reader.optional("certificate"), reader.optional("key"));
    let files = match files {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
        _ => {
            reader.problem(
                "certificate",
                "certificate and key go together; write both, as paths of PEM files".into(),
            );
            None
        }
    };
    reader.changes_at_restart("certificate", &files.is_some());
    let files = files?;
    if matches!(listen, Address::Unix(_)) {
        reader.problem(
            "certificate",
            "TLS is not possible on a Unix socket; listen on an address, or leave certificate and key out"
                .into(),
        );
    }
    if let Err(error) = Tls::new(&files) {
        reader.problem("certificate", error.to_string());
    }
    Some(files)
}

impl Setting for TrustedProxy {
    const KIND: Kind = Kind::Network;

    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        if text == "unix" {
            return Ok(TrustedProxy::Unix);
        }
        let address = text.parse::<IpAddr>().map(IpNet::from).ok();
        let network = address.or_else(|| text.parse().ok());
        network.map(TrustedProxy::Network).ok_or_else(|| {
            format!("{text:?} is not a network; write 10.0.0.0/8, 192.0.2.7, or unix for clients that connect through a Unix socket")
        })
    }
}
