//! How a vendor, a CDN and a DNS server behave on the wire, below what they say: content codings, statuses,
//! connections that end, questions that stay without an answer.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use faceplate::upstream::Resolver;
use flate2::{Compression, write::GzEncoder};
use image::ImageFormat;
use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{Answer, LIMIT, Rig, image_files, private::lines_with, rig::Settings, until};

/// A request to a [`Server`].
pub(crate) struct Received<'a> {
    pub(crate) head: &'a str,
    /// How many requests came before on its connection.
    before: usize,
}

/// A server that sends the bytes that a test's function returns, and closes the connection for `None`.
/// It is the vendor and the CDN at once.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(
        answer: impl Fn(SocketAddr, Received<'_>) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, requests) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let server = Server {
            address,
            requests: requests.clone(),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, requests) = (answer.clone(), requests.clone());
                tokio::spawn(serve(stream, requests, move |received| {
                    answer(address, received)
                }));
            }
        });
        server
    }

    /// Faceplate in front of this server, whose instance is called `waha`.
    async fn rig(&self) -> Rig {
        self.settings().start().await
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::default()
            .section("cache", "first_paint = \"0\"")
            // Its faces have one picture.
            .instance("default_pictures = { shared_by = 1000 }")
            .only("waha", &format!("base_url = \"http://{}\"", self.address))
            .only("waha", &format!("picture_hosts = [\"{}\"]", self.address))
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: Arc<AtomicUsize>,
    answer: impl Fn(Received<'_>) -> Option<Vec<u8>>,
) {
    for before in 0.. {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        requests.fetch_add(1, Ordering::Relaxed);
        let head = String::from_utf8(head).unwrap();
        let length = head.split("content-length: ").nth(1);
        let length = length.map_or(0, |rest| rest.split('\r').next().unwrap().parse().unwrap());
        if stream.read_exact(&mut vec![0; length]).await.is_err() {
            return;
        }
        let received = Received {
            head: &head,
            before,
        };
        let Some(bytes) = answer(received) else {
            return;
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

pub(crate) fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

pub(crate) fn picture() -> Bytes {
    image_files::plain(ImageFormat::Jpeg).into()
}

/// WAHA's answer about any face, and the picture of its link.
fn link_or_picture(server: SocketAddr, received: &Received<'_>) -> Vec<u8> {
    if received.head.starts_with("GET /api/") {
        format!("{{\"url\":\"http://{server}/picture.jpg\"}}").into_bytes()
    } else {
        picture().into()
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn replies_are_asked_for_without_a_content_coding_and_gzip_is_decoded_all_the_same() {
    let server = Server::start(|server, received| {
        assert!(received.head.contains("accept-encoding: identity\r\n"));
        let body = gzip(&link_or_picture(server, &received));
        Some(response("200 OK", "content-encoding: gzip\r\n", &body))
    })
    .await;
    let rig = server.rig().await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_picture(&picture());
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn a_content_coding_that_is_not_understood_is_a_vendor_error() {
    let server = Server::start(|server, received| {
        let body = link_or_picture(server, &received);
        Some(response("200 OK", "content-encoding: br\r\n", &body))
    })
    .await;
    let rig = server.rig().await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_fallback("vendor_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_share_one_bound_of_memory() {
    // The log is all tests', and no other one has so little memory.
    let refused = || lines_with("leave no memory for this one (server.in_flight)");
    let server = Server::start(|server, received| {
        let is_endless = received.head.starts_with("GET /endless");
        let answer = match received.head.starts_with("GET /api/") {
            true if received.head.contains("62810000000") => {
                format!("{{\"url\":\"http://{server}/picture.jpg\"}}").into_bytes()
            }
            true => format!("{{\"url\":\"http://{server}/endless.jpg\"}}").into_bytes(),
            false if is_endless => vec![0; 1_040_000],
            false => picture().to_vec(),
        };
        let mut answer = response("200 OK", "", &answer);
        if is_endless {
            answer.truncate(1_000_000);
        }
        Some(answer)
    })
    .await;
    // Two such bodies fit.
    let rig = server
        .settings()
        .section("server", "listen = \"127.0.0.1:0\"\nin_flight = \"64KiB\"")
        .section(
            "upstream",
            "max_picture = \"1MiB\"\ndownload_timeout = \"60s\"",
        )
        .start()
        .await;
    assert_eq!(refused(), 0);
    let mut endless = JoinSet::new();
    for number in 1..=4 {
        let (address, path) = (rig.address(), format!("/avatar/waha/62855500000{number}"));
        endless.spawn(async move { Answer::to(&address, "GET", &path, &[]).await });
    }
    let first = time::timeout(LIMIT, endless.join_next()).await.unwrap();
    first.unwrap().unwrap().assert_fallback("vendor_error");
    assert!(refused() > 0);
    // One at a time that ends finds space.
    rig.face("waha", "628100000001")
        .await
        .assert_picture(&picture());
}

#[tokio::test]
async fn a_kept_connection_that_closes_instead_of_answering_costs_one_more_call_and_no_face() {
    let server = Server::start(|server, received| {
        let is_kept = received.before > 0;
        (!is_kept).then(|| response("200 OK", "", &link_or_picture(server, &received)))
    })
    .await;
    let rig = server.rig().await;
    let (_, waha) = rig.pipeline("waha");
    for number in 0..10 {
        let calls_before = waha.admission().available();
        let requests_before = server.requests();
        let face = rig.face("waha", &format!("62810000000{number}")).await;
        face.assert_picture(&picture());
        // A call and a download, of which either may have come on a kept connection first.
        assert!(server.requests() <= requests_before + 4);
        assert!(calls_before - waha.admission().available() <= 2);
    }
}

#[tokio::test]
async fn a_kept_connection_that_closes_costs_no_face_of_a_gateway_that_is_asked_by_post() {
    let server = Server::start(|server, received| {
        let body = match received.head.starts_with("POST /user/avatar") {
            true => format!("{{\"success\":true,\"data\":{{\"url\":\"http://{server}/a.jpg\"}}}}")
                .into(),
            false => picture(),
        };
        (received.before == 0).then(|| response("200 OK", "", &body))
    })
    .await;
    let address = server.address;
    let settings = Settings::default()
        .section("cache", "first_paint = \"0\"")
        .instance("default_pictures = { shared_by = 1000 }")
        .more(&["wuzapi"])
        .only("wuzapi", &format!("base_url = \"http://{address}\""))
        .only("wuzapi", &format!("picture_hosts = [\"{address}\"]"));
    let rig = settings.start().await;
    for number in 0..5 {
        let face = rig.face("wuzapi", &format!("62810000000{number}")).await;
        face.assert_picture(&picture());
    }
}

#[tokio::test]
async fn a_new_connection_that_closes_instead_of_answering_is_not_tried_again() {
    let server = Server::start(|_, _| None).await;
    let rig = server.rig().await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_fallback("vendor_error");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_203_is_understood_like_a_200_and_a_204_from_the_cdn_is_a_dead_link() {
    let server = Server::start(|server, received| {
        let body = link_or_picture(server, &received);
        Some(response("203 Non-Authoritative Information", "", &body))
    })
    .await;
    let rig = server.rig().await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_picture(&picture());

    let server = Server::start(|server, received| {
        let is_call = received.head.starts_with("GET /api/");
        Some(if is_call {
            response("200 OK", "", &link_or_picture(server, &received))
        } else {
            response("204 No Content", "", b"")
        })
    })
    .await;
    let rig = server.rig().await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_fallback("vendor_error");
    // The vendor is asked for a new link once.
    assert_eq!(server.requests(), 4);
}

/// A DNS server that answers questions for IPv4 addresses with 127.0.0.1, and no others. Returns its
/// address and the number of its answers.
async fn ipv4_only_dns() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let answers = Arc::new(AtomicUsize::new(0));
    let counted = answers.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let query = &buffer[..length];
            let name = query[12..].iter().position(|byte| *byte == 0).unwrap();
            let question = &query[12..12 + name + 5];
            let is_ipv4 = question[name + 1..name + 3] == [0, 1];
            if !is_ipv4 {
                continue;
            }
            let id = &query[..2];
            // A response with one question and one answer.
            let counts = [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
            // The name of the question, type A, class IN, a minute, four bytes.
            let record = [0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1];
            let response = [id, &counts, question, &record].concat();
            socket.send_to(&response, client).await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (address, answers)
}

#[tokio::test]
async fn a_dns_server_that_never_answers_about_ipv6_costs_no_face() {
    let (dns, answers) = ipv4_only_dns().await;
    let rig = Settings::default()
        .cdn_host("faces.example")
        .resolver(Resolver::with_server("", dns).unwrap())
        .start()
        .await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_picture(&rig.bytes("628100000001"));
    assert_eq!(answers.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_name_is_asked_of_dns_again_though_the_last_answer_names_a_longer_lifetime() {
    let (dns, answers) = ipv4_only_dns().await;
    let resolver = Resolver::with_server("", dns).unwrap();
    let is_asked_again = async || {
        let found = resolver.resolve("faces.example").await.unwrap();
        assert_eq!(found, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        answers.load(Ordering::Relaxed) > 1
    };
    until(is_asked_again, LIMIT).await;
}

#[tokio::test]
async fn a_name_in_the_hosts_file_is_not_asked_of_dns() {
    let (dns, answers) = ipv4_only_dns().await;
    let hosts = "127.0.0.1 faces.example";
    let rig = Settings::default()
        .cdn_host("faces.example")
        .resolver(Resolver::with_server(hosts, dns).unwrap())
        .start()
        .await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_picture(&rig.bytes("628100000001"));
    assert_eq!(answers.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_address_that_refuses_connections_is_followed_by_the_next_one() {
    let addresses = ["::1", "127.0.0.9", "127.0.0.1"].map(|text| text.parse().unwrap());
    let rig = Settings::default()
        .cdn_host("faces.example")
        .resolver(Resolver::from_fn(move |_| addresses.to_vec()))
        .instance("allow_private = [\"127.0.0.0/8\", \"::1/128\"]")
        .start()
        .await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_picture(&rig.bytes("628100000001"));
}

#[tokio::test]
async fn only_calls_carry_the_credential() {
    let server = Server::start(|server, received| {
        let head = received.head.to_ascii_lowercase();
        let has_key = head.contains("x-api-key") || head.contains("authorization");
        assert_eq!(has_key, received.head.starts_with("GET /api/"), "{head}");
        Some(response("200 OK", "", &link_or_picture(server, &received)))
    })
    .await;
    let rig = server.rig().await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_picture(&picture());
}

/// A TLS server whose certificate no authority has signed. Counts the connections that begin, and those that trust it.
async fn untrusted_server() -> (SocketAddr, Arc<[AtomicUsize; 2]>) {
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
    let tls = ServerConfig::builder().with_no_client_auth();
    let tls = tls.with_single_cert(vec![issued.cert.der().clone()], key.into());
    let tls = TlsAcceptor::from(Arc::new(tls.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let [begun, trusted] = [counts.clone(), counts.clone()];
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            begun[0].fetch_add(1, Ordering::Relaxed);
            if tls.accept(stream).await.is_ok() {
                trusted[1].fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (address, counts)
}

#[tokio::test]
async fn a_gateway_or_an_image_host_whose_certificate_is_not_trusted_gets_no_request() {
    let (untrusted, counts) = untrusted_server().await;
    let count = |index: usize| counts[index].load(Ordering::Relaxed);
    let gateway = Settings::default()
        .section("cache", "first_paint = \"0\"")
        .only("waha", &format!("base_url = \"https://{untrusted}\""))
        .start()
        .await;
    let face = gateway.face("waha", "628100000001").await;
    face.assert_fallback("vendor_error");
    assert_eq!((count(0), count(1)), (1, 0));

    let link = format!("{{\"url\":\"https://{untrusted}/picture.jpg\"}}");
    let server = Server::start(move |_, _| Some(response("200 OK", "", link.as_bytes()))).await;
    let hosts = format!("picture_hosts = [\"{untrusted}\"]");
    let rig = server.settings().only("waha", &hosts).start().await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_fallback("vendor_error");
    assert!(count(0) > 1);
    assert_eq!(count(1), 0);
}

#[tokio::test]
async fn a_single_pixel_is_no_picture_and_replaces_none() {
    const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
    let is_pixel = Arc::new(AtomicBool::new(false));
    let sends_pixel = is_pixel.clone();
    let server = Server::start(move |server, received| {
        let is_pixel = sends_pixel.load(Ordering::Relaxed);
        let body = match (received.head.starts_with("GET /api/"), is_pixel) {
            (true, _) => format!("{{\"url\":\"http://{server}/{is_pixel}.jpg\"}}").into(),
            (false, true) => Bytes::from_static(PIXEL),
            (false, false) => picture(),
        };
        Some(response("200 OK", "", &body))
    })
    .await;
    let rig = server.rig().await;
    let face = rig.face("waha", "628100000001").await;
    face.assert_picture(&picture());
    is_pixel.store(true, Ordering::Relaxed);
    let refreshed = rig.get("/avatar/waha/628100000001?refresh=true").await;
    refreshed.assert_picture(&picture());
    let other = rig.face("waha", "628100000002").await;
    other.assert_fallback("unknown");
}

#[tokio::test]
async fn a_refresh_downloads_a_link_that_differs_in_size_or_folder_alone() {
    for (first, then) in [
        // The vendor has a preview first.
        (
            "/v/7_n.jpg?stp=dst-jpg_s96x96&ccb=11-4&oe=7FFFFFFF",
            "/v/7_n.jpg?ccb=11-4&oe=7FFFFFFF",
        ),
        ("/media/1/photo.jpg", "/media/2/photo.jpg"),
        ("/photo.jpg?v=1", "/photo.jpg?v=2"),
        // A gateway that overwrites its file: only the refresh tells.
        ("/photo.jpg", "/photo.jpg"),
    ] {
        let is_changed = Arc::new(AtomicBool::new(false));
        let changed = is_changed.clone();
        let server = Server::start(move |server, received| {
            let is_changed = changed.load(Ordering::Relaxed);
            let link = if is_changed { then } else { first };
            let body = if received.head.starts_with("GET /api/") {
                format!("{{\"url\":\"http://{server}{link}\"}}").into_bytes()
            } else if is_changed {
                assert!(received.head.starts_with(&format!("GET {then} ")));
                image_files::plain(ImageFormat::Png)
            } else {
                picture().into()
            };
            Some(response("200 OK", "", &body))
        })
        .await;
        let rig = server.rig().await;
        rig.face("waha", "628100000001")
            .await
            .assert_picture(&picture());
        is_changed.store(true, Ordering::Relaxed);
        let refreshed = rig.get("/avatar/waha/628100000001?refresh=true").await;
        refreshed.assert_picture(&image_files::plain(ImageFormat::Png).into());
    }
}
