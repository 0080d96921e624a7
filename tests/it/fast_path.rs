//! Two HTTP/1.1 servers share a connection: the fast path answers usual requests, hyper the rest. Their answers
//! are the same, and no byte is lost when a connection passes from one to the other.

use std::collections::BTreeMap;

use crate::support::{Rig, rig::Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const FACE: &str = "/avatar/waha/628100000001";

/// A client that writes bytes and reads answers.
struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug, PartialEq)]
struct Said {
    status: String,
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Raw {
    async fn to(rig: &Rig) -> Self {
        Self {
            stream: TcpStream::connect(rig.address()).await.unwrap(),
            read: Vec::new(),
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer, without the headers that differ from answer to answer.
    async fn answer(&mut self, is_head: bool) -> Said {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await;
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let (status, fields) = head.trim_end().split_once("\r\n").unwrap();
        let mut fields: BTreeMap<_, _> = fields
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert!(
            fields
                .remove("date")
                .is_some_and(|date| date.ends_with(" GMT"))
        );
        fields.remove("x-request-id");
        let length = fields
            .get("content-length")
            .filter(|_| !is_head && !status.contains("304"));
        let length = length.map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            self.more().await;
        }
        Said {
            status: status.to_owned(),
            fields,
            body: self.read.drain(..length).collect(),
        }
    }

    async fn more(&mut self) {
        assert!(
            self.stream.read_buf(&mut self.read).await.unwrap() > 0,
            "hung up"
        );
    }

    async fn is_hung_up(&mut self) -> bool {
        self.read.is_empty() && matches!(self.stream.read_buf(&mut self.read).await, Ok(0) | Err(_))
    }
}

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: faces.test\r\n{fields}\r\n")
}

async fn warm() -> Rig {
    let rig = Settings::default().start().await;
    rig.face("waha", "628100000001").await;
    rig
}

#[tokio::test]
async fn the_fast_path_and_hyper_send_the_same_bytes() {
    let rig = warm().await;
    let etag = rig.get(FACE).await.header("etag").to_owned();
    let known = format!("if-none-match: \"x\", W/{etag}\r\n");
    let mut requests = vec![
        get("/", ""),
        get("/nowhere", ""),
        get("/openapi.json", ""),
        get("/avatar/waha/not-a-jid", ""),
        get("/avatar/nobody/628100000001", ""),
        get(
            "/api/emulated/chats/628100000001@c.us/picture",
            "accept: application/json\r\n",
        ),
    ];
    for query in [
        "",
        "?s=96",
        "?s=96&format=webp",
        "?f=y",
        "?f=y&d=404",
        "?f=y&format=png",
        "?s=no",
    ] {
        for fields in [
            "",
            &known,
            "if-modified-since: Fri, 20 Nov 2037 00:00:00 GMT\r\n",
            "range: bytes=0-99\r\n",
            "range: bytes=999999-\r\n",
            "accept: image/avif,image/webp,*/*;q=0.8\r\nconnection: Keep-Alive\r\n",
            "Accept: text/html\r\nX-Odd: \t a b \t\r\nx-odd: c\r\n",
        ] {
            let request = get(&format!("{FACE}{query}"), fields);
            requests.push(request.replacen("GET", "HEAD", 1));
            requests.push(request);
        }
    }
    for request in requests {
        let is_head = request.starts_with("HEAD");
        let mut fast = Raw::to(&rig).await;
        fast.send(&request).await;
        let mut hyper = Raw::to(&rig).await;
        // After one unusual request, hyper keeps the connection.
        hyper.send(&get("/nowhere", "te: trailers\r\n")).await;
        hyper.answer(false).await;
        hyper.send(&request).await;
        assert_eq!(
            fast.answer(is_head).await,
            hyper.answer(is_head).await,
            "{request}"
        );
    }
}

#[tokio::test]
async fn a_connection_passes_from_the_fast_path_to_hyper_without_losing_a_byte() {
    let rig = warm().await;
    let mut client = Raw::to(&rig).await;
    let odd =
        "POST /avatar/waha/628100000001 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello";
    let all = get(FACE, "") + &get("/nowhere", "") + odd + &get(FACE, "") + &get("/nowhere", "");
    client.send(&all).await;
    for status in [
        "200 OK",
        "404 Not Found",
        "405 Method Not Allowed",
        "200 OK",
        "404 Not Found",
    ] {
        assert_eq!(
            client.answer(false).await.status,
            format!("HTTP/1.1 {status}")
        );
    }
}

#[tokio::test]
async fn a_request_head_may_arrive_in_pieces() {
    let rig = warm().await;
    let whole = get(FACE, "accept: image/*\r\n");
    let mut client = Raw::to(&rig).await;
    for at in 0..whole.len() {
        client.stream.set_nodelay(true).unwrap();
        client.send(&whole[at..=at]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer(false).await.status, "HTTP/1.1 200 OK");
    // The second request begins in the same write as the first ends.
    client.send(&(get("/nowhere", "") + &whole[..10])).await;
    assert_eq!(client.answer(false).await.status, "HTTP/1.1 404 Not Found");
    client.send(&whole[10..]).await;
    assert_eq!(client.answer(false).await.body, rig.bytes("628100000001"));
}

#[tokio::test]
async fn malformed_and_http_1_0_requests_are_answered_by_hyper() {
    let rig = warm().await;
    for (sent, status) in [
        ("nonsense\r\n\r\n".to_owned(), "400 Bad Request"),
        (get("/a b", ""), "400 Bad Request"),
        (get("/", "bad name: x\r\n"), "400 Bad Request"),
        (
            get("/", "content-length: 1\r\ncontent-length: 2\r\n"),
            "400 Bad Request",
        ),
        (get("/nowhere", &"a: b\r\n".repeat(60)), "404 Not Found"),
    ] {
        let mut client = Raw::to(&rig).await;
        client.send(&sent).await;
        let mut said = Vec::new();
        while !said.windows(2).any(|end| end == b"\r\n") {
            assert!(
                client.stream.read_buf(&mut said).await.unwrap() > 0,
                "{sent}"
            );
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status}")),
            "{sent}: {said}"
        );
    }
    let mut client = Raw::to(&rig).await;
    client.send(&format!("GET {FACE} HTTP/1.0\r\n\r\n")).await;
    assert_eq!(client.answer(false).await.body, rig.bytes("628100000001"));
    assert!(client.is_hung_up().await);
}

#[tokio::test]
async fn connection_close_closes_the_connection() {
    let rig = warm().await;
    let mut client = Raw::to(&rig).await;
    client.send(&get(FACE, "connection: close\r\n")).await;
    assert_eq!(client.answer(false).await.fields["connection"], "close");
    assert!(client.is_hung_up().await);
}

#[tokio::test]
async fn a_long_picture_keeps_its_bytes_with_sendfile_and_slow_readers() {
    let rig = warm().await;
    // No other test has a picture of that length.
    let face = "/avatar/waha/628100000007";
    let bytes = rig.bytes("628100000007");
    rig.face("waha", "628100000007").await;
    assert!(bytes.len() > 16 * 1024, "{} bytes", bytes.len());
    let mut client = Raw::to(&rig).await;
    for _ in 0..3 {
        client.send(&get(face, "")).await;
        assert_eq!(client.answer(false).await.body, bytes);
    }
    // From the second time on it is sent from a file in memory.
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let is_it = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|to| to.starts_with("/memfd:faceplate (deleted)"))
            && std::fs::metadata(path).is_ok_and(|about| about.len() == bytes.len() as u64)
    };
    assert_eq!(
        open.filter(|item| is_it(&item.as_ref().unwrap().path()))
            .count(),
        1
    );
    // The answers exceed the kernel's buffers, and the client reads none before it has sent all requests.
    let many = 400;
    client.send(&get(face, "").repeat(many)).await;
    for _ in 0..many {
        assert_eq!(client.answer(false).await.body, bytes);
    }
    let part = get(face, "range: bytes=100-199\r\n");
    client.send(&part).await;
    assert_eq!(client.answer(false).await.body, bytes[100..200]);
    client.send(&get(face, "").replacen("GET", "HEAD", 1)).await;
    assert!(client.answer(true).await.body.is_empty());
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_finishes_requests() {
    let mut rig = warm().await;
    let mut idle = Raw::to(&rig).await;
    idle.send(&get(FACE, "")).await;
    assert!(!idle.answer(false).await.fields.contains_key("connection"));
    let mut half = Raw::to(&rig).await;
    let whole = get(FACE, "");
    half.send(&whole[..20]).await;
    // An answer to a later client shows that these bytes have arrived.
    Raw::to(&rig).await.send(&whole).await;
    rig.get(FACE).await;
    let bytes = rig.bytes("628100000001");
    let stopping = tokio::spawn(async move { rig.stop().await });
    assert!(idle.is_hung_up().await);
    half.send(&whole[20..]).await;
    let last = half.answer(false).await;
    assert_eq!(
        (last.fields["connection"].as_str(), last.body),
        ("close", bytes.to_vec())
    );
    assert!(half.is_hung_up().await);
    stopping.await.unwrap();
}
