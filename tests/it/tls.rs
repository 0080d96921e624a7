//! TLS and HTTP/2: negotiation, and certificates that change while the server runs.

use std::{
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use crate::support::{
    Rig,
    program::{Program, Running, errors},
};
use faceplate::emulator::{Emulator, Options};
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Version,
    body::Bytes,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ClientConnection, HandshakeKind, RootCertStore, pki_types::CertificateDer,
    },
};

const FACE: &str = "/avatar/waha/628100000001";

/// Writes a certificate for `faces.test` to the server's files, and returns it as a trust anchor.
pub fn certificate(folder: &Path) -> CertificateDer<'static> {
    let issued = rcgen::generate_simple_self_signed(["faces.test".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), issued.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), issued.cert.pem()).unwrap();
    issued.cert.der().clone()
}

/// A client that trusts the certificate.
pub fn client(anchor: &CertificateDer<'static>, alpn: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(anchor.clone()).unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub async fn connect(
    client: &TlsConnector,
    address: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = "faces.test".try_into().unwrap();
    client.connect(name, stream).await
}

async fn handshake(
    address: &str,
    anchor: &CertificateDer<'static>,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    connect(&client(anchor, alpn), address).await
}

struct Scene {
    emulator: Emulator,
    program: Program,
    server: Running,
    anchor: CertificateDer<'static>,
}

impl Scene {
    async fn set() -> Self {
        Self::with(&[]).await
    }

    /// A scene with these values in `[server]`, too.
    async fn with(values: &[(&str, &str)]) -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let program = Program::before(&emulator, "");
        let anchor = certificate(program.folder.path());
        let mut command = program.command(&["serve"]);
        for (key, file) in [("CERTIFICATE", "cert.pem"), ("KEY", "key.pem")] {
            let path = program.folder.path().join(file);
            command.env(format!("FACEPLATE_SERVER__{key}"), path);
        }
        for (key, value) in values {
            command.env(format!("FACEPLATE_SERVER__{key}"), value);
        }
        let mut server = Running::start(command);
        server.wait_for("serving faces");
        Self {
            emulator,
            program,
            server,
            anchor,
        }
    }

    fn bytes(&self) -> Bytes {
        self.emulator.control().face_bytes("628100000001").unwrap()
    }
}

