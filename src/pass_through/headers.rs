//! The headers that a proxy does not pass on (RFC 9110 §7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::SecretString;

use crate::http::credentials;

/// Headers about one connection, also when `Connection` does not list them.
const HOP_BY_HOP: [HeaderName; 8] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes the headers that are about one connection: those above, `Connection`, and those that it lists.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let listed = headers.get_all(header::CONNECTION).iter();
    let listed = listed.filter_map(|value| value.to_str().ok());
    let listed = listed.flat_map(|value| value.split(','));
    let listed: Vec<_> = listed
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .collect();
    for name in listed.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove(header::CONNECTION);
}

/// The headers for the vendor. A credential of this server stays here; the host is the vendor's; and `Via` says that
/// the request passed through (RFC 9110 §7.6.3).
pub(super) fn for_vendor(headers: &HeaderMap, own_tokens: &[SecretString]) -> HeaderMap {
    let mut headers = headers.clone();
    remove_hop_by_hop(&mut headers);
    headers.remove(header::HOST);
    // The server has answered `Expect`, or will answer it when the body is read.
    headers.remove(header::EXPECT);
    if credentials::has_bearer(&headers, own_tokens) {
        headers.remove(header::AUTHORIZATION);
    }
    headers.append(header::VIA, HeaderValue::from_static("1.1 faceplate"));
    headers
}

/// Whether a request asks to switch to WebSocket (RFC 6455 §4.1). Other protocols are not switched to: h2c would carry
/// requests that nothing here has checked.
pub(super) fn asks_for_web_socket(headers: &HeaderMap) -> bool {
    let is_web_socket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    headers.get(header::UPGRADE).is_some_and(is_web_socket)
}

/// Adds the headers of a switch to WebSocket, which are about one connection.
pub(super) fn add_web_socket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_connection_lists_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-One"),
            ("connection", "x-two"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
        ] {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-three"]);
    }
}
