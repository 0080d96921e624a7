//! Parses the head of a request for the fast path, with hyper's own parser, and refuses all that the fast path does not
//! speak: other methods than GET and HEAD, other versions than HTTP/1.1, bodies, and headers that are about the connection.

use std::mem::MaybeUninit;

use hyper::{HeaderMap, Method, Request, Uri, header};

/// The most headers of a request on the fast path.
const MOST_HEADERS: usize = 48;

/// Bytes that hyper has to read.
#[derive(Debug)]
pub(super) struct UnsupportedHead;

/// The request whose head `received` begins with, and the head's length; `None` while the head is incomplete.
pub(super) fn parse(received: &[u8]) -> Result<Option<(Request<()>, usize)>, UnsupportedHead> {
    if received.is_empty() {
        return Ok(None);
    }
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(received, &mut headers) {
        Ok(httparse::Status::Complete(length)) => {
            let request = supported(&parsed).ok_or(UnsupportedHead)?;
            Ok(Some((request, length)))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(UnsupportedHead),
    }
}

fn supported(parsed: &httparse::Request<'_, '_>) -> Option<Request<()>> {
    let method = match parsed.method? {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        _ => return None,
    };
    let target = parsed.path.filter(|target| target.starts_with('/'))?;
    if parsed.version != Some(1) {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = header::HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if is_about_connection(&name, field.value) {
            return None;
        }
        headers.append(name, header::HeaderValue::from_bytes(field.value).ok()?);
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(target).ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

/// Whether a header announces a body, or asks for more of the connection than to be kept alive.
fn is_about_connection(name: &header::HeaderName, value: &[u8]) -> bool {
    match *name {
        header::CONNECTION => !value.eq_ignore_ascii_case(b"keep-alive"),
        header::CONTENT_LENGTH
        | header::TRANSFER_ENCODING
        | header::UPGRADE
        | header::EXPECT
        | header::TE
        | header::TRAILER => true,
        _ => false,
    }
}
