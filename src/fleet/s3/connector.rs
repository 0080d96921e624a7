//! Sends the S3 client's requests over our own HTTP client, to the configured endpoint and nowhere else.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpResponseBody, HttpService,
    },
};
use tower_service::Service;

/// Makes the S3 client use `http`.
#[derive(Clone, Debug)]
pub(super) struct Connector<C> {
    pub(super) http: C,
    /// The only server that requests are sent to.
    pub(super) endpoint: Uri,
}

/// A request for another server than the endpoint.
#[derive(Debug, thiserror::Error)]
#[error("the request is not for the endpoint")]
struct OtherServer;

/// The largest answer. No vendor's picture is as large.
const LARGEST: usize = 64 * 1024 * 1024;

impl<C> HttpConnector for Connector<C>
where
    Self: HttpService + Clone,
{
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl<C> HttpService for Connector<C>
where
    C: Service<Request<Full<Bytes>>, Response = Response<Incoming>>,
    C: Clone + Debug + Send + Sync + 'static,
    C::Error: std::error::Error + Send + Sync + 'static,
    C::Future: Send + 'static,
{
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let (uri, endpoint) = (&head.uri, &self.endpoint);
        if uri.scheme() != endpoint.scheme() || uri.authority() != endpoint.authority() {
            return Err(HttpError::new(HttpErrorKind::Unknown, OtherServer));
        }
        let body = body.collect().await?.to_bytes();
        let request = Request::from_parts(head, Full::new(body));
        let sent = self.http.clone().call(request).await;
        // Also a kept connection that was closed just then, which is worth a second try.
        let interruption = |error| HttpError::new(HttpErrorKind::Interrupted, error);
        let (head, body) = sent.map_err(interruption)?.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| HttpError::new_boxed(HttpErrorKind::Decode, error))?;
        Ok(Response::from_parts(
            head,
            HttpResponseBody::from(body.to_bytes()),
        ))
    }
}
