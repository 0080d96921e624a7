//! Makes TLS handshakes one after the other for some seconds: `handshakes PORT CERTIFICATE full|resumed SECONDS PATH`. Each connection
//! requests the path once by HTTP/1.1, because the tickets of TLS 1.3 come behind the handshake. Prints the number of handshakes.
//! A handshake of the other kind is an error.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, HandshakeKind, RootCertStore,
        client::Resumption,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let [_, port, certificate, kind, seconds, path] = args.as_slice() else {
        return Err("handshakes PORT CERTIFICATE full|resumed SECONDS PATH".into());
    };
    let port = port.parse()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let expected = match kind.as_str() {
        "resumed" => HandshakeKind::Resumed,
        _ => {
            config.resumption = Resumption::disabled();
            HandshakeKind::Full
        }
    };
    let connector = TlsConnector::from(Arc::new(config));
    // The first one has nothing to resume.
    shake(&connector, port, path).await?;
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    let mut made = 0;
    while Instant::now() < end {
        let found = shake(&connector, port, path).await?;
        if found != Some(expected) {
            return Err(format!("{found:?} instead of {expected:?}").into());
        }
        made += 1;
    }
    println!("{made}");
    Ok(())
}

/// Requests `path` on a new connection, and returns the kind of its handshake.
async fn shake(
    connector: &TlsConnector,
    port: u16,
    path: &str,
) -> Result<Option<HandshakeKind>, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    let mut stream = connector.connect(name, stream).await?;
    let kind = stream.get_ref().1.handshake_kind();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut received = Vec::new();
    // Some servers end the connection without TLS' own end.
    let _ = stream.read_to_end(&mut received).await;
    if !received.starts_with(b"HTTP/1.1 200") {
        return Err("not a picture".into());
    }
    Ok(kind)
}
