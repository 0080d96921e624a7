//! The fast path and hyper give the same answers over HTTP/1.1, and no byte is lost when a connection passes from one to the
//! other. `server.fast_path` and `server.sendfile` turn them off.

use std::collections::BTreeMap;

use crate::support::{Answer, Rig, rig::Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const FACE: &str = "/avatar/waha/628100000001";

/// A client that writes bytes and reads responses.
struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug, PartialEq)]
struct Response {
    status: String,
    headers: BTreeMap<String, String>,
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

    /// The next response, without `Date` and `X-Request-Id`, which differ from one response to the next.
    async fn response(&mut self, is_head: bool) -> Response {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await;
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let (status, headers) = head.trim_end().split_once("\r\n").unwrap();
        let mut headers: BTreeMap<_, _> = headers
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert!(
            headers
                .remove("date")
                .is_some_and(|date| date.ends_with(" GMT"))
        );
        headers.remove("x-request-id");
        let length = headers
            .get("content-length")
            .filter(|_| !is_head && !status.contains("304"));
        let length = length.map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            self.more().await;
        }
        Response {
            status: status.to_owned(),
            headers,
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

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
}

async fn warm() -> Rig {
    let rig = Settings::default().start().await;
    rig.face("waha", "628100000001").await;
    rig
}

fn server(lines: &str) -> Settings {
    let listen = "listen = \"127.0.0.1:0\"";
    Settings::default().section("server", &format!("{listen}\n{lines}"))
}

#[tokio::test]
async fn the_fast_path_and_hyper_send_the_same_bytes() {
    let rig = warm().await;
    let without = server("fast_path = false").start().await;
    without.face("waha", "628100000001").await;
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
        for headers in [
            "",
            &known,
            "if-modified-since: Fri, 20 Nov 2037 00:00:00 GMT\r\n",
            "range: bytes=0-99\r\n",
            "range: bytes=999999-\r\n",
            "accept: image/avif,image/webp,*/*;q=0.8\r\nconnection: Keep-Alive\r\n",
            "Accept: text/html\r\nX-Odd: \t a b \t\r\nx-odd: c\r\n",
        ] {
            let request = get(&format!("{FACE}{query}"), headers);
            requests.push(request.replacen("GET", "HEAD", 1));
            requests.push(request);
        }
    }
    for request in requests {
        let is_head = request.starts_with("HEAD");
        let mut fast = Raw::to(&rig).await;
        fast.send(&request).await;
        let fast = fast.response(is_head).await;
        // hyper keeps a connection once a request needed it.
        let mut passed = Raw::to(&rig).await;
        passed.send(&get("/nowhere", "te: trailers\r\n")).await;
        passed.response(false).await;
        passed.send(&request).await;
        assert_eq!(fast, passed.response(is_head).await, "{request}");
        let mut hyper = Raw::to(&without).await;
        hyper.send(&request).await;
        assert_eq!(fast, hyper.response(is_head).await, "{request}");
    }
}

#[tokio::test]
async fn a_connection_passes_from_the_fast_path_to_hyper_without_losing_a_byte() {
    let rig = warm().await;
    let mut client = Raw::to(&rig).await;
    let odd = "POST /avatar/waha/628100000001 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello";
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
            client.response(false).await.status,
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
    assert_eq!(client.response(false).await.status, "HTTP/1.1 200 OK");
    // The second request begins in the same write as the first ends.
    client.send(&(get("/nowhere", "") + &whole[..10])).await;
    assert_eq!(
        client.response(false).await.status,
        "HTTP/1.1 404 Not Found"
    );
    client.send(&whole[10..]).await;
    assert_eq!(client.response(false).await.body, rig.bytes("628100000001"));
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
        let mut received = Vec::new();
        while !received.windows(2).any(|end| end == b"\r\n") {
            assert!(
                client.stream.read_buf(&mut received).await.unwrap() > 0,
                "{sent}"
            );
        }
        let received = String::from_utf8_lossy(&received).into_owned();
        assert!(
            received.starts_with(&format!("HTTP/1.1 {status}")),
            "{sent}: {received}"
        );
    }
    let mut client = Raw::to(&rig).await;
    client.send(&format!("GET {FACE} HTTP/1.0\r\n\r\n")).await;
    assert_eq!(client.response(false).await.body, rig.bytes("628100000001"));
    assert!(client.is_hung_up().await);
}

