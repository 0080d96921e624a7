//! A client of server-sent events.

use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{net::TcpStream, task::AbortHandle, time};

use super::LIMIT;

/// An open stream of events.
pub struct Events {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    received: String,
    received_bytes: usize,
    connection: Option<AbortHandle>,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

impl Events {
    /// Begins to listen over HTTP/1.1.
    pub async fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async { drop(connection.await) }).abort_handle();
        let mut request = Request::get(path).header("host", address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        Self::new(response, Some(connection))
    }

    /// Begins to listen over HTTP/2.
    pub async fn open_http2(address: &str, path: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let io = TokioIo::new(stream);
        let handshake = http2::handshake(TokioExecutor::new(), io);
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(async { drop(connection.await) }).abort_handle();
        let request = Request::get(format!("http://{address}{path}"));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        Self::new(response, Some(connection))
    }

    /// Reads the events of an answer.
    pub fn of(response: Response<Incoming>) -> Self {
        Self::new(response, None)
    }

    fn new(response: Response<Incoming>, connection: Option<AbortHandle>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body,
            received: String::new(),
            received_bytes: 0,
            connection,
        }
    }

    /// The length of the body so far.
    pub fn received_bytes(&self) -> usize {
        self.received_bytes
    }

    /// A header's text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The next block of lines; `None` at the end of the stream.
    pub async fn block(&mut self) -> Option<String> {
        let read = async {
            loop {
                if let Some((block, rest)) = self.received.split_once("\n\n") {
                    let block = block.to_owned();
                    self.received = rest.to_owned();
                    return Some(block);
                }
                let frame = self.body.frame().await?.ok()?;
                let text = frame.into_data().unwrap();
                self.received_bytes += text.len();
                self.received.push_str(std::str::from_utf8(&text).unwrap());
            }
        };
        let block = time::timeout(LIMIT, read).await;
        block.expect("an event, or the end of the stream")
    }

    /// The next event, comments left out; `None` at the end of the stream.
    pub async fn try_next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let field = |name: &str| {
                let mut lines = block.lines();
                lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            if let Some(data) = field("data") {
                return Some(Event {
                    id: field("id").unwrap_or_default().to_owned(),
                    kind: field("event").unwrap_or_default().to_owned(),
                    data: serde_json::from_str(data).unwrap(),
                });
            }
        }
    }

    /// The next event, comments left out.
    pub async fn next(&mut self) -> Event {
        self.try_next().await.expect("an event")
    }

    /// Waits for the end of the stream.
    pub async fn end(&mut self) {
        while self.block().await.is_some() {}
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.abort();
        }
    }
}
