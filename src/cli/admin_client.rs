//! Sends requests to the admin listener of a running server.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time,
};

use crate::{config::Config, server::Address};

/// The time limit of a short request; probes wait longer than this.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// The server's response.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
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
    headers.insert(header::HOST, header::HeaderValue::from_static("faceplate"));
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
        .map_err(|error| format!("{address} does not answer: {error}; is faceplate serve running?"))
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
