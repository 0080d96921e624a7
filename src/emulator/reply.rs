//! A reply before it is sent, and the faults of its body on the wire.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, SizeHint},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::Serialize;

/// A reply.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
    delivery: Delivery,
}

/// The way in which the body is sent.
enum Delivery {
    Whole,
    /// Part of the body, then the connection is dropped; `Content-Length` is `declared`.
    Dropped {
        declared: usize,
    },
    /// The body, then filler; with `Content-Length` or chunked.
    Padded {
        filler: u64,
        declared: bool,
    },
}

/// The body of a [`Reply`] while it is sent, and its ending.
pub(super) struct ReplyBody {
    first: Option<Bytes>,
    filler: u64,
    ending: Ending,
    declared: bool,
}

enum Ending {
    Complete,
    /// Drop the connection after the bytes were flushed.
    DropAfterFlush,
    Drop,
}

// === impl Reply ===

impl Reply {
    pub(super) fn new(status: u16, media_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: vec![(CONTENT_TYPE, media_type.to_owned())],
            body: body.into(),
            delivery: Delivery::Whole,
        }
    }

    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        // The emulator's own types always serialize: their keys are strings.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self::new(status, "application/json; charset=utf-8", body)
    }

    pub(super) fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain", body)
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends the first half, with a matching `Content-Length`.
    pub(super) fn truncate(mut self) -> Self {
        self.body.truncate(self.body.len() / 2);
        self
    }

    /// Sends the whole body, with a `Content-Length` half as large again.
    pub(super) fn overstate_length(mut self) -> Self {
        let declared = self.body.len() + self.body.len() / 2 + 1;
        self.delivery = Delivery::Dropped { declared };
        self
    }

    /// Sends the first half, then drops the connection.
    pub(super) fn reset(mut self) -> Self {
        let declared = self.body.len();
        self.body.truncate(declared / 2);
        self.delivery = Delivery::Dropped { declared };
        self
    }

    /// Sends the body, then filler, `bytes` in all.
    pub(super) fn pad(mut self, bytes: u64, declared: bool) -> Self {
        let filler = bytes.saturating_sub(self.body.len() as u64);
        self.delivery = Delivery::Padded { filler, declared };
        self
    }

    pub(super) fn into_response(self) -> Response<ReplyBody> {
        let mut headers = self.headers;
        let mut body = ReplyBody {
            first: Some(self.body).filter(|body| !body.is_empty()),
            filler: 0,
            ending: Ending::Complete,
            declared: true,
        };
        match self.delivery {
            Delivery::Whole => {}
            Delivery::Padded { filler, declared } => {
                body.filler = filler;
                body.declared = declared;
            }
            Delivery::Dropped { declared } => {
                headers.push((CONTENT_LENGTH, declared.to_string()));
                body.ending = Ending::DropAfterFlush;
                body.declared = false;
            }
        }
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        for (name, value) in headers {
            // A redirect's location is the user's text, which may be no valid header value.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

// === impl ReplyBody ===

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let body = self.get_mut();
        if let Some(piece) = body.first.take().or_else(|| body.next_filler()) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match body.ending {
            Ending::Complete => Poll::Ready(None),
            Ending::DropAfterFlush => {
                body.ending = Ending::Drop;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ending::Drop => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.filler == 0 && matches!(self.ending, Ending::Complete)
    }

    fn size_hint(&self) -> SizeHint {
        if !self.declared {
            return SizeHint::default();
        }
        let first = self.first.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(self.filler + first as u64)
    }
}

impl ReplyBody {
    fn next_filler(&mut self) -> Option<Bytes> {
        static FILLER: [u8; 16 * 1024] = [b'.'; 16 * 1024];
        let length = self.filler.min(FILLER.len() as u64);
        self.filler -= length;
        let piece = FILLER.get(..usize::try_from(length).ok()?)?;
        (!piece.is_empty()).then(|| Bytes::from_static(piece))
    }
}

/// The standard reason phrase of `status`.
pub(super) fn phrase(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error")
}
