//! The body of a request, as handlers get it. A handler may leave it unread; then the server looks whether it is complete.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
};
use tokio::task;

use crate::sync::lock;

/// The body of a request.
#[derive(Debug)]
pub struct RequestBody {
    body: Option<Incoming>,
    unread: UnreadBody,
}

/// The rest of a body, once the handler has dropped it.
#[derive(Clone, Debug, Default)]
pub(super) struct UnreadBody(Arc<Mutex<Option<Incoming>>>);

/// The request for the handler, and the place where its body is left.
pub(super) fn split(request: Request<Incoming>) -> (Request<RequestBody>, UnreadBody) {
    let unread = UnreadBody::default();
    let request = request.map(|body| RequestBody {
        body: Some(body),
        unread: unread.clone(),
    });
    (request, unread)
}

impl UnreadBody {
    /// Reads the rest of the body as far as it has arrived, with `may_wait`. Returns whether no byte is still to come.
    pub(super) async fn read_to_end(self, may_wait: bool) -> bool {
        /// hyper hands over bytes that it has when its connection is polled again.
        const MAX_POLLS: usize = 3;
        /// A longer rest is not worth reading.
        const MOST: usize = 64 * 1024;
        let Some(mut body) = lock(&self.0).take() else {
            // The handler still holds the body.
            return true;
        };
        let (mut polls, mut length) = (0, 0);
        while !body.is_end_stream() {
            let frame = poll_fn(|context| {
                let polled = may_wait.then(|| Pin::new(&mut body).poll_frame(context));
                Poll::Ready(polled.unwrap_or(Poll::Pending))
            });
            match frame.await {
                Poll::Ready(Some(Ok(frame))) => {
                    length += frame.data_ref().map_or(0, Bytes::len);
                    if length > MOST {
                        return false;
                    }
                }
                Poll::Ready(Some(Err(_))) => return false,
                Poll::Ready(None) => return true,
                Poll::Pending if may_wait && polls < MAX_POLLS => {
                    polls += 1;
                    task::yield_now().await;
                }
                Poll::Pending => return false,
            }
        }
        true
    }
}

/// The body of a request without one.
impl From<()> for RequestBody {
    fn from((): ()) -> Self {
        Self {
            body: None,
            unread: UnreadBody::default(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        *lock(&self.unread.0) = self.body.take();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
