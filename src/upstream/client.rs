//! The outbound HTTP client of an instance, with a connection pool and a guard of its own. It sends two
//! kinds of requests: calls to the vendor, with the credential, and downloads of picture links, without.

use std::{error::Error as _, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::{Full, combinators::UnsyncBoxBody};
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{sync::Semaphore, time};
use tower_service::Service;
use url::Url;

use super::{
    body::collect,
    coding,
    dial::{self, Dial, HasAnswered},
    error::ClientError,
    guard::{Guard, GuardError},
    link::{self, BadLink, Link},
    provider::{VendorCall, VendorReply},
    resolver::Resolver,
};
use crate::in_flight::InFlight;

/// The settings of an instance's client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientSettings {
    /// The base URL of the vendor's API.
    pub base: Url,
    /// The hosts and addresses that may be reached.
    pub guard: Guard,
    /// The time limit of a call to the vendor. Gateways hang for up to 80 s when WhatsApp does.
    pub call_timeout: Duration,
    /// The time limit of a download, all redirects included.
    pub download_timeout: Duration,
    /// The largest picture in bytes.
    pub max_picture: usize,
    /// The largest number of concurrent downloads.
    pub downloads: usize,
}

/// A pool of connections, each to an address that the guard allows.
type Http<B> = legacy::Client<HttpsConnector<Dial>, B>;

/// A body that is sent while it arrives.
pub type StreamedBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// One instance's client.
pub struct Client {
    http: Http<Full<Bytes>>,
    /// Carries requests and answers whose bodies are not collected.
    streaming: Http<StreamedBody>,
    /// Keeps no connection, for the second try after a kept one was closed.
    unpooled: Http<Full<Bytes>>,
    settings: ClientSettings,
    guard: Arc<Guard>,
    downloads: Semaphore,
    /// The memory for bodies while they arrive. The limit of downloads is each instance's own, and a pattern has many.
    space: InFlight,
}

/// The result of following a picture link.
#[derive(Debug)]
pub enum Download {
    /// The picture's bytes, not validated yet.
    Bytes(Bytes),
    /// The link is dead (204, 403, 404, 410): its signature has expired, or the picture was changed or
    /// removed. A new link from the vendor may work.
    Gone,
}

// === impl Client ===

impl Client {
    /// Redirects followed from a picture link. Each target is checked like the link.
    const MAX_REDIRECTS: usize = 3;
    /// A vendor's JSON has a few hundred bytes; Wachat sends the picture itself.
    const MAX_REPLY: usize = 1024 * 1024;

    /// A client for one instance. It ignores proxy settings in environment variables.
    pub fn new(settings: ClientSettings, resolver: Resolver) -> Self {
        let guard = Arc::new(settings.guard.clone());
        Self {
            // Calls and downloads are spread over as many connections as downloads run at once.
            http: http(guard.clone(), resolver.clone(), settings.downloads),
            streaming: http(guard.clone(), resolver.clone(), settings.downloads),
            unpooled: http(guard.clone(), resolver, 0),
            guard,
            downloads: Semaphore::new(settings.downloads),
            space: Self::space(0, settings.max_picture),
            settings,
        }
    }

    /// The memory for the bodies that arrive at the clients that share it: `bytes`, but never less than for two bodies.
    pub fn space(bytes: u64, max_picture: usize) -> InFlight {
        let longest = max_picture.max(Self::MAX_REPLY) as u64;
        InFlight::new(bytes.max(2 * longest))
    }

    /// The same client, whose bodies share the memory of others.
    pub fn sharing(self, space: InFlight) -> Self {
        Self { space, ..self }
    }

    /// A client with the same settings for another account. Both share connections, but not the limit of downloads.
    pub fn sibling(&self) -> Self {
        Self {
            http: self.http.clone(),
            streaming: self.streaming.clone(),
            unpooled: self.unpooled.clone(),
            guard: self.guard.clone(),
            downloads: Semaphore::new(self.settings.downloads),
            space: self.space.clone(),
            settings: self.settings.clone(),
        }
    }

