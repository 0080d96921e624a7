//! The interface between the server and the code that answers requests.

use std::{convert::Infallible, error::Error, future::Ready};

use hyper::{Request, Response, body::Body, body::Incoming, service::Service};

use super::Reply;

/// A service that can answer requests without a body on the fast path.
pub trait FastPath: Service<Request<Incoming>> {
    /// The future of an answer.
    type Answer: Future<Output = Result<Reply, Infallible>> + Send;

    /// Answers the request, or returns `None` for a service whose requests all go through hyper.
    fn fast_path(&self, request: Request<()>) -> Option<Self::Answer>;
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
    type Body: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;
}

impl<S, B> Handler for S
where
    S: FastPath<Response = Response<B>, Error = Infallible, Future: Send + 'static>,
    S: Send + Sync + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Body = B;
}

impl<F, A, B> Service<Request<Incoming>> for HyperOnly<F>
where
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Result<Response<B>, Infallible>>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = A;

    fn call(&self, request: Request<Incoming>) -> A {
        (self.0)(request)
    }
}

impl<F> FastPath for HyperOnly<F>
where
    Self: Service<Request<Incoming>>,
{
    type Answer = Ready<Result<Reply, Infallible>>;

    fn fast_path(&self, _: Request<()>) -> Option<Self::Answer> {
        None
    }
}
