//! Fuzz target: the request heads that the HTTP/1 fast path accepts.

use hyper::Method;

use super::request_head::parse;

/// An accepted head is a GET or HEAD of an absolute path, and its end depends on no later byte.
pub fn request_head(received: &[u8]) {
    if let Ok(Some((request, length))) = parse(received) {
        assert!(request.uri().path().starts_with('/'));
        assert!(matches!(*request.method(), Method::GET | Method::HEAD));
        assert!(matches!(parse(&received[..length]), Ok(Some((_, same))) if same == length));
        assert!(matches!(parse(&received[..length - 1]), Ok(None)));
    }
}
