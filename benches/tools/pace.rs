//! Sends HTTP/2 requests over TLS at a fixed rate, whatever the answers take: `pace PORT CERTIFICATE RATE SECONDS
//! CONNECTIONS < PATHS`. Prints the microseconds of each answer from the time at which its request was to be sent, so that a server
//! that stops for a moment cannot hide it. An answer that is not a picture is an error.

use std::{
    io::{BufRead, Write, stdin, stdout},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    task::{self, JoinSet},
    time::Instant,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let [_, port, certificate, rate, seconds, connections] = args.as_slice() else {
        return Err("pace PORT CERTIFICATE RATE SECONDS CONNECTIONS < PATHS".into());
    };
    let (port, rate): (u16, u32) = (port.parse()?, rate.parse()?);
    let (seconds, connections): (u32, usize) = (seconds.parse()?, connections.parse()?);
    let paths: Result<Vec<String>, _> = stdin().lock().lines().collect();
    let paths = paths?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(connect(&connector, port).await?);
    }
    let mut answers = JoinSet::new();
    let began = Instant::now();
    let turns = paths.iter().cycle().zip(senders.iter().cycle());
    for (at, (path, sender)) in (0..rate * seconds).zip(turns) {
        let intended = began + Duration::from_secs(1) * at / rate;
        // A timer would be a millisecond late.
        while Instant::now() < intended {
            task::yield_now().await;
        }
        let uri = format!("https://localhost:{port}{path}");
        let request = Request::get(uri).body(Empty::new())?;
        answers.spawn(request_at(intended, sender.clone(), request));
    }
    let mut out = stdout().lock();
    while let Some(answered) = answers.join_next().await {
        writeln!(out, "{}", answered??.as_micros())?;
    }
    Ok(())
}

async fn connect(
    connector: &TlsConnector,
    port: u16,
) -> Result<SendRequest<Empty<Bytes>>, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    let stream = connector.connect(name, stream).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The time from `intended` to the end of the answer.
async fn request_at(
    intended: Instant,
    mut sender: SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
) -> Result<Duration, Failure> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    if answer.status() != 200 {
        return Err(format!("not a picture: {}", answer.status()).into());
    }
    answer.into_body().collect().await?;
    Ok(intended.elapsed())
}
