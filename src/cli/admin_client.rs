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

/// Shorter than any prober's own patience.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// What the server said.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Asks the server that runs with this configuration.
pub(super) async fn ask(
    config: &Config,
    method: Method,
    path: &str,
    body: Bytes,
    patience: Duration,
) -> Result<Answer, String> {
    let token = config.reloadable.admin_token.as_ref();
    ask_at(&config.startup.admin, token, method, path, body, patience).await
}

/// Asks the server whose admin listener is there.
pub(super) async fn ask_at(
    address: &Address,
    token: Option<&SecretString>,
    method: Method,
    path: &str,
    body: Bytes,
    patience: Duration,
) -> Result<Answer, String> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|error| format!("{path}: {error}"))?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, header::HeaderValue::from_static("faceplate"));
    if let Some(token) = token {
        let bearer = format!("Bearer {}", token.expose_secret());
        let bearer = bearer
            .parse()
            .map_err(|_| "admin.token holds characters that no HTTP header can carry")?;
        headers.insert(header::AUTHORIZATION, bearer);
    }
    time::timeout(patience, connect(address, request))
        .await
        .map_err(|_| format!("{address} did not answer within {} s", patience.as_secs()))?
        .map_err(|error| format!("{address} does not answer: {error}; is faceplate serve running?"))
}

async fn connect(
    address: &Address,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error>> {
    match address {
        Address::Tcp(address) => send(TcpStream::connect(address).await?, request).await,
        Address::Unix(path) => send(UnixStream::connect(path).await?, request).await,
    }
}

async fn send<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Box<dyn std::error::Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Answer {
        status: head.status,
        body,
    })
}
