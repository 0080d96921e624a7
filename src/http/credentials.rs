//! Credentials in requests: bearer tokens, Basic passwords, and the checks of `Host` and `Origin` that keep
//! other sites' pages from using a browser's credentials.

use std::{net::IpAddr, slice};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderMap, HeaderValue, header, uri::Authority};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use url::{Host, Url};

/// Whether the request carries `token`, as a bearer token or as the password of Basic authentication.
pub(crate) fn has_token(headers: &HeaderMap, token: &SecretString) -> bool {
    let password = headers.get(header::AUTHORIZATION).and_then(|value| {
        let text = credentials(value, "Basic")?;
        let pair = BASE64.decode(text.trim()).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        Some(pair[colon + 1..].to_vec())
    });
    match password {
        Some(password) => is_secret(&password, token),
        None => has_bearer(headers, slice::from_ref(token)),
    }
}

/// Whether the request carries one of `tokens` as its bearer token.
pub(crate) fn has_bearer(headers: &HeaderMap, tokens: &[SecretString]) -> bool {
    let Some(given) = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| credentials(value, "Bearer"))
    else {
        return false;
    };
    // Every token is compared, so that the time does not depend on which one matches.
    tokens.iter().fold(false, |is_known, token| {
        is_secret(given.as_bytes(), token) | is_known
    })
}

/// The credentials of this scheme, whose name is case-insensitive (RFC 9110 §11.1).
fn credentials<'a>(value: &'a HeaderValue, scheme: &str) -> Option<&'a str> {
    let (given, credentials) = value.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then_some(credentials)
}

/// Compares hashes, in constant time: they all have one length, so the time does not reveal the secret's.
pub(crate) fn is_secret(given: &[u8], secret: &SecretString) -> bool {
    let given = blake3::hash(given);
    let secret = blake3::hash(secret.expose_secret().as_bytes());
    secret.as_bytes().ct_eq(given.as_bytes()).into()
}

/// Whether a browser sends this for a page that is not of this machine, or the request is for a name of
/// another site that resolves to this address (DNS rebinding).
pub(crate) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    if !host_is_local(headers) {
        return true;
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let page = text("origin").or_else(|| text("referer"));
    let is_elsewhere = |page: &str| {
        let page = Url::parse(page).ok();
        !page.is_some_and(|page| page.host().is_some_and(is_local))
    };
    match text("sec-fetch-site") {
        // 127.0.0.1 and localhost are two sites to a browser.
        Some("cross-site") => !is_navigation(headers) && page.is_none_or(is_elsewhere),
        Some(_) => false,
        // Older browsers do not send it, and programs send none of the three.
        None => page.is_some_and(is_elsewhere),
    }
}

fn is_local(host: Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Whether a page of another site sends this to learn something: an image that loads or fails tells it whether a face
/// is there. Following a link to a page of this server is allowed.
pub(crate) fn is_cross_site_read(headers: &HeaderMap) -> bool {
    !is_navigation(headers) && is_cross_site(headers)
}

/// Whether a person follows a link: a page in a frame is also navigated to, by another page.
fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("sec-fetch-mode") == Some("navigate")
        && matches!(text("sec-fetch-dest"), None | Some("document"))
}

/// Whether `Host` is absent, an IP address or a name of this machine. Any other name may belong to
/// another site that resolves it to this address (DNS rebinding).
pub(crate) fn host_is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST);
    let Some(host) = host.and_then(|host| host.to_str().ok()) else {
        return host.is_none();
    };
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || address.parse::<IpAddr>().is_ok()
}

/// Whether a browser sends this for a page of another site (CSRF).
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let origin = origin.split_once("://").map(|(_, authority)| authority);
            origin.is_none() || origin != text("host")
        }
        (None, None) => false,
    }
}
