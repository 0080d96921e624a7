//! Sends requests to the admin listener of a running server.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time,
};

use crate::{config::Config, server::Address};

/// The time limit of a short request; probes wait longer than this.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// The question to an operator whose server does not answer.
const NOT_RUNNING: &str = "; is faceplate serve running?";

/// The server's response.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Response {
    /// Checks the status. The error is the server's own, if its response has one.
    pub(super) fn expect(&self, expected: StatusCode) -> Result<(), String> {
        match self.status == expected {
            true => Ok(()),
            false => Err(self.refusal()),
        }
    }

    /// The server's reason for a response that the command did not expect.
    pub(super) fn refusal(&self) -> String {
        let status = self.status;
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match (problem["title"].as_str(), problem["detail"].as_str()) {
            (Some(title), Some(detail)) => format!("{title}: {detail}"),
            _ => format!(
                "the running server answered {status}; check admin.token, and that it runs with this configuration"
            ),
        }
    }

    /// The JSON of a response with status 200.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        self.expect(StatusCode::OK)?;
        serde_json::from_slice(&self.body).map_err(|error| {
            format!(
                "the server's response is not JSON: {error}; check that admin.listen is Faceplate's"
            )
        })
    }
}

/// Sends a request to the server that runs with this configuration.
pub(super) async fn send(
    config: &Config,
    method: Method,
    path: &str,
    body: Bytes,
    timeout: Duration,
) -> Result<Response, String> {
    let token = config.reloadable.admin_token.as_ref();
    send_to(&config.startup.admin, token, method, path, body, timeout).await
}

/// Checks that the server which runs with this configuration is the one that uses the locked cache
/// directory. The error says that it is another one.
pub(super) async fn check_cache_dir(config: &Config) -> Result<(), String> {
    let dir = &config.startup.store.dir;
    let in_use = format!(
        "the cache directory {} is in use by a server",
        dir.display()
    );
    let answer = send(config, Method::GET, "/v1/cache", Bytes::new(), TIMEOUT).await;
    let answer = answer.map_err(|error| {
        let error = error.strip_suffix(NOT_RUNNING).unwrap_or(&error);
        format!("{in_use}, but {error}; name the configuration of that server with --config")
    })?;
    if answer.status != StatusCode::OK {
        let (address, status) = (&config.startup.admin, answer.status);
        return Err(format!(
            "{in_use}, and {address} answered {status}; check admin.token"
        ));
    }
    let record: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match record["dir"].as_str() {
        Some(other) if !is_same(Path::new(other), dir) => Err(format!(
            "{in_use}, and the one at {} uses {other}; name the configuration of the other server with --config",
            config.startup.admin
        )),
        _ => Ok(()),
    }
}

/// The cache directory of the server that runs with this configuration, if that is another one: its environment
/// differs from this command's.
pub(super) async fn other_cache_dir(config: &Config) -> Option<String> {
    let answer = send(config, Method::GET, "/v1/cache", Bytes::new(), TIMEOUT).await;
    let record: serde_json::Value = answer.ok()?.json().ok()?;
    let dir = record["dir"].as_str()?;
    (!is_same(Path::new(dir), &config.startup.store.dir)).then(|| dir.to_owned())
}

/// Whether two paths lead to the same directory.
fn is_same(a: &Path, b: &Path) -> bool {
    let id = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    a == b || id(a).is_some_and(|a| Some(a) == id(b))
}

/// Sends a request to the server whose admin listener has this address.
pub(super) async fn send_to(
    address: &Address,
    token: Option<&SecretString>,
    method: Method,
    path: &str,
    body: Bytes,
    timeout: Duration,
) -> Result<Response, String> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|error| format!("{path}: {error}"))?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, header::HeaderValue::from_static("localhost"));
    if let Some(token) = token {
        let bearer = format!("Bearer {}", token.expose_secret());
        let bearer = bearer
            .parse()
            .map_err(|_| "admin.token has characters that are not allowed in an HTTP header; choose another token")?;
        headers.insert(header::AUTHORIZATION, bearer);
    }
    time::timeout(timeout, connect(address, request))
        .await
        .map_err(|_| {
            format!(
                "{address} did not answer within {} s; check the server's log",
                timeout.as_secs()
            )
        })?
        .map_err(|error| format!("{address} does not answer: {error}{NOT_RUNNING}"))
}

async fn connect(
    address: &Address,
    request: Request<Full<Bytes>>,
) -> Result<Response, Box<dyn std::error::Error>> {
    match address {
        Address::Tcp(address) => exchange(TcpStream::connect(address).await?, request).await,
        Address::Unix(path) => exchange(UnixStream::connect(path).await?, request).await,
    }
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response, Box<dyn std::error::Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Response {
        status: head.status,
        body,
    })
}
