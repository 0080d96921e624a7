//! The outbound HTTP client of one instance: its own pool, its own guard. Two kinds of requests
//! leave here: calls to the vendor, with the credential, and downloads from picture links, without.

use std::{error::Error as _, fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{sync::Semaphore, time};
use tower_service::Service;
use url::Url;

use super::{BadLink, Call, Forbidden, Guard, Link, Reply, Resolver, dial, dial::Dial};

/// What one instance's client goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the vendor's API lives.
    pub base: Url,
    /// What may be reached.
    pub guard: Guard,
    /// How long a call to the vendor may take. Gateways hang for up to 80 s when WhatsApp does.
    pub call_timeout: Duration,
    /// How long a download may take.
    pub download_timeout: Duration,
    /// The largest picture in bytes.
    pub max_picture: usize,
    /// Downloads under way at once.
    pub downloads: usize,
}

/// A pool of connections, each to an address that the guard admits.
type Http<B> = legacy::Client<HttpsConnector<Dial>, B>;

/// One instance's client.
pub struct Client {
    http: Http<Empty<Bytes>>,
    settings: Settings,
    guard: Arc<Guard>,
    downloads: Semaphore,
}

/// Why a request brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The guard forbade it.
    #[error("blocked: {0}")]
    Forbidden(#[from] Forbidden),
    /// The link was none.
    #[error("{0}")]
    BadLink(#[from] BadLink),
    /// It took too long.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The body is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection failed, or ended before the body did.
    #[error("the connection failed: {0}")]
    Broken(String),
    /// A status that brings no picture.
    #[error("the CDN answered {0}")]
    Status(StatusCode),
    /// Redirected more often than allowed, or to nowhere.
    #[error("too many redirects, or one without a target")]
    Redirects,
}

/// A link that leads nowhere any more (403, 404, 410): its signature has expired, or the picture
/// was changed or removed.
#[derive(Debug)]
pub struct Gone;

// === impl Client ===

impl Client {
    /// Redirect hops followed from a picture link, each checked like the first.
    const MOST_REDIRECTS: usize = 3;
    /// A vendor's JSON is a few hundred bytes; Wachat sends the picture itself.
    const LARGEST_REPLY: usize = 1024 * 1024;

    /// A client for one instance. Environment variables that name a proxy are not looked at.
    pub fn new(settings: Settings, resolver: Resolver) -> Self {
        let guard = Arc::new(settings.guard.clone());
        Self {
            http: http(guard.clone(), resolver),
            guard,
            downloads: Semaphore::new(settings.downloads),
            settings,
        }
    }

    /// Asks the vendor. Any status is a reply.
    pub async fn call(&self, call: Call) -> Result<Reply, Failed> {
        let base = self.settings.base.as_str().trim_end_matches('/');
        let uri: Uri = format!("{base}{}", call.target)
            .parse()
            .map_err(|_| BadLink::NotHttp)?;
        let limit = self.settings.max_picture.max(Self::LARGEST_REPLY);
        within(self.settings.call_timeout, async {
            let response = self.get(uri, call.headers).await?;
            let (head, body) = response.into_parts();
            Ok(Reply {
                status: head.status,
                headers: head.headers,
                body: collect(body, limit).await?,
            })
        })
        .await
    }

    /// Downloads what `link` points to, following checked redirects.
    pub async fn download(&self, link: &Link) -> Result<Result<Bytes, Gone>, Failed> {
        within(self.settings.download_timeout, async {
            let _permit = self.downloads.acquire().await;
            let mut link = link.clone();
            for _ in 0..=Self::MOST_REDIRECTS {
                self.guard.admits_link(&link)?;
                let response = self.get(link.uri()?, Vec::new()).await?;
                match response.status() {
                    StatusCode::OK => {
                        let bytes = collect(response.into_body(), self.settings.max_picture);
                        return Ok(Ok(bytes.await?));
                    }
                    StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
                        return Ok(Err(Gone));
                    }
                    status if status.is_redirection() => {
                        link = follow(&link, response.headers())?;
                    }
                    status => return Err(Failed::Status(status)),
                }
            }
            Err(Failed::Redirects)
        })
        .await
    }

    async fn get(
        &self,
        uri: Uri,
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Response<Incoming>, Failed> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let fields = request.headers_mut();
        fields.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("faceplate/", env!("CARGO_PKG_VERSION"))),
        );
        fields.extend(headers);
        self.http.request(request).await.map_err(|error| {
            dial::forbidden(&error).map_or_else(|| broken(&error), Failed::Forbidden)
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A client that may connect to every address, for a server that the operator chose. It resolves names and connects as
/// all other clients here.
pub fn unguarded_client(
    resolver: Resolver,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Incoming>,
    Error = legacy::Error,
    Future: Send + 'static,
> + Clone
+ fmt::Debug
+ Send
+ Sync
+ 'static {
    let everywhere = ["0.0.0.0/0", "::/0"];
    let guard = Guard {
        picture_hosts: Vec::new(),
        allow_private: everywhere
            .iter()
            .filter_map(|net| net.parse().ok())
            .collect(),
    };
    http(Arc::new(guard), resolver)
}

/// A pool with nothing in it.
fn http<B>(guard: Arc<Guard>, resolver: Resolver) -> Http<B>
where
    B: Body + Send,
    B::Data: Send,
{
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(Dial::new(guard, resolver));
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Node, which most gateways run on, closes an idle connection after five seconds.
        .pool_idle_timeout(Duration::from_secs(4))
        .pool_max_idle_per_host(8)
        .build(connector)
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    time::timeout(limit, work)
        .await
        .unwrap_or(Err(Failed::Timeout(limit)))
}

/// The whole body. One that ends before its `Content-Length` is an error in hyper already; one
/// that grows beyond `limit` is dropped there and then.
async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Failed> {
    let expected = body.size_hint().lower();
    if expected > limit as u64 {
        return Err(Failed::TooLarge(limit));
    }
    let mut bytes = BytesMut::with_capacity(expected as usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failed::Broken(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > limit {
                return Err(Failed::TooLarge(limit));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

fn follow(link: &Link, headers: &HeaderMap) -> Result<Link, Failed> {
    let location = headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .ok_or(Failed::Redirects)?;
    let next = link.redirected(location)?;
    if link.is_secure() && !next.is_secure() {
        return Err(Forbidden::PlainHttp.into());
    }
    Ok(next)
}

/// The error with its causes. hyper's errors name no URL.
fn broken(error: &legacy::Error) -> Failed {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Failed::Broken(text)
}