    /// The settings of the client.
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// Calls the vendor. A reply with any status is a success. A kept connection that is closed before the
    /// reply is [`ClientError::KeptConnectionClosed`]: a second call may be made with
    /// [`Client::call_unpooled`], and costs the account another call.
    pub async fn call(&self, call: &VendorCall) -> Result<VendorReply, ClientError> {
        self.call_by(&self.http, call).await
    }

    /// The same, on a new connection.
    pub async fn call_unpooled(&self, call: &VendorCall) -> Result<VendorReply, ClientError> {
        self.call_by(&self.unpooled, call).await
    }

    async fn call_by(
        &self,
        http: &Http<Full<Bytes>>,
        call: &VendorCall,
    ) -> Result<VendorReply, ClientError> {
        let uri = self.uri(&call.target)?;
        let limit = self.settings.max_picture.max(Self::MAX_REPLY);
        within(self.settings.call_timeout, async {
            let mut request = Request::new(Full::new(call.body.clone()));
            *request.method_mut() = call.method.clone();
            *request.uri_mut() = uri;
            let headers = call.headers.iter().cloned();
            request.headers_mut().extend(headers);
            let response = send(http, request).await?;
            let (head, body) = response.into_parts();
            let body = collect(body, limit, &self.space).await?;
            Ok(VendorReply {
                status: match head.status {
                    // A 200 that a proxy has changed on the way (RFC 9110 §15.3.4).
                    StatusCode::NON_AUTHORITATIVE_INFORMATION => StatusCode::OK,
                    status => status,
                },
                body: coding::decode(&head.headers, body, limit)?,
                headers: head.headers,
            })
        })
        .await
    }

    /// Sends a request to the vendor as it is, and returns the head of the answer as soon as it arrives. `target` is the
    /// path and the query; the host is that of the base URL. Nothing here limits the time.
    pub async fn forward(
        &self,
        mut request: Request<StreamedBody>,
        target: &str,
    ) -> Result<Response<Incoming>, ClientError> {
        *request.uri_mut() = self.uri(target)?;
        *request.version_mut() = Version::HTTP_11;
        let response = self.streaming.request(request).await;
        response.map_err(|error| match dial::guard_error(&error) {
            Some(refusal) => ClientError::Forbidden(refusal, link::log_host(&self.settings.base)),
            None => connection_error(&error),
        })
    }

    fn uri(&self, target: &str) -> Result<Uri, ClientError> {
        let base = self.settings.base.as_str().trim_end_matches('/');
        let uri = format!("{base}{target}").parse();
        uri.map_err(|_| BadLink::NotHttp.into())
    }

    /// Checks whether a download would begin: the host of `link` is one of those that pictures may come from.
    pub fn check(&self, link: &Link) -> Result<(), ClientError> {
        let checked = self.guard.check_link(link);
        checked.map_err(|refusal| ClientError::Forbidden(refusal, link.shown_host()))
    }

    /// Downloads the picture behind `link`, and follows redirects.
    pub async fn download(&self, link: &Link) -> Result<Download, ClientError> {
        within(self.settings.download_timeout, async {
            let _permit = self.downloads.acquire().await;
            let mut link = link.clone();
            for _ in 0..=Self::MAX_REDIRECTS {
                self.check(&link)?;
                let (head, body) = self.get_picture(link.uri()?).await?.into_parts();
                match head.status {
                    StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION => {
                        let limit = self.settings.max_picture;
                        let bytes = collect(body, limit, &self.space).await?;
                        let bytes = coding::decode(&head.headers, bytes, limit)?;
                        return Ok(Download::Bytes(bytes));
                    }
                    StatusCode::NO_CONTENT
                    | StatusCode::FORBIDDEN
                    | StatusCode::NOT_FOUND
                    | StatusCode::GONE => return Ok(Download::Gone),
                    status if status.is_redirection() => {
                        link = follow(&link, &head.headers)?;
                    }
                    status => return Err(ClientError::Status(status)),
                }
            }
            Err(ClientError::Redirects)
        })
        .await
    }

