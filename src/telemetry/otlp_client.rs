//! The HTTP client that sends traces to an OTLP collector. The connections are made by a client that is handed in.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::{runtime::Handle, time};
use tower_service::Service;

/// Sends traces over `C`.
#[derive(Clone, Debug)]
pub struct OtlpClient<C> {
    http: C,
    /// The exporter calls from a thread of its own.
    runtime: Handle,
}

impl<C> OtlpClient<C> {
    const TIMEOUT: Duration = Duration::from_secs(10);
    const LARGEST_REPLY: usize = 64 * 1024;

    /// A client whose requests run on the runtime that this is called on.
    pub fn new(http: C) -> Self {
        Self {
            http,
            runtime: Handle::current(),
        }
    }
}

#[async_trait]
impl<C> HttpClient for OtlpClient<C>
where
    C: Service<Request<Full<Bytes>>, Response = Response<Incoming>>,
    C: Clone + Debug + Send + Sync + 'static,
    C::Error: Into<HttpError>,
    C::Future: Send + 'static,
{
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut http = self.http.clone();
        let exchange = async move {
            let sending = http.call(request.map(Full::new));
            let (head, body) = sending.await.map_err(Into::into)?.into_parts();
            let body = Limited::new(body, Self::LARGEST_REPLY).collect().await?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        // The call and the timer have to be made on the runtime, too.
        let bounded = async { time::timeout(Self::TIMEOUT, exchange).await };
        self.runtime.spawn(bounded).await??
    }
}
