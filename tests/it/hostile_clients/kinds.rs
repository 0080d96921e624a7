//! The kinds of hostile clients in the mix.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time,
};
use tokio_rustls::{TlsConnector, rustls::ClientConnection};

use super::{
    polled_once, request,
    target::{Addresses, path},
    windows::Client,
};
use crate::{support::LIMIT, tls};

/// How long a client that holds connections stays: longer than each time limit of the server.
const STAY: Duration = Duration::from_millis(1500);

/// Hostile clients, one kind each.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Silence,
    HalfHead,
    Pipelining,
    RangesLeft,
    Nonsense,
    LargeHead,
    NoWindow,
    SmallWindow,
    ManyVariants,
    UnknownFaces,
    RapidReset,
    DeafReader,
    SlowBody,
    EndlessBody,
    DeafListener,
    AdminSitter,
    HalfHello,
    LeftHandshake,
    BrokenRecord,
}

pub const KINDS: [Kind; 19] = [
    Kind::Silence,
    Kind::HalfHead,
    Kind::Pipelining,
    Kind::RangesLeft,
    Kind::Nonsense,
    Kind::LargeHead,
    Kind::NoWindow,
    Kind::SmallWindow,
    Kind::ManyVariants,
    Kind::UnknownFaces,
    Kind::RapidReset,
    Kind::DeafReader,
    Kind::SlowBody,
    Kind::EndlessBody,
    Kind::DeafListener,
    Kind::AdminSitter,
    Kind::HalfHello,
    Kind::LeftHandshake,
    Kind::BrokenRecord,
];

impl Kind {
    /// The connections that one client of this kind has at once.
    pub fn connections(self) -> usize {
        match self {
            Self::DeafReader => 2,
            Self::DeafListener => 4,
            Self::AdminSitter | Self::HalfHello => 3,
            _ => 1,
        }
    }

    /// Whether these clients attack the server behind TLS.
    pub fn is_tls(self) -> bool {
        matches!(
            self,
            Self::HalfHello | Self::LeftHandshake | Self::BrokenRecord
        )
    }
}

/// Attackers, each of which goes on until `end`.
pub fn attackers(at: &Addresses, kinds: impl Iterator<Item = Kind>, end: Instant) -> JoinSet<()> {
    let mut attackers = JoinSet::new();
    for kind in kinds {
        let at = at.clone();
        attackers.spawn(async move {
            let mut turn = 0;
            while time::timeout_at(end.into(), attack(&at, kind, turn))
                .await
                .is_ok()
            {
                turn += 1;
            }
        });
    }
    attackers
}

/// One turn of a hostile client of this kind.
async fn attack(at: &Addresses, kind: Kind, turn: usize) {
    let (address, connections) = (at.faces.as_str(), kind.connections());
    let part = request(&path(turn)).replace("\r\n\r\n", "\r\nrange: bytes=0-12287\r\n\r\n");
    let sent = match kind {
        Kind::Silence => "P".to_owned(),
        Kind::HalfHead => "GET /avatar/waha/6281".to_owned(),
        Kind::Pipelining => request(&path(turn)).repeat(100),
        Kind::RangesLeft => part.repeat(3),
        Kind::Nonsense => "nonsense\r\n\r\n".to_owned(),
        Kind::LargeHead => format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(70_000)),
        Kind::NoWindow => return hold_responses(address, 0).await,
        Kind::SmallWindow => return hold_responses(address, 100).await,
        Kind::ManyVariants => {
            let size = [32, 48, 64, 96, 128, 192, 256, 320, 480, 640][turn % 10];
            request(&format!("{}?s={size}&format=webp", path(turn / 10))).repeat(3)
        }
        Kind::UnknownFaces => request(&format!("/avatar/waha/62899{turn:07}")),
        Kind::RapidReset => return reset_streams(address).await,
        Kind::DeafReader => {
            let many = request(&path(turn)).repeat(400);
            return send_and_stay(address, many.as_bytes(), connections).await;
        }
        // The admin API reads bodies; the faces' listener has to turn away a client that sends one.
        Kind::SlowBody => {
            let head = post("/v1/warm", "content-length: 1000");
            return drip(&at.admin, &head, "x").await;
        }
        Kind::EndlessBody => {
            let (address, path) = match turn % 2 {
                0 => (&at.admin, "/v1/warm".to_owned()),
                _ => (&at.faces, path(turn)),
            };
            let head = post(&path, "transfer-encoding: chunked");
            let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
            return drip(address, &head, &chunk).await;
        }
        Kind::DeafListener => return listen_to_nothing(address, connections).await,
        Kind::AdminSitter => {
            let whole = request("/v1/instances");
            let sent = [&whole[..10], whole.as_str()][turn % 2];
            return send_and_stay(&at.admin, sent.as_bytes(), connections).await;
        }
        Kind::HalfHello => {
            let hello = client_hello(&at.client);
            return send_and_stay(&at.tls, &hello[..hello.len() / 2], connections).await;
        }
        Kind::LeftHandshake => return send_and_leave(&at.tls, &client_hello(&at.client)).await,
        Kind::BrokenRecord => return send_broken_record(at, turn).await,
    };
    send_and_leave(address, sent.as_bytes()).await;
}

