//! Picture links: repairing and unwrapping them, their expiry, and the identity of the picture behind them.

use http::Uri;
use url::Url;

use super::link_text::repair;
use crate::clock::Timestamp;

/// A link to a picture on WhatsApp's CDN.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    url: Url,
}

/// A malformed link. The message never contains the link, which is as good as the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    /// Not an absolute `http` or `https` URL.
    #[error("the vendor's picture link is not an absolute http(s) URL")]
    NotHttp,
    /// `user:password@` in a link, which can disguise the host.
    #[error("the vendor's picture link carries credentials")]
    Credentials,
}

// === impl Link ===

impl Link {
    /// Parses a link as a vendor wrote it. Its escapes are removed, and so is WhatsApp Web's `…/pp?e=` wrapper.
    pub fn parse(text: &str) -> Result<Self, BadLink> {
        let repaired = repair(text);
        let url = Url::parse(&repaired).map_err(|_| BadLink::NotHttp)?;
        let mut url = unwrap_pp(&url).unwrap_or(url);
        // The root of DNS: `whatsapp.net.` is the same host, which no certificate and no pattern names so.
        if let Some(host) = url.host_str().and_then(|host| host.strip_suffix('.')) {
            let host = host.to_owned();
            url.set_host(Some(&host)).map_err(|_| BadLink::NotHttp)?;
        }
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(BadLink::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadLink::Credentials);
        }
        Ok(Self { url })
    }

    /// The target of a redirect from this link.
    pub fn resolve(&self, location: &str) -> Result<Self, BadLink> {
        let url = self.url.join(location).map_err(|_| BadLink::NotHttp)?;
        Link::parse(url.as_str())
    }

    /// The link's expiry: the `oe` parameter, Unix time in hexadecimal.
    pub fn expires(&self) -> Option<Timestamp> {
        let (_, value) = self.url.query_pairs().find(|(name, _)| name == "oe")?;
        u64::from_str_radix(&value, 16)
            .ok()
            .map(Timestamp::from_secs)
    }

    /// The identity of the picture behind the link: a hash of scheme, host, port, path and query, without
    /// the parameters of the query that are new in every answer. A hash, because a link may be a secret or
    /// have a phone number in it.
    pub fn picture_id(&self) -> String {
        const LENGTH: usize = 32;
        let mut hasher = blake3::Hasher::new();
        let mut add = |part: &str| {
            hasher.update(part.as_bytes()).update(b"\n");
        };
        add(&self.url.origin().ascii_serialization());
        add(self.url.path());
        let parameters = self.url.query_pairs();
        for (name, value) in parameters.filter(|(name, _)| !is_volatile(name)) {
            add(&name);
            add(&value);
        }
        hasher.finalize().to_hex()[..LENGTH].to_owned()
    }

    /// The last segment of the path.
    pub fn file_name(&self) -> &str {
        let segments = self.url.path_segments();
        segments
            .and_then(|mut parts| parts.next_back())
            .unwrap_or_default()
    }

    /// Whether the scheme is `https`.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host, in lower case, and the port.
    pub fn origin(&self) -> (&str, u16) {
        (
            self.url.host_str().unwrap_or_default(),
            self.url.port_or_known_default().unwrap_or_default(),
        )
    }

    /// The host and the port for the log: `cdn.example`, `10.0.0.7:9000`.
    pub fn shown_host(&self) -> String {
        log_host(&self.url)
    }

    /// The link as a URI, for the client. Fails for a URL that is not a valid URI.
    pub fn uri(&self) -> Result<Uri, BadLink> {
        // A fragment is never sent.
        let mut url = self.url.clone();
        url.set_fragment(None);
        url.as_str().parse().map_err(|_| BadLink::NotHttp)
    }
}

/// The host of a URL for the log, and its port unless it is that of the scheme. A run of digits that may be a phone number
/// is left out.
pub(super) fn log_host(url: &Url) -> String {
    const LONGEST: usize = 100;
    let mut shown = String::new();
    let host = url.host_str().unwrap_or_default();
    for part in host.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        let rest = &part[digits.len()..];
        shown.push_str(if digits.len() > 4 { "*" } else { digits });
        shown.push_str(rest);
    }
    if shown.len() > LONGEST {
        shown = shown.chars().take(LONGEST).chain(['…']).collect();
    }
    match url.port() {
        Some(port) => format!("{shown}:{port}"),
        None => shown,
    }
}

