//! Fuzz target: the request heads that the HTTP/1 fast path accepts.

use hyper::Method;

use super::fast_path::head;

/// An accepted head is a GET or HEAD of an absolute path, and ends at the same byte whatever follows it.
pub fn request_head(received: &[u8]) {
    if let Ok(Some((request, length))) = head(received) {
        assert!(request.uri().path().starts_with('/'));
        assert!(matches!(*request.method(), Method::GET | Method::HEAD));
        assert!(matches!(head(&received[..length]), Ok(Some((_, same))) if same == length));
        assert!(matches!(head(&received[..length - 1]), Ok(None)));
    }
}
