//! An HTTP client for tests, and its answers.

use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};

use super::{LIMIT, private};

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The answer to one request on a connection of its own.
    pub async fn to(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::attempt(address, method, path, headers).await.unwrap()
    }

    /// The same from a server that may end at any moment.
    pub async fn attempt(
        address: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Self::exchange(address, method, path, headers, &[]).await
    }

    /// The answer to a request with a body.
    pub async fn send(
        address: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Self {
        Self::exchange(address, method, path, headers, body)
            .await
            .unwrap()
    }

    async fn exchange(
        address: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let exchanged = Self::exchange_without_limit(address, method, path, headers, body);
        let exchanged = time::timeout(LIMIT, exchanged).await;
        exchanged.map_err(|_| format!("{method} {path}: no answer after {LIMIT:?}"))?
    }

    async fn exchange_without_limit(
        address: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(address).await?;
        Self::over(stream, address, method, path, headers, body).await
    }

    /// The answer to the one request of a connection, which may be encrypted.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender
            .send_request(request.body(Full::new(Bytes::copy_from_slice(body)))?)
            .await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        let answer = Self {
            status: head.status,
            headers: head.headers,
            body,
        };
        let is_error = answer.header("content-type") == "application/problem+json";
        if is_error || path == "/metrics" {
            private::assert_none_in("an answer", &String::from_utf8_lossy(&answer.body));
        }
        Ok(answer)
    }

    /// A header's text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn source(&self) -> &str {
        self.header("x-faceplate-source")
    }

    pub fn reason(&self) -> &str {
        self.header("x-faceplate-reason")
    }

    pub fn cache_status(&self) -> &str {
        self.header("cache-status")
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Asserts that the answer is this picture, byte for byte.
    #[track_caller]
    pub fn assert_picture(&self, bytes: &Bytes) {
        assert_eq!(self.status, 200, "{}", self.cache_status());
        assert_eq!(self.source(), "picture", "{}", self.cache_status());
        assert!(self.body == *bytes, "the picture's bytes differ");
        assert_eq!(self.header("content-length"), bytes.len().to_string());
    }

    /// Asserts that the answer is a placeholder, for this reason.
    #[track_caller]
    pub fn assert_fallback(&self, reason: &str) {
        assert_eq!(self.status, 200);
        assert_eq!(
            (self.source(), self.reason()),
            ("fallback", reason),
            "{}",
            self.cache_status()
        );
        match self.header("content-type") {
            "image/svg+xml" => assert!(self.text().starts_with("<svg")),
            media => {
                assert_eq!(media, "image/png");
                assert!(self.body.starts_with(b"\x89PNG"));
            }
        }
    }
}
