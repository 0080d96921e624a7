//! The services of the listeners. Each request is answered by the parts that are live when it arrives.

use std::{convert::Infallible, future::Ready, pin::Pin, sync::Arc};

use ::http::{Request, Response, StatusCode};
use arc_swap::ArcSwap;
use hyper::service::Service;

use super::live::Live;
use crate::{
    front::Answer,
    http::Body,
    server::{FastAnswer, FastPath, Peer, Reply, RequestBody},
};

/// The future of a response.
type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The public service of a connection.
pub(super) struct PublicService {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) peer: Peer,
}

/// The service of a connection to one of the other listeners. hyper reads all its requests.
pub(super) enum OperatorService {
    /// The admin service.
    Admin(Arc<ArcSwap<Live>>),
    /// The service for webhooks.
    Hooks(Arc<ArcSwap<Live>>),
}

impl PublicService {
    fn answer(&self, request: Request<impl Into<RequestBody>>) -> Answer {
        self.live.load().front.handle(request, self.peer)
    }
}

impl Service<Request<RequestBody>> for PublicService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        let live = self.live.load();
        if live.front.passes_through(&request) {
            let response = live.front.clone().pass_through(request, self.peer);
            return Box::pin(async move { Ok(response.await) });
        }
        let answer = self.answer(request);
        Box::pin(async move { answer.await.map(Response::from) })
    }
}

impl FastPath for PublicService {
    type Answer = Answer;

    fn fast_path(&self, request: Request<()>) -> FastAnswer<Answer> {
        let live = self.live.load();
        if live.front.may_stream(&request) {
            return FastAnswer::Unanswered(Box::new(request));
        }
        FastAnswer::Answer(live.front.handle(request, self.peer))
    }

    fn refuse(&self, status: StatusCode) -> Reply {
        self.live.load().front.refuse(status)
    }
}

impl Service<Request<RequestBody>> for OperatorService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        match self {
            Self::Admin(live) => {
                let admin = live.load().admin.clone();
                Box::pin(async move { Ok(admin.handle(request).await) })
            }
            Self::Hooks(live) => {
                let hooks = live.load().hooks.clone();
                Box::pin(async move { Ok(hooks.handle(request).await) })
            }
        }
    }
}

impl FastPath for OperatorService {
    type Answer = Ready<Result<Reply, Infallible>>;

    fn fast_path(&self, request: Request<()>) -> FastAnswer<Self::Answer> {
        FastAnswer::Unanswered(Box::new(request))
    }

    fn refuse(&self, status: StatusCode) -> Reply {
        match self {
            Self::Admin(live) => live.load().admin.refuse(status),
            Self::Hooks(live) => live.load().hooks.refuse(status),
        }
    }
}
