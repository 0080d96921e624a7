//! The host that a request is for (RFC 9112 §3.2, RFC 9113 §8.3.1).

use http::{HeaderValue, StatusCode, Version, header, request::Parts, uri::Authority};

use super::problem::Problem;

/// A request names no host, several, or one that is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidHost;

/// Checks the host of a request, and writes it into `Host` where the request has it in its target. `Host` may be absent
/// over HTTP/1.0 alone.
pub(crate) fn check(head: &mut Parts) -> Result<(), InvalidHost> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let (field, other) = (fields.next(), fields.next());
    if other.is_some() || field.is_some_and(|field| !is_host(field.as_bytes())) {
        return Err(InvalidHost);
    }
    let Some(authority) = head.uri.authority() else {
        return match field {
            None if head.version > Version::HTTP_10 => Err(InvalidHost),
            _ => Ok(()),
        };
    };
    let authority = authority.as_str();
    let is_http2 = head.version == Version::HTTP_2;
    let differs =
        field.is_some_and(|field| !field.as_bytes().eq_ignore_ascii_case(authority.as_bytes()));
    let is_missing = field.is_none() && head.version == Version::HTTP_11;
    if !is_host(authority.as_bytes()) || is_missing || (is_http2 && differs) {
        return Err(InvalidHost);
    }
    let host = HeaderValue::from_str(authority).map_err(|_| InvalidHost)?;
    head.headers.insert(header::HOST, host);
    Ok(())
}

/// Whether a text is a host, with or without a port.
fn is_host(text: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let colon = text.iter().rposition(|byte| *byte == b':');
    let (host, port) = match colon {
        Some(colon) => (&text[..colon], &text[colon + 1..]),
        None => (text, &[][..]),
    };
    // Nearly all are a name or an IPv4 address.
    if !host.is_empty() && host.iter().all(is_name) {
        return is_port(port);
    }
    !text.contains(&b'@')
        && Authority::try_from(text).is_ok_and(|authority| {
            let host = authority.host();
            let port = authority.as_str()[host.len()..].strip_prefix(':');
            !host.is_empty() && port.is_none_or(|port| is_port(port.as_bytes()))
        })
}

/// Whether a text is a port, which may be empty (RFC 3986 §3.2.3).
fn is_port(text: &[u8]) -> bool {
    text.is_empty() || str::from_utf8(text).is_ok_and(|text| text.parse::<u16>().is_ok())
}

impl From<InvalidHost> for Problem {
    fn from(_: InvalidHost) -> Self {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "host",
            "The request names no host, or several",
            "send one Host header with a host name or an IP address, and perhaps a port",
        )
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(
        version: Version,
        target: &str,
        hosts: &[&str],
    ) -> Result<Option<String>, InvalidHost> {
        let mut request = Request::get(target).version(version);
        for host in hosts {
            request = request.header("host", *host);
        }
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        check(&mut head)?;
        let host = head.headers.get("host");
        Ok(host.map(|host| host.to_str().unwrap().to_owned()))
    }

    #[test]
    fn an_http_1_1_request_has_one_host() {
        let one = |hosts: &[&str]| checked(Version::HTTP_11, "/", hosts);
        for good in [
            "a.example",
            "a_b:80",
            "a:",
            "127.0.0.1:8080",
            "[::1]:8080",
            "localhost",
        ] {
            assert_eq!(one(&[good]), Ok(Some(good.to_owned())), "{good}");
        }
        for bad in [
            "", "a b", "a/b", "c@d", "a b/c@d", "[::1", "a:x", ":80", "a,b/", "a:65536", "a:b:80",
        ] {
            assert_eq!(one(&[bad]), Err(InvalidHost), "{bad:?}");
        }
        assert_eq!(one(&[]), Err(InvalidHost));
        assert_eq!(one(&["a", "a"]), Err(InvalidHost));
        assert_eq!(checked(Version::HTTP_10, "/", &[]), Ok(None));
    }

    #[test]
    fn the_host_of_the_target_takes_the_place_of_the_header() {
        let target = "http://a.example/x";
        let of_target = Ok(Some("a.example".to_owned()));
        assert_eq!(checked(Version::HTTP_11, target, &["b.example"]), of_target);
        assert_eq!(checked(Version::HTTP_11, target, &[]), Err(InvalidHost));
        assert_eq!(checked(Version::HTTP_2, target, &[]), of_target);
        assert_eq!(checked(Version::HTTP_2, target, &["A.example"]), of_target);
        assert_eq!(
            checked(Version::HTTP_2, target, &["b.example"]),
            Err(InvalidHost)
        );
    }
}
