//! The statuses that mean the same with every gateway, and the pause that a reply asks for.

use std::time::Duration;

use http::{StatusCode, header};
use serde_json::Value;

use super::words;
use crate::{
    avatar::Trouble,
    upstream::provider::{VendorAnswer, VendorFailure, VendorReply},
};

/// Reads an error by its status.
pub(super) fn read(
    reply: &VendorReply,
    json: Option<&Value>,
) -> Result<VendorAnswer, VendorFailure> {
    let (trouble, detail) = match reply.status {
        StatusCode::NOT_FOUND if is_unknown_route(reply, json) => (
            Trouble::VendorError,
            "the vendor has no such path (404); check base_url",
        ),
        // A wrong base URL or account must not look like contacts without pictures. Where a 404 means that there is
        // no picture, a rule of the description says so.
        StatusCode::NOT_FOUND => (
            Trouble::VendorError,
            "the vendor answered 404, about which its description says nothing; check base_url and account",
        ),
        StatusCode::TOO_MANY_REQUESTS => {
            let detail = "the vendor rate-limits this account (429)";
            let mut failure = VendorFailure::new(Trouble::RateLimited, detail);
            failure.retry_after = retry_after(reply);
            return Err(failure);
        }
        StatusCode::UNAUTHORIZED => (Trouble::Auth, "the vendor refused our credential (401)"),
        StatusCode::FORBIDDEN => (Trouble::Auth, "the vendor refused our credential (403)"),
        StatusCode::UNPROCESSABLE_ENTITY => {
            (Trouble::SessionDown, "the vendor's session is not working")
        }
        StatusCode::BAD_REQUEST => (
            Trouble::VendorError,
            "the vendor did not understand the request (400)",
        ),
        StatusCode::BAD_GATEWAY => (
            Trouble::VendorError,
            "the vendor could not reach its own upstream (502)",
        ),
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => (
            Trouble::VendorError,
            "the vendor timed out on its own upstream",
        ),
        status if status.is_redirection() => (
            Trouble::VendorError,
            "the vendor's API redirects; check base_url",
        ),
        status if status.is_server_error() => (Trouble::VendorError, "the vendor failed (5xx)"),
        _ => (
            Trouble::VendorError,
            "the vendor answered with an unexpected status",
        ),
    };
    Err(VendorFailure::new(trouble, detail))
}

/// Whether a 404 is that of the gateway's web framework: `Cannot GET /x` (Express), or a page of HTML.
pub(super) fn is_unknown_route(reply: &VendorReply, json: Option<&Value>) -> bool {
    match json {
        Some(json) => words::messages(json, 2)
            .iter()
            .any(|text| is_unknown_route_text(text)),
        None => std::str::from_utf8(&reply.body).is_ok_and(is_unknown_route_text),
    }
}

fn is_unknown_route_text(text: &str) -> bool {
    let text = text.trim_start();
    [
        "Cannot GET /",
        "Cannot POST /",
        "404 page not found",
        "<!DOCTYPE",
        "<!doctype",
        "<html",
    ]
    .iter()
    .any(|start| text.starts_with(start))
}

/// The pause that a reply asks for: `Retry-After` (RFC 9110 §10.2.3), seconds or a date, or a member of that name. A
/// date counts from the reply's own `Date`, because the vendor's clock may differ from ours.
pub(super) fn retry_after(reply: &VendorReply) -> Option<Duration> {
    in_headers(reply).or_else(|| {
        let json: Value = serde_json::from_slice(&reply.body).ok()?;
        let names = ["retry_after", "retryAfter"];
        let seconds = names.iter().find_map(|name| json.get(name)?.as_u64());
        seconds.map(Duration::from_secs)
    })
}

fn in_headers(reply: &VendorReply) -> Option<Duration> {
    let text = |name| reply.headers.get(name)?.to_str().ok().map(str::trim);
    let wanted = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(wanted).ok()?;
    let date = httpdate::parse_http_date(text(header::DATE)?).ok()?;
    Some(at.duration_since(date).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::description::reply;

    #[test]
    fn retry_after_is_read_from_the_header_or_the_body() {
        let mut limited = reply(429, r#"{"retry_after":30}"#);
        assert_eq!(retry_after(&limited), Some(Duration::from_secs(30)));
        limited.headers.insert("retry-after", "7".parse().unwrap());
        assert_eq!(retry_after(&limited), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_date_in_retry_after_counts_from_the_date_of_the_reply() {
        let mut limited = reply(429, "");
        let date = |text| http::HeaderValue::from_static(text);
        let headers = &mut limited.headers;
        headers.insert(header::RETRY_AFTER, date("Fri, 27 Nov 2026 08:01:30 GMT"));
        assert_eq!(retry_after(&limited), None);
        for (sent, wait) in [
            ("Fri, 27 Nov 2026 08:00:00 GMT", 90),
            ("Fri, 27 Nov 2026 09:00:00 GMT", 0),
        ] {
            limited.headers.insert(header::DATE, date(sent));
            assert_eq!(retry_after(&limited), Some(Duration::from_secs(wait)));
        }
    }

    #[test]
    fn a_404_of_the_web_framework_is_no_contact_without_a_picture() {
        for body in [
            r#"{"message":"Cannot GET /x","error":"Not Found","statusCode":404}"#,
            "Cannot POST /x",
            "<!DOCTYPE html><html>",
            "404 page not found",
        ] {
            let failure = read(&reply(404, body), serde_json::from_str(body).ok().as_ref());
            assert_eq!(failure.unwrap_err().why, Trouble::VendorError, "{body}");
        }
    }
}