/// Whether WhatsApp's CDN changes this parameter of a link with every answer: signature, expiry, and how to
/// reach the CDN. `stp`, which is the size of the picture, stays.
fn is_volatile(parameter: &str) -> bool {
    matches!(parameter, "oh" | "oe" | "ccb") || parameter.starts_with("_nc_")
}

/// The link inside of WhatsApp Web's wrapper.
fn unwrap_pp(url: &Url) -> Option<Url> {
    if url.path() != "/pp" {
        return None;
    }
    let (_, inner) = url.query_pairs().find(|(name, _)| name == "e")?;
    Url::parse(&inner).ok()
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUBLISHED: &str = "https://pps.whatsapp.net/v/t61.24694-24/374498176_337577482181161_7091117586184162691_n.jpg?ccb=11-4&oh=01_Q5Aa3gEERUGD4fegyplSv2MnHmt_UIA9JnpjREhSJMNVWZC-RA&oe=6970FAAA&_nc_sid=5e03e0&_nc_cat=104";

    #[test]
    fn the_oe_parameter_is_the_expiry() {
        let link = Link::parse(PUBLISHED).unwrap();
        // 2026-01-21T16:11:22Z
        assert_eq!(link.expires(), Some(Timestamp::from_secs(1_769_011_882)));
        assert_eq!(Link::parse("https://a.example/x").unwrap().expires(), None);
    }

    fn picture_id(text: &str) -> String {
        Link::parse(text).unwrap().picture_id()
    }

    #[test]
    fn signature_and_expiry_do_not_identify_a_picture() {
        for (part, other) in [
            ("oe=6970FAAA", "oe=6979FAAA"),
            ("oh=01_Q5Aa3g", "oh=01_Q5Aa3h"),
            ("ccb=11-4", "ccb=11-5"),
            ("_nc_sid=5e03e0", "_nc_sid=5e03e1"),
            ("&_nc_cat=104", ""),
        ] {
            let other = PUBLISHED.replace(part, other);
            assert_eq!(picture_id(&other), picture_id(PUBLISHED), "{part}");
        }
    }

    #[test]
    fn scheme_host_path_and_other_parameters_identify_a_picture() {
        for (part, other) in [
            ("https:", "http:"),
            ("pps.", "media-fra3-1.cdn."),
            ("whatsapp.net/", "whatsapp.net:8443/"),
            ("t61.24694-24", "t61.24694-25"),
            ("_n.jpg?", "_n.jpg?stp=dst-jpg_s96x96&"),
            ("_n.jpg?", "_n.jpg?v=2&"),
        ] {
            let other = PUBLISHED.replace(part, other);
            assert_ne!(picture_id(&other), picture_id(PUBLISHED), "{part} {other}");
        }
    }

    #[test]
    fn escaped_ampersands_in_a_link_are_repaired() {
        for escaped in ["&amp;", "\\u0026"] {
            assert_eq!(
                Link::parse(&PUBLISHED.replace('&', escaped)),
                Link::parse(PUBLISHED)
            );
        }
    }

    #[test]
    fn a_final_dot_of_the_host_is_removed() {
        let dotted = PUBLISHED.replace("whatsapp.net/", "whatsapp.net./");
        assert_eq!(Link::parse(&dotted), Link::parse(PUBLISHED));
    }

    #[test]
    fn whatsapp_web_s_wrapper_around_a_link_is_removed() {
        let inner: String = url::form_urlencoded::byte_serialize(PUBLISHED.as_bytes()).collect();
        let wrapped = format!("https://web.whatsapp.com/pp?e={inner}&t=l&u=1%40c.us&i=2&n=3");
        assert_eq!(Link::parse(&wrapped), Link::parse(PUBLISHED));
    }

    #[test]
    fn anything_but_an_absolute_http_url_without_credentials_is_refused() {
        for (text, why) in [
            ("", BadLink::NotHttp),
            ("/v/t61/a.jpg", BadLink::NotHttp),
            ("file:///etc/passwd", BadLink::NotHttp),
            ("javascript:alert(1)", BadLink::NotHttp),
            (
                "https://pps.whatsapp.net@evil.example/",
                BadLink::Credentials,
            ),
        ] {
            assert_eq!(Link::parse(text), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_a_link_never_panics(text in "\\PC{0,200}") {
            if let Ok(link) = Link::parse(&text) {
                let _ = (link.expires(), link.uri(), link.origin());
                let _ = link.resolve(&text);
            }
        }
    }
}
