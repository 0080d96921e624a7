//! A streamed response body.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// A streamed response body. It ends when its source ends. The source learns when the client has closed the connection.
#[derive(Debug)]
pub struct ReplyStream(Source);

#[derive(Debug)]
enum Source {
    /// Parts, until their sender is dropped.
    Parts(mpsc::Receiver<Bytes>),
    /// The body of another server's answer.
    Body(UnsyncBoxBody<Bytes, BoxError>),
}

/// The reason why a body ends early.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl ReplyStream {
    /// A body, and the sender of its parts. One part may wait to be sent.
    pub fn new() -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Self(Source::Parts(receiver)))
    }

    /// The body of another server's answer.
    pub fn of_body(body: impl Body<Data = Bytes, Error = BoxError> + Send + 'static) -> Self {
        Self(Source::Body(body.boxed_unsync()))
    }
}

impl Body for ReplyStream {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Source::Parts(parts) => {
                let part = parts.poll_recv(context);
                part.map(|part| part.map(|bytes| Ok(Frame::data(bytes))))
            }
            Source::Body(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Parts(_) => false,
            Source::Body(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Parts(_) => SizeHint::default(),
            Source::Body(body) => body.size_hint(),
        }
    }
}