    /// Repeats the request if a kept connection is closed: GET is safe to repeat (RFC 9110 §9.2.2).
    async fn get_picture(&self, uri: Uri) -> Result<Response<Incoming>, ClientError> {
        match get(&self.http, uri.clone()).await {
            Err(ClientError::KeptConnectionClosed) => get(&self.unpooled, uri).await,
            result => result,
        }
    }
}

async fn get(http: &Http<Full<Bytes>>, uri: Uri) -> Result<Response<Incoming>, ClientError> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    send(http, request).await
}

async fn send(
    http: &Http<Full<Bytes>>,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, ClientError> {
    const USER_AGENT: &str = concat!("faceplate/", env!("CARGO_PKG_VERSION"));
    let fields = request.headers_mut();
    fields.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // Without it, a server may choose any coding (RFC 9110 §12.5.3).
    fields.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    let uri = request.uri().clone();
    let result = http.request(request).await;
    let response = result.map_err(|error| match dial::guard_error(&error) {
        Some(refusal) => {
            let url = Url::parse(&uri.to_string());
            let host = url.map_or_else(|_| String::new(), |url| link::log_host(&url));
            ClientError::Forbidden(refusal, host)
        }
        // All calls may be repeated, also those by POST: they only ask.
        None if HasAnswered::is_set(&error) => ClientError::KeptConnectionClosed,
        None => connection_error(&error),
    })?;
    HasAnswered::record(&response);
    Ok(response)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A client that may connect to every address, for a server that the operator chose. It resolves names
/// and connects like the other clients here. `authorities` are certificates in PEM that are trusted instead of the public
/// ones.
pub fn unguarded_client(
    resolver: Resolver,
    authorities: Option<&[u8]>,
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
    let connector = HttpsConnectorBuilder::new();
    let connector = match authorities {
        Some(pem) => connector.with_tls_config(trusting(pem)),
        None => connector.with_webpki_roots(),
    };
    pool(
        connector
            .https_or_http()
            .enable_http1()
            .wrap_connector(Dial::new(Arc::new(guard), resolver)),
        UNGUARDED_KEPT,
    )
}

/// The largest number of idle connections to a host that the operator chose.
const UNGUARDED_KEPT: usize = 8;

/// TLS that trusts these authorities alone.
fn trusting(pem: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let authorities = CertificateDer::pem_slice_iter(pem);
    // The configuration has at least one. Without any, no server is trusted.
    roots.add_parsable_certificates(authorities.filter_map(Result::ok));
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// An empty connection pool, which keeps at most `kept` idle connections to a host.
fn http<B>(guard: Arc<Guard>, resolver: Resolver, kept: usize) -> Http<B>
where
    B: Body + Send,
    B::Data: Send,
{
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(Dial::new(guard, resolver));
    pool(connector, kept)
}

fn pool<B>(connector: HttpsConnector<Dial>, kept: usize) -> Http<B>
where
    B: Body + Send,
    B::Data: Send,
{
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Most gateways run on Node, which closes an idle connection after five seconds.
        .pool_idle_timeout(Duration::from_secs(4))
        .pool_max_idle_per_host(kept)
        .build(connector)
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    time::timeout(limit, work)
        .await
        .unwrap_or(Err(ClientError::Timeout(limit)))
}

/// The target of a redirect from `link`. A redirect from `https` to `http` is refused.
fn follow(link: &Link, headers: &HeaderMap) -> Result<Link, ClientError> {
    let location = headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok())
        .ok_or(ClientError::Redirects)?;
    let next = link.resolve(location)?;
    if link.is_secure() && !next.is_secure() {
        let host = next.shown_host();
        return Err(ClientError::Forbidden(GuardError::PlainHttp, host));
    }
    Ok(next)
}

/// The error with its causes. hyper's errors contain no URL, which would be a secret.
fn connection_error(error: &legacy::Error) -> ClientError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    ClientError::Connection(text)
}