async fn over_http2<I>(stream: I, count: usize) -> Vec<(Version, Bytes)>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..count {
        let mut sender = sender.clone();
        streams.spawn(async move {
            let request = Request::get(format!("https://faces.test{FACE}"))
                .body(Empty::<Bytes>::new())
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            let version = response.version();
            (
                version,
                response.into_body().collect().await.unwrap().to_bytes(),
            )
        });
    }
    streams.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_http2_over_tls_and_many_faces_at_once() {
    let scene = Scene::set().await;
    let stream = handshake(
        &scene.server.address("listen"),
        &scene.anchor,
        &["h2", "http/1.1"],
    )
    .await
    .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    for (version, body) in over_http2(stream, 50).await {
        assert_eq!((version, body), (Version::HTTP_2, scene.bytes()));
    }
    assert_eq!(scene.emulator.control().calls().api, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_client_gets_http_1_over_tls() {
    let scene = Scene::set().await;
    let stream = handshake(
        &scene.server.address("listen"),
        &scene.anchor,
        &["http/1.1"],
    )
    .await
    .unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(FACE)
        .header("host", "faces.test")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        scene.bytes()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_after_many_others_resumes_its_session() {
    let scene = Scene::set().await;
    let address = scene.server.address("listen");
    let client = client(&scene.anchor, &["http/1.1"]);
    // One request, because the tickets come behind the handshake.
    let mut stream = connect(&client, &address).await.unwrap();
    let request = format!("GET {FACE} HTTP/1.1\r\nhost: faces.test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    for _ in 0..300 {
        handshake(&address, &scene.anchor, &["http/1.1"])
            .await
            .unwrap();
    }
    let stream = connect(&client, &address).await.unwrap();
    let kind = stream.get_ref().1.handshake_kind();
    assert_eq!(kind, Some(HandshakeKind::Resumed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let mut scene = Scene::set().await;
    let address = scene.server.address("listen");
    let renewed = certificate(scene.program.folder.path());
    scene.server.wait_for("was read again");
    handshake(&address, &renewed, &["h2"]).await.unwrap();
    handshake(&address, &scene.anchor, &["h2"])
        .await
        .unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_certificate_is_logged_and_the_previous_one_stays() {
    let mut scene = Scene::set().await;
    std::fs::write(
        scene.program.folder.path().join("cert.pem"),
        "not a certificate",
    )
    .unwrap();
    let said = scene.server.wait_for("the old one stays");
    assert!(
        said.contains("server.certificate") && said.contains("cert.pem"),
        "{said}"
    );
    handshake(&scene.server.address("listen"), &scene.anchor, &["h2"])
        .await
        .unwrap();
}

#[tokio::test]
async fn http2_with_prior_knowledge_works_without_tls() {
    let rig = Rig::start().await;
    let stream = TcpStream::connect(rig.address()).await.unwrap();
    for (version, body) in over_http2(stream, 5).await {
        assert_eq!(
            (version, body),
            (Version::HTTP_2, rig.bytes("628100000001"))
        );
    }
}

/// A stream that counts the bytes that it receives.
struct Counted(TcpStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.0).poll_read(context, buffer);
        self.1
            .fetch_add(buffer.filled().len() - before, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[tokio::test]
async fn headers_that_repeat_are_sent_once_on_an_http2_connection() {
    let rig = Rig::start().await;
    let received = Arc::new(AtomicUsize::new(0));
    let stream = TcpStream::connect(rig.address()).await.unwrap();
    let stream = TokioIo::new(Counted(stream, received.clone()));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut lengths = Vec::new();
    for _ in 0..100 {
        let before = received.load(Ordering::Relaxed);
        let request = Request::head(format!("http://{}{FACE}", rig.address()));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        lengths.push(received.load(Ordering::Relaxed) - before);
    }
    // The first response comes with the settings of the connection.
    let most = lengths[1..].iter().max().unwrap();
    assert!(most * 3 < lengths[0], "{lengths:?}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_the_tls_handshake_is_disconnected() {
    let rig = crate::support::rig::Settings::default()
        .section(
            "server",
            "listen = \"127.0.0.1:0\"\nheader_timeout = \"50ms\"",
        )
        .start()
        .await;
    for words in ["", "PRI * HT", "GET /avatar"] {
        let mut stream = TcpStream::connect(rig.address()).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(
            std::time::Duration::from_secs(5),
            stream.read_to_end(&mut rest),
        );
        assert!(ended.await.is_ok(), "{words:?} is waited for without end");
    }
    assert_eq!(rig.face("waha", "628100000001").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_the_middle_of_their_tls_handshakes_do_not_delay_the_shutdown() {
    // Longer than the test waits for the end.
    let scene = Scene::with(&[("HEADER_TIMEOUT", "10m"), ("DRAIN_TIMEOUT", "10m")]).await;
    let address = scene.server.address("listen");
    let config = client(&scene.anchor, &["h2"]).config().clone();
    let mut tls = ClientConnection::new(config, "faces.test".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    let mut open = Vec::new();
    for length in [0, 1, hello.len() / 2, hello.len()] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(&hello[..length]).await.unwrap();
        open.push(stream);
    }
    // The server has answered the last one, and waits for the rest of its handshake.
    open.last_mut().unwrap().read_u8().await.unwrap();
    scene.server.signal("TERM");
    let (code, output) = scene.server.end();
    assert_eq!(code, Some(0), "{output}");
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let config = |more: &str| {
        let text = format!(
            "[server]\n{more}\n[access]\nmode = \"open\"\n[instances.a]\nprovider = \"wawp\"\naccount = \"1\"\ntoken = \"env:TOKEN\""
        );
        let output = Program::with(&text).run(&["check"]);
        (output.status.success(), errors(&output))
    };
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let (cert, key) = (cert.display(), key.display());
    assert!(config(&format!("certificate = \"{cert}\"\nkey = \"{key}\"")).0);
    for (lines, words) in [
        (format!("certificate = \"{cert}\""), "go together"),
        (
            format!("certificate = \"{key}\"\nkey = \"{key}\""),
            "certificates",
        ),
        (
            format!("certificate = \"{cert}\"\nkey = \"{cert}\""),
            "private key",
        ),
    ] {
        let (fine, said) = config(&lines);
        assert!(!fine && said.contains(words), "{said}");
    }
}
