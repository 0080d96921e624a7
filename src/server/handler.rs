//! The interface between the server and the code that answers requests.

use std::{convert::Infallible, error::Error, future::Ready};

use bytes::Bytes;
use hyper::{Request, Response, StatusCode, body::Body, service::Service};

use super::{Reply, RequestBody};

/// A service that can answer requests without a body on the fast path.
pub trait FastPath: Service<Request<RequestBody>> {
    /// The future of an answer.
    type Answer: Future<Output = Result<Reply, Infallible>> + Send + Unpin + 'static;

    /// Answers the request, or hands it back if its response is streamed, which takes a call of the service.
    fn fast_path(&self, request: Request<()>) -> FastAnswer<Self::Answer>;

    /// The answer to a head that cannot be read or is too large.
    fn refuse(&self, status: StatusCode) -> Reply {
        Reply::with_body(status, "text/plain", Bytes::new())
    }
}

/// What becomes of a request on the fast path.
pub enum FastAnswer<A> {
    /// It is answered.
    Answer(A),
    /// The service has to be called for it.
    Unanswered(Box<Request<()>>),
}

/// A service made of a function, for which hyper reads all requests.
pub struct HyperOnly<F>(pub F);

/// All that the server needs of a service. Implemented for every type that fits.
pub trait Handler:
    FastPath<
        Response = Response<<Self as Handler>::Body>,
        Error = Infallible,
        Future: Send + 'static,
    > + Send
    + Sync
    + 'static
{
    /// The body of a response.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;
}

impl<S, B> Handler for S
where
    S: FastPath<Response = Response<B>, Error = Infallible, Future: Send + 'static>,
    S: Send + Sync + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    type Body = B;
}

impl<F, A, B> Service<Request<RequestBody>> for HyperOnly<F>
where
    F: Fn(Request<RequestBody>) -> A,
    A: Future<Output = Result<Response<B>, Infallible>>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = A;

    fn call(&self, request: Request<RequestBody>) -> A {
        (self.0)(request)
    }
}

impl<F> FastPath for HyperOnly<F>
where
    Self: Service<Request<RequestBody>>,
{
    type Answer = Ready<Result<Reply, Infallible>>;

    fn fast_path(&self, request: Request<()>) -> FastAnswer<Self::Answer> {
        FastAnswer::Unanswered(Box::new(request))
    }
}
