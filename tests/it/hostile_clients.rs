//! Hostile and broken clients are disconnected or refused, and other clients are answered meanwhile. The
//! latencies of the others are printed (`--nocapture`), not asserted.

mod descriptors;
mod fairness;
mod heads;
mod kinds;
mod mix;
mod openings;
mod target;
pub mod windows;

use std::time::{Duration, Instant};

use crate::support::{Answer, LIMIT, Rig, rig::Settings, until};
use http_body_util::Empty;
use hyper::{Request, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const FACE: &str = "628100000001";

async fn rig(server: &str) -> Rig {
    let server = format!("listen = \"127.0.0.1:0\"\n{server}");
    let rig = Settings::default().section("server", &server).start().await;
    rig.face("waha", FACE).await;
    rig
}

/// Sends many ordinary requests, and prints their latencies.
async fn assert_others_are_served(rig: &Rig, meanwhile: &str) {
    let mut took = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        rig.face("waha", FACE)
            .await
            .assert_picture(&rig.bytes(FACE));
        took.push(began.elapsed());
        let probe = Answer::to(&rig.admin(), "GET", "/readyz", &[]).await;
        assert_eq!(probe.status, 200);
    }
    took.sort();
    println!(
        "{meanwhile}: others wait {:?} at the median, {:?} at the 99th percentile",
        took[100], took[198]
    );
}

async fn connect(rig: &Rig) -> TcpStream {
    TcpStream::connect(rig.address()).await.unwrap()
}

fn request(line: &str) -> String {
    format!("GET {line} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

/// The bytes that the server sends until it closes the connection, which it has to do in time.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut bytes)).await;
    // A reset closes the connection, too.
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_finish_their_request_are_disconnected() {
    let rig = rig("header_timeout = \"400ms\"").await;
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = connect(&rig).await;
        stream.write_all(b"GET /avatar/waha/6281").await.unwrap();
        slow.push(stream);
    }
    assert_others_are_served(&rig, "300 half requests").await;
    for stream in &mut slow {
        assert_eq!(until_closed(stream).await, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_a_byte_at_a_time_are_disconnected_in_time() {
    let rig = rig("header_timeout = \"400ms\"").await;
    let mut stream = connect(&rig).await;
    let began = Instant::now();
    let drip = async {
        for byte in b"GET /".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = tokio::time::timeout(LIMIT, drip).await;
    closed.expect("the server closes the connection");
    assert!(began.elapsed() > Duration::from_millis(400), "too early");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read_their_answers_are_disconnected() {
    let rig = rig("send_timeout = \"300ms\"").await;
    let mut deaf = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(&rig).await;
        let many = request(&format!("/avatar/waha/{FACE}")).repeat(400);
        // The server stops reading when it cannot write.
        let _ = tokio::time::timeout(Duration::from_millis(20), stream.write_all(many.as_bytes()))
            .await;
        deaf.push(stream);
    }
    assert_others_are_served(&rig, "100 clients that do not read").await;
    for stream in &deaf {
        until_reset(stream).await;
    }
}

/// Waits until the server has closed a connection whose answers are not read.
async fn until_reset(stream: &TcpStream) {
    let is_reset = async || {
        let written = stream.try_write(b"x");
        written.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
    };
    until(is_reset, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_heads_that_are_too_large_get_431() {
    let rig = rig("max_header = \"16KiB\"").await;
    let mut large = JoinSet::new();
    for _ in 0..50 {
        let mut stream = connect(&rig).await;
        large.spawn(async move {
            let head = format!(
                "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
                "y".repeat(64 * 1024)
            );
            let _ = stream.write_all(head.as_bytes()).await;
            until_closed(&mut stream).await
        });
    }
    assert_others_are_served(&rig, "50 heads of 64 KiB").await;
    // The rest of the head was not read, and a reset may overtake the answer.
    let mut answers = large.join_all().await;
    answers.retain(|answer| !answer.is_empty());
    assert!(answers.len() > 25, "{} of 50 are answered", answers.len());
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_are_too_long_get_414_with_a_reason() {
    let rig = rig("").await;
    let long = format!("/avatar/waha/{FACE}?name={}", "x".repeat(9000));
    let answer = rig.get(&long).await;
    assert_eq!(answer.status, 414);
    assert!(answer.text().contains("8192"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let rig = rig("").await;
    let length = rig.bytes(FACE).len();
    let mut many = JoinSet::new();
    for _ in 0..20 {
        let mut stream = connect(&rig).await;
        many.spawn(async move {
            let (mut read, mut write) = stream.split();
            let pair = request(&format!("/avatar/waha/{FACE}"))
                + &request("/nowhere")
                + &request(&format!("/avatar/waha/{FACE}?d=blank&f=y"));
            let sent = async {
                write.write_all(pair.repeat(100).as_bytes()).await.unwrap();
                let last = "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
                write.write_all(last.as_bytes()).await.unwrap();
            };
            let mut bytes = Vec::new();
            let (_, got) = tokio::join!(sent, read.read_to_end(&mut bytes));
            got.unwrap();
            bytes
        });
    }
    assert_others_are_served(&rig, "6,000 pipelined requests").await;
    for bytes in many.join_all().await {
        let text = String::from_utf8_lossy(&bytes);
        let heads: Vec<_> = text
            .match_indices("HTTP/1.1 ")
            .map(|(at, _)| &text[at + 9..at + 12])
            .collect();
        assert_eq!(heads.len(), 301);
        for (index, status) in heads.iter().enumerate() {
            let expected = if index % 3 == 1 || index == 300 {
                "404"
            } else {
                "200"
            };
            assert_eq!(*status, expected, "answer {index}");
        }
        assert!(bytes.len() > 100 * length);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_attack_leaves_other_clients_served() {
    let rig = rig("").await;
    let stream = connect(&rig).await;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let attack = tokio::spawn(async move {
        for _ in 0..20_000 {
            if sender.ready().await.is_err() {
                break;
            }
            let request = Request::get(format!("http://localhost/avatar/waha/{FACE}"))
                .body(Empty::<Bytes>::new())
                .unwrap();
            let mut asked = Box::pin(sender.send_request(request));
            // One poll sends the request; the drop resets the stream.
            let _ = polled_once(&mut asked).await;
        }
    });
    assert_others_are_served(&rig, "20,000 streams opened and reset").await;
    attack.await.unwrap();
    connection.abort();
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
}

async fn polled_once<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_answer_while_the_public_listener_is_full() {
    let rig = rig("max_connections = 4").await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(connect(&rig).await);
    }
    let address = rig.address();
    let waiting = tokio::spawn(async move {
        Answer::to(&address, "GET", &format!("/avatar/waha/{FACE}"), &[]).await
    });
    for probe in ["/livez", "/readyz", "/metrics", "/v1/instances"] {
        let answer = Answer::to(&rig.admin(), "GET", probe, &[]).await;
        assert_eq!(answer.status, 200, "{probe}");
    }
    assert!(!waiting.is_finished());
    // With free connections, the waiting client is served.
    drop(idle);
    waiting.await.unwrap().assert_picture(&rig.bytes(FACE));
}
