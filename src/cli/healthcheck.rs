//! `faceplate healthcheck`: exit 0 when `/readyz` answers 200.

use std::time::Duration;

use http_body_util::Empty;
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time,
};

use crate::{config::Config, server::Address};

/// Shorter than any prober's own patience.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(config: Config) -> Result<(), String> {
    let address = config.admin;
    let asked = time::timeout(PATIENCE, ask(&address)).await;
    let status = asked
        .map_err(|_| format!("{address} did not answer within 2 s"))?
        .map_err(|error| {
            format!("{address} does not answer: {error}; is faceplate serve running?")
        })?;
    if status == StatusCode::OK {
        Ok(())
    } else {
        Err(format!("{address} is not ready: {status}"))
    }
}

async fn ask(address: &Address) -> Result<StatusCode, Box<dyn std::error::Error>> {
    match address {
        Address::Tcp(address) => get(TcpStream::connect(address).await?).await,
        Address::Unix(path) => get(UnixStream::connect(path).await?).await,
    }
}

async fn get<S>(stream: S) -> Result<StatusCode, Box<dyn std::error::Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/readyz")
        .header("host", "faceplate")
        .body(Empty::<Bytes>::new())?;
    let status = sender.send_request(request).await?.status();
    connection.abort();
    Ok(status)
}