/// Sends bytes, waits a moment and leaves.
async fn send_and_leave(address: &str, sent: &[u8]) {
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let sending = async {
            let _ = stream.write_all(sent).await;
            let mut some = [0; 100];
            let _ = stream.read(&mut some).await;
        };
        let _ = time::timeout(Duration::from_millis(50), sending).await;
    }
}

/// Sends bytes on some connections, and reads nothing of what comes back.
async fn send_and_stay(address: &str, sent: &[u8], connections: usize) {
    let mut held = Vec::new();
    for _ in 0..connections {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            continue;
        };
        // The server stops reading when it cannot write.
        let _ = time::timeout(Duration::from_millis(20), stream.write_all(sent)).await;
        held.push(stream);
    }
    time::sleep(STAY).await;
}

/// Sends the head of a request, and this part of its body again and again, until the server has had enough.
async fn drip(address: &str, head: &str, part: &str) {
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let sending = async {
            let mut sent = head;
            while stream.write_all(sent.as_bytes()).await.is_ok() {
                time::sleep(Duration::from_millis(10)).await;
                sent = part;
            }
        };
        let _ = time::timeout(STAY, sending).await;
    }
}

/// Asks for many faces over HTTP/2 with a window of this size, and takes nothing.
async fn hold_responses(address: &str, window: u32) {
    let mut client = Client::connect(address, window).await;
    let mut held = Vec::new();
    for number in 0..20 {
        let asked = time::timeout(LIMIT, client.get(&path(number))).await;
        held.extend(asked.ok().and_then(Result::ok));
    }
    time::sleep(Duration::from_millis(100)).await;
}

/// The head of a request with a body, which this line announces.
fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{body}\r\n\r\n")
}

/// Opens streams over HTTP/2 and resets them at once, then takes a breath: 100 streams in some 60 ms.
async fn reset_streams(address: &str) {
    let client = Client::connect(address, 65_535).await;
    for _ in 0..5 {
        let asked = (0..20).map(|number| {
            let mut client = client.clone();
            Box::pin(async move { client.get(&path(number)).await })
        });
        let mut asked: Vec<_> = asked.collect();
        for one in &mut asked {
            let _ = polled_once(one).await;
        }
        // hyper sends no request that is given up before its turn. The drop of `asked` resets the streams.
        time::sleep(Duration::from_millis(1)).await;
    }
    time::sleep(Duration::from_millis(50)).await;
}

/// Listens to changes over HTTP/1.1, and once over HTTP/2 without a window, and reads none of them.
async fn listen_to_nothing(address: &str, connections: usize) {
    let mut client = Client::connect(address, 0).await;
    let sent = request("/live/waha");
    let (_held, ()) = tokio::join!(
        time::timeout(STAY, client.get("/live/waha")),
        send_and_stay(address, sent.as_bytes(), connections - 1),
    );
}

/// The first message of a TLS handshake.
fn client_hello(client: &TlsConnector) -> Vec<u8> {
    let name = "faces.test".try_into().unwrap();
    let mut handshake = ClientConnection::new(client.config().clone(), name).unwrap();
    let mut hello = Vec::new();
    handshake.write_tls(&mut hello).unwrap();
    hello
}

/// Sends a TLS record that no key opens, in the middle of the handshake or behind it, and waits until the server has
/// had enough.
async fn send_broken_record(at: &Addresses, turn: usize) {
    // Application data of TLS 1.2 and 1.3, 256 bytes.
    let record = [&b"\x17\x03\x03\x01\0"[..], &[b'x'; 256]].concat();
    if turn.is_multiple_of(2) {
        let sent = [client_hello(&at.client), record].concat();
        return send_and_leave(&at.tls, &sent).await;
    }
    let Ok(mut stream) = tls::connect(&at.client, &at.tls).await else {
        return;
    };
    let socket = stream.get_mut().0;
    let sending = async {
        let _ = socket.write_all(&record).await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    };
    let _ = time::timeout(STAY, sending).await;
}
