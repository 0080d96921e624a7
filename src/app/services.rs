//! The services of the listeners. Each request is answered by the parts that are live when it arrives.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use ::http::{Request, Response, StatusCode};
use arc_swap::ArcSwap;
use hyper::service::Service;

use super::live::Live;
use crate::{
    front::Answer,
    http::Body,
    server::{FastAnswer, FastPath, HyperOnly, Peer, Reply, RequestBody},
};

/// The future of a response.
type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The public service of a connection.
pub(super) struct PublicService {
    pub(super) live: Arc<ArcSwap<Live>>,
    pub(super) peer: Peer,
}

/// The admin service of a connection.
pub(super) fn admin_service(
    live: Arc<ArcSwap<Live>>,
) -> HyperOnly<impl Fn(Request<RequestBody>) -> ResponseFuture> {
    HyperOnly(move |request| -> ResponseFuture {
        let admin = live.load().admin.clone();
        Box::pin(async move { Ok(admin.handle(request).await) })
    })
}

/// The service for webhooks of a connection.
pub(super) fn hooks_service(
    live: Arc<ArcSwap<Live>>,
) -> HyperOnly<impl Fn(Request<RequestBody>) -> ResponseFuture> {
    HyperOnly(move |request| -> ResponseFuture {
        let hooks = live.load().hooks.clone();
        Box::pin(async move { Ok(hooks.handle(request).await) })
    })
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
