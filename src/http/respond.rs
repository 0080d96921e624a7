//! Responses that may not be cached: pages, documents and JSON.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde::Serialize;

use super::problem::Problem;
use crate::server::Reply;

/// A page of this server shows pictures from its own origin, and brings its own styles and scripts.
const PAGE_CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'";

/// A response that no cache may store.
pub(crate) fn uncached(status: StatusCode, media: &str, body: Bytes) -> Reply {
    let mut reply = Reply::with_body(status, media, body);
    let headers = &mut reply.headers;
    headers.add(header::CACHE_CONTROL, "no-store");
    headers.add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    headers.add(header::REFERRER_POLICY, "no-referrer");
    reply
}

/// An HTML page of this server.
pub(crate) fn page(html: Bytes) -> Reply {
    let mut reply = uncached(StatusCode::OK, "text/html; charset=utf-8", html);
    reply.headers.add(header::CONTENT_SECURITY_POLICY, PAGE_CSP);
    reply
}

/// A JSON document that is text already.
pub(crate) fn document(body: Bytes) -> Reply {
    uncached(StatusCode::OK, "application/json", body)
}

/// `value` as JSON.
pub(crate) fn json(value: &impl Serialize) -> Reply {
    // Records of strings and numbers cannot fail to serialize.
    let body = serde_json::to_vec(value).unwrap_or_default();
    uncached(StatusCode::OK, "application/json", body.into())
}

/// The reply to a request of this method, or the problem with it.
pub(crate) fn complete<E>(result: Result<Reply, E>, method: &Method) -> Reply
where
    Problem: From<E>,
{
    let mut reply = result.unwrap_or_else(|error| Problem::from(error).into_reply());
    finish(&mut reply, method);
    reply
}

/// Removes the body if `method` is HEAD.
pub(crate) fn finish(reply: &mut Reply, method: &Method) {
    if *method == Method::HEAD {
        remove_body(reply);
    }
}

/// Removes the body for HEAD. The headers stay as for GET, `Content-Length` included (RFC 9110 §9.3.2).
pub(crate) fn remove_body(reply: &mut Reply) {
    reply.body = Bytes::new();
    reply.stream = None;
}