#[tokio::test]
async fn connection_close_closes_the_connection() {
    let rig = warm().await;
    let mut client = Raw::to(&rig).await;
    client.send(&get(FACE, "connection: close\r\n")).await;
    assert_eq!(client.response(false).await.headers["connection"], "close");
    assert!(client.is_hung_up().await);
}

/// The sealed files in memory of this process that are as long as the picture of `jid`. No other test may ask for that face.
fn sealed_files(rig: &Rig, jid: &str) -> usize {
    let length = rig.bytes(jid).len() as u64;
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let is_sealed_file = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|to| to.starts_with("/memfd:faceplate (deleted)"))
            && std::fs::metadata(path).is_ok_and(|file| file.len() == length)
    };
    open.filter(|item| is_sealed_file(&item.as_ref().unwrap().path()))
        .count()
}

/// Asks for a long picture three times on one connection.
async fn ask_thrice(rig: &Rig, jid: &str) -> Raw {
    let bytes = rig.bytes(jid);
    assert!(bytes.len() > 16 * 1024, "{} bytes", bytes.len());
    rig.face("waha", jid).await;
    let mut client = Raw::to(rig).await;
    for _ in 0..3 {
        client.send(&get(&format!("/avatar/waha/{jid}"), "")).await;
        assert_eq!(client.response(false).await.body, bytes);
    }
    client
}

#[tokio::test]
async fn without_the_fast_path_or_sendfile_a_long_picture_is_copied() {
    for line in ["fast_path = false", "sendfile = false"] {
        let rig = server(line).start().await;
        let jid = "628100000022";
        ask_thrice(&rig, jid).await;
        assert_eq!(sealed_files(&rig, jid), 0, "{line}");
    }
}

#[tokio::test]
async fn a_face_that_is_removed_leaves_no_sealed_file() {
    for (jid, method, path) in [
        ("628100000013", "DELETE", "/v1/avatars/waha/628100000013"),
        (
            "628100000011",
            "POST",
            "/v1/purge?instance=waha&jid=628100000011&hard=true",
        ),
    ] {
        let rig = Rig::start().await;
        let mut client = ask_thrice(&rig, jid).await;
        assert_eq!(sealed_files(&rig, jid), 1);
        let removed = Answer::to(&rig.admin(), method, path, &[]).await;
        assert!(removed.status.is_success());
        assert_eq!(sealed_files(&rig, jid), 0, "{method}");
        // The connection stays.
        client.send(&get("/avatar/waha/628100000001", "")).await;
        assert_eq!(client.response(false).await.body, rig.bytes("628100000001"));
    }
}

#[tokio::test]
async fn a_long_picture_keeps_its_bytes_with_sendfile_and_slow_readers() {
    let rig = Rig::start().await;
    let jid = "628100000007";
    let (face, bytes) = (format!("/avatar/waha/{jid}"), rig.bytes(jid));
    let mut client = ask_thrice(&rig, jid).await;
    assert_eq!(sealed_files(&rig, jid), 1);
    // The responses are more than the socket takes at once, and the client reads none before it has sent all requests.
    let many = 400;
    client.send(&get(&face, "").repeat(many)).await;
    for _ in 0..many {
        assert_eq!(client.response(false).await.body, bytes);
    }
    let part = get(&face, "range: bytes=100-199\r\n");
    client.send(&part).await;
    assert_eq!(client.response(false).await.body, bytes[100..200]);
    client
        .send(&get(&face, "").replacen("GET", "HEAD", 1))
        .await;
    assert!(client.response(true).await.body.is_empty());
}

#[tokio::test]
async fn a_shutdown_closes_idle_connections_and_finishes_requests() {
    let mut rig = warm().await;
    let mut idle = Raw::to(&rig).await;
    idle.send(&get(FACE, "")).await;
    assert!(
        !idle
            .response(false)
            .await
            .headers
            .contains_key("connection")
    );
    let mut half = Raw::to(&rig).await;
    let whole = get(FACE, "");
    half.send(&whole[..20]).await;
    // The server has these bytes when it has answered a later client.
    Raw::to(&rig).await.send(&whole).await;
    rig.get(FACE).await;
    let bytes = rig.bytes("628100000001");
    let stopping = tokio::spawn(async move { rig.stop().await });
    assert!(idle.is_hung_up().await);
    half.send(&whole[20..]).await;
    let last = half.response(false).await;
    assert_eq!(
        (last.headers["connection"].as_str(), last.body),
        ("close", bytes.to_vec())
    );
    assert!(half.is_hung_up().await);
    stopping.await.unwrap();
}
