//! A response: status, headers, and a body that is complete in memory or streamed.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{Response, StatusCode, header};

use super::{HeaderBlock, ReplyStream};

/// The body of a response for hyper.
pub type ReplyBody = Either<Full<Bytes>, ReplyStream>;

/// A response.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers, with `Content-Length` unless the status has no content or the body is a stream, and without `Date`.
    pub headers: HeaderBlock,
    /// The content.
    pub body: Bytes,
    /// The content of a streamed response. The fast path has none.
    pub stream: Option<ReplyStream>,
}

impl Reply {
    /// A response without content, such as a 204 or 304.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderBlock::for_reply(),
            body: Bytes::new(),
            stream: None,
        }
    }

    /// A response with content of type `media`.
    pub fn with_body(status: StatusCode, media: &str, body: Bytes) -> Self {
        let mut reply = Self::empty(status);
        reply.headers.add(header::CONTENT_TYPE, media);
        reply
            .headers
            .add_number(header::CONTENT_LENGTH, body.len() as u64);
        reply.body = body;
        reply
    }

    /// A response whose content, of type `media`, is streamed.
    pub fn with_stream(media: &str, stream: ReplyStream) -> Self {
        let mut reply = Self::empty(StatusCode::OK);
        reply.headers.add(header::CONTENT_TYPE, media);
        reply.stream = Some(stream);
        reply
    }
}

impl From<Reply> for Response<ReplyBody> {
    fn from(reply: Reply) -> Self {
        let mut response = Response::new(match reply.stream {
            Some(stream) => Either::Right(stream),
            None => Either::Left(Full::new(reply.body)),
        });
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers.into_map();
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_replaced_and_removed_by_their_whole_name() {
        let mut reply = Reply::with_body(StatusCode::OK, "image/png", Bytes::from_static(b"12"));
        reply.headers.add(header::AGE, "7");
        assert_eq!(reply.headers.get(&header::CONTENT_LENGTH), Some("2"));
        assert_eq!(reply.headers.get(&header::CONTENT_TYPE), Some("image/png"));
        assert_eq!(reply.headers.get(&header::ACCEPT), None);
        reply.headers.replace(header::CONTENT_TYPE, "image/webp");
        reply.headers.remove(&header::AGE);
        reply.headers.remove(&header::AGE);
        let response = Response::from(reply);
        assert_eq!(response.headers()["content-type"], "image/webp");
        assert_eq!(response.headers().len(), 2);
    }
}
