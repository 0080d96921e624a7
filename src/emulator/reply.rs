//! An answer before it is sent, and the ways to spoil it on the wire.

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

/// An answer in the making.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Bytes,
    delivery: Delivery,
}

/// How the body travels.
enum Delivery {
    Whole,
    /// Part of the body; then the connection drops, although `Content-Length` promised `declared`.
    Dropped {
        declared: usize,
    },
    /// The body, then filler; told in advance or chunked.
    Padded {
        filler: u64,
        declared: bool,
    },
}

/// The bytes of a [`Reply`] on their way, and what happens at their end.
pub(super) struct Sending {
    first: Option<Bytes>,
    filler: u64,
    ending: Ending,
    declared: bool,
}

enum Ending {
    Good,
    /// What was sent must reach the wire before the connection drops.
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
        // Our own types always serialize: their keys are strings.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self::new(status, "application/json; charset=utf-8", body)
    }

    pub(super) fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain", body)
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The first half, passed off as all.
    pub(super) fn truncated(mut self) -> Self {
        self.body.truncate(self.body.len() / 2);
        self
    }

    /// All of it, where `Content-Length` promises half as much again.
    pub(super) fn too_short(mut self) -> Self {
        let declared = self.body.len() + self.body.len() / 2 + 1;
        self.delivery = Delivery::Dropped { declared };
        self
    }

    /// The first half; then the connection drops.
    pub(super) fn reset(mut self) -> Self {
        let declared = self.body.len();
        self.body.truncate(declared / 2);
        self.delivery = Delivery::Dropped { declared };
        self
    }

    /// The body and then filler, `bytes` in all.
    pub(super) fn padded(mut self, bytes: u64, declared: bool) -> Self {
        let filler = bytes.saturating_sub(self.body.len() as u64);
        self.delivery = Delivery::Padded { filler, declared };
        self
    }

    pub(super) fn into_response(self) -> Response<Sending> {
        let mut headers = self.headers;
        let mut sending = Sending {
            first: Some(self.body).filter(|body| !body.is_empty()),
            filler: 0,
            ending: Ending::Good,
            declared: true,
        };
        match self.delivery {
            Delivery::Whole => {}
            Delivery::Padded { filler, declared } => {
                sending.filler = filler;
                sending.declared = declared;
            }
            Delivery::Dropped { declared } => {
                headers.push((CONTENT_LENGTH, declared.to_string()));
                sending.ending = Ending::DropAfterFlush;
                sending.declared = false;
            }
        }
        let mut response = Response::new(sending);
        *response.status_mut() = self.status;
        for (name, value) in headers {
            // A redirect's location is the visitor's own text; one that is no header is left out.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

// === impl Sending ===

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let sending = self.get_mut();
        if let Some(piece) = sending.first.take().or_else(|| sending.more_filler()) {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match sending.ending {
            Ending::Good => Poll::Ready(None),
            Ending::DropAfterFlush => {
                sending.ending = Ending::Drop;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ending::Drop => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.filler == 0 && matches!(self.ending, Ending::Good)
    }

    fn size_hint(&self) -> SizeHint {
        if !self.declared {
            return SizeHint::default();
        }
        let first = self.first.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(self.filler + first as u64)
    }
}

impl Sending {
    fn more_filler(&mut self) -> Option<Bytes> {
        static FILLER: [u8; 16 * 1024] = [b'.'; 16 * 1024];
        let length = self.filler.min(FILLER.len() as u64);
        self.filler -= length;
        let piece = FILLER.get(..usize::try_from(length).ok()?)?;
        (!piece.is_empty()).then(|| Bytes::from_static(piece))
    }
}
