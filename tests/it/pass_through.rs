//! `pass_through = true`: the rest of a gateway's API, streamed to the gateway and back.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    client::conn::{http1 as client, http2},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Mutex, Semaphore, mpsc},
};

use crate::support::{
    Answer, LIMIT, raw,
    rig::{Rig, Settings},
    until,
};

type Part = Result<Frame<Bytes>, Infallible>;

/// A gateway that tells what it was asked, and answers when a test says so.
struct Gateway {
    address: String,
    /// The parts of the answer to `/events`, and of the request to `/upload` as they arrive.
    events: mpsc::Sender<Part>,
    uploaded: Mutex<mpsc::Receiver<usize>>,
    /// Requests that have not ended.
    open: Arc<Semaphore>,
}

const PLACES: usize = 1000;

impl Gateway {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, parts) = mpsc::channel(8);
        let (upload, uploaded) = mpsc::channel(64);
        let open = Arc::new(Semaphore::new(PLACES));
        let (parts, all) = (Arc::new(Mutex::new(Some(parts))), open.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (parts, upload, open) = (parts.clone(), upload.clone(), all.clone());
                let service = service_fn(move |request| {
                    let (parts, upload, open) = (parts.clone(), upload.clone(), open.clone());
                    async move {
                        let _open = open.acquire_owned().await;
                        Ok::<_, Infallible>(answer(request, &parts, upload).await)
                    }
                });
                let connection = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        Self {
            address,
            events,
            uploaded: Mutex::new(uploaded),
            open,
        }
    }

    async fn send_event(&self, text: &'static str) {
        let part = Ok(Frame::data(Bytes::from_static(text.as_bytes())));
        self.events.send(part).await.unwrap();
    }
}

async fn answer(
    request: Request<Incoming>,
    parts: &Mutex<Option<mpsc::Receiver<Part>>>,
    upload: mpsc::Sender<usize>,
) -> Response<BoxBody<Bytes, Infallible>> {
    let full = |text: String| Full::new(Bytes::from(text)).boxed();
    match request.uri().path() {
        "/events" | "/download" => {
            let media = match request.uri().path() {
                "/events" => "text/event-stream",
                _ => "application/octet-stream",
            };
            let parts = parts.lock().await.take().unwrap();
            let response = Response::builder().header(header::CONTENT_TYPE, media);
            response.body(Parts(parts).boxed()).unwrap()
        }
        "/upload" => {
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(Ok(frame)) = body.frame().await {
                length += frame.data_ref().map_or(0, Bytes::len);
                let _ = upload.send(length).await;
            }
            Response::new(full(length.to_string()))
        }
        "/ws" => {
            let key = request.headers()["sec-websocket-key"].clone();
            let upgrade = hyper::upgrade::on(request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut bytes = [0; 64];
                // An echo in capital letters, until the client leaves.
                while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                    let answer = bytes[..read].to_ascii_uppercase();
                    if stream.write_all(&answer).await.is_err() {
                        break;
                    }
                }
                let _ = upload.send(0).await;
            });
            Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-accept", key)
                .body(full(String::new()))
                .unwrap()
        }
        "/hang" => std::future::pending().await,
        _ => {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let headers = head.headers.iter();
            let headers: Vec<_> = headers
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            let echo = serde_json::json!({
                "method": head.method.as_str(),
                "target": head.uri.to_string(),
                "headers": headers,
                "body": String::from_utf8_lossy(&body),
            });
            Response::builder()
                .status(207)
                .header("x-gateway", "its own")
                .header("keep-alive", "timeout=9")
                .header("connection", "x-secret-hop")
                .header("x-secret-hop", "1")
                .body(full(echo.to_string()))
                .unwrap()
        }
    }
}

/// A body whose parts are sent one by one.
struct Parts(mpsc::Receiver<Part>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Part>> {
        self.0.poll_recv(context)
    }
}

/// The instance `waha` at `gateway`; the other instances let nothing through.
fn settings(gateway: &Gateway) -> Settings {
    Settings::default()
        .only(
            "waha",
            &format!("base_url = \"http://{}\"", gateway.address),
        )
        .only("waha", "pass_through = true")
}

/// The same with an instance `other` at another gateway.
fn beside(gateway: &Gateway, other: &Gateway) -> Settings {
    settings(gateway)
        .named("other", "waha")
        .only("other", &format!("base_url = \"http://{}\"", other.address))
        .only("other", "pass_through = true")
}

fn key(rig: &Rig) -> (String, String) {
    ("x-api-key".to_owned(), rig.vendors().token().to_owned())
}

async fn ask(rig: &Rig, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let (name, token) = key(rig);
    let mut all = vec![(name.as_str(), token.as_str())];
    all.extend(headers);
    Answer::send(&rig.address(), method, path, &all, body).await
}

/// What the gateway was asked.
fn echo(answer: &Answer) -> Value {
    assert_eq!(answer.status, 207, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// A connection to the rig, to read an answer while it arrives.
async fn connect(rig: &Rig) -> client::SendRequest<BoxBody<Bytes, Infallible>> {
    let stream = TcpStream::connect(rig.address()).await.unwrap();
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(rig: &Rig, path: &str) -> Request<BoxBody<Bytes, Infallible>> {
    let (name, token) = key(rig);
    Request::get(path)
        .header("host", "faces")
        .header(name, token)
        .body(Full::default().boxed())
        .unwrap()
}

#[tokio::test]
async fn a_request_reaches_the_gateway_as_it_is() {
    let gateway = Gateway::start().await;
    let rig = settings(&gateway).start().await;
    for (method, target, body) in [
        ("GET", "/api/sessions", ""),
        (
            "POST",
            "/api/sendText?session=shop&q=%C3%A9%2F+x",
            "{\"text\":\"hello\"}",
        ),
        ("PUT", "/api/shop/profile/picture", "x"),
        ("DELETE", "/api/shop/chats/1%40c.us", ""),
        ("PATCH", "//double//slash", "x"),
        // A method that the drop-in route of this path does not have.
        ("POST", "/api/shop/chats/628100000001@c.us/picture", "x"),
    ] {
        let headers = [
            ("content-type", "application/json"),
            ("x-own", "1"),
            ("cookie", "a=b"),
        ];
        let answer = ask(&rig, method, target, &headers, body.as_bytes()).await;
        let asked = echo(&answer);
        assert_eq!(asked["method"], method);
        assert_eq!(asked["target"], target);
        assert_eq!(asked["body"], body);
        let headers = asked["headers"].to_string();
        for header in [
            "content-type: application/json",
            "x-own: 1",
            "cookie: a=b",
            "via: 1.1 faceplate",
        ] {
            assert!(headers.contains(header), "{header} in {headers}");
        }
        assert!(
            headers.contains(&format!("host: {}", gateway.address)),
            "{headers}"
        );
        assert_eq!(answer.header("x-gateway"), "its own");
        assert!(answer.header("x-request-id").starts_with('f'));
        for hop in ["keep-alive", "x-secret-hop"] {
            assert!(!answer.headers.contains_key(hop), "{hop}");
        }
    }
    // Nothing was taken from the budget, and nothing cached.
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let counted =
        "http_server_request_duration_seconds_count{route=\"pass-through\",status=\"207\"} 6";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}

#[tokio::test]
async fn headers_about_one_connection_and_faceplate_s_own_credential_stay_here() {
    let gateway = Gateway::start().await;
    let access = "mode = \"open\"\nallow_public = true\nbearer_tokens = [\"env:BEARER\"]";
    let rig = settings(&gateway).section("access", access).start().await;
    let headers = [
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eDp5"),
        ("authorization", "Bearer a bearer token for tests"),
    ];
    let asked = echo(&ask(&rig, "GET", "/api/version", &headers, &[]).await);
    let sent = asked["headers"].to_string();
    for name in [
        "x-hop",
        "keep-alive",
        "te:",
        "proxy-authorization",
        "authorization",
    ] {
        assert!(!sent.contains(name), "{name} in {sent}");
    }
    // Another one is the caller's business.
    let headers = [("authorization", "Bearer for the gateway")];
    let asked = echo(&ask(&rig, "GET", "/api/version", &headers, &[]).await);
    assert!(
        asked["headers"]
            .to_string()
            .contains("authorization: Bearer for the gateway")
    );
}

#[tokio::test]
async fn only_the_credential_of_an_instance_with_pass_through_passes() {
    let gateway = Gateway::start().await;
    let rig = settings(&gateway).start().await;
    let token = rig.vendors().token().to_owned();
    let address = rig.address();
    let status = async |path: &str, headers: &[(&str, &str)]| {
        Answer::to(&address, "GET", path, headers)
            .await
            .status
            .as_u16()
    };
    assert_eq!(status("/api/sessions", &[]).await, 404);
    assert_eq!(
        status("/api/sessions", &[("x-api-key", "wrong")]).await,
        401
    );
    // Wappfy's header, whose instance lets nothing through.
    assert_eq!(status("/api/sessions", &[("apikey", &token)]).await, 404);
    assert_eq!(status("/api/sessions", &[("x-api-key", &token)]).await, 207);
    // Browsers cannot set headers of a WebSocket.
    let in_query = format!("/socket?x-api-key={token}&session=shop");
    assert_eq!(status(&in_query, &[]).await, 207);
    let wrong = Answer::to(&address, "GET", "/api/x", &[("x-api-key", "wrong")]).await;
    assert!(wrong.text().contains("pass_through"), "{}", wrong.text());

    let off = Settings::default()
        .only(
            "waha",
            &format!("base_url = \"http://{}\"", gateway.address),
        )
        .start()
        .await;
    assert_eq!(
        ask(&off, "GET", "/api/sessions", &[], &[]).await.status,
        404
    );
}

#[tokio::test]
async fn faces_and_picture_calls_are_not_passed_through() {
    let gateway = Gateway::start().await;
    let rig = settings(&gateway).start().await;
    // The gateway answers with 207, which is no picture.
    let face = ask(&rig, "GET", "/avatar/waha/628100000001@c.us", &[], &[]).await;
    assert_eq!((face.status.as_u16(), face.source()), (200, "fallback"));
    assert_eq!(
        ask(&rig, "GET", "/openapi.json", &[], &[]).await.status,
        200
    );
    let call = ask(
        &rig,
        "GET",
        "/api/shop/chats/628100000001@c.us/picture",
        &[],
        &[],
    )
    .await;
    assert_ne!(call.status, 207);
    assert_eq!(
        ask(&rig, "GET", "/avatar/waha/nonsense", &[], &[])
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn a_request_cannot_choose_the_host_or_leave_the_path_of_the_gateway() {
    let gateway = Gateway::start().await;
    let base = format!("base_url = \"http://{}/base/\"", gateway.address);
    let rig = settings(&gateway).only("waha", &base).start().await;
    let token = rig.vendors().token().to_owned();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = other.local_addr().unwrap();
    let send = async |target: &str, host: &str| {
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\nx-api-key: {token}\r\nconnection: close\r\n\r\n"
        );
        raw(&rig.address(), &head).await
    };
    for target in [
        format!("http://{other}/api/x"),
        format!("//{other}/api/x"),
        "/api/x".to_owned(),
        "/@evil/x".to_owned(),
    ] {
        let answer = send(&target, &other.to_string()).await;
        assert!(
            answer.contains(&format!("host: {}", gateway.address)),
            "{answer}"
        );
        assert!(answer.contains("\"target\":\"/base/"), "{answer}");
    }
    for target in [
        "/../secret",
        "/a/../../secret",
        "/a/%2e%2e/%2e%2e/secret",
        "/a/..%2f..%2fsecret",
        "/a/.%5c..%5csecret",
        "/./a",
    ] {
        let answer = send(target, "faces").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
    }
    let connect = format!(
        "CONNECT {other} HTTP/1.1\r\nhost: {other}\r\nx-api-key: {token}\r\nconnection: close\r\n\r\n"
    );
    let answer = raw(&rig.address(), &connect).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one_and_end_when_the_client_leaves() {
    let gateway = Gateway::start().await;
    let rig = settings(&gateway).start().await;
    let mut sender = connect(&rig).await;
    let answer = sender.send_request(get(&rig, "/events")).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    for text in ["data: 1\n\n", "data: 2\n\n"] {
        gateway.send_event(text).await;
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), text);
    }
    drop((body, sender));
    // The gateway's own connection ends with it.
    until(async || gateway.events.is_closed(), LIMIT).await;
}

#[tokio::test]
async fn a_reload_leaves_streams_alone_and_a_stop_ends_event_streams() {
    let gateway = Gateway::start().await;
    let mut rig = settings(&gateway).start().await;
    let mut sender = connect(&rig).await;
    let answer = sender.send_request(get(&rig, "/events")).await.unwrap();
    let mut body = answer.into_body();
    rig.reload("lookups = { per_minute = 6000, burst = 1000 }");
    gateway.send_event("data: 1\n\n").await;
    assert!(body.frame().await.unwrap().is_ok());
    let stopped = tokio::spawn(async move { rig.stop().await });
    // It ends as a whole, not by an abort.
    assert!(body.frame().await.is_none());
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_long_upload_reaches_the_gateway_while_the_client_sends_it() {
    let gateway = Gateway::start().await;
    let rig = settings(&gateway).start().await;
    let (parts, received) = mpsc::channel::<Part>(1);
    let (name, token) = key(&rig);
    let request = Request::post("/upload")
        .header("host", "faces")
        .header(name, token)
        .body(Parts(received).boxed())
        .unwrap();
    let mut sender = connect(&rig).await;
    let answer = tokio::spawn(sender.send_request(request));
    for length in [3, 6] {
        parts
            .send(Ok(Frame::data(Bytes::from_static(b"abc"))))
            .await
            .unwrap();
        assert_eq!(gateway.uploaded.lock().await.recv().await, Some(length));
    }
    drop(parts);
    let answer = answer
        .await
        .unwrap()
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    assert_eq!(answer.to_bytes(), "6");
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_the_gateway_down() {
    let gateway = Gateway::start().await;
    let rig = settings(&gateway).start().await;
    let mut stream = TcpStream::connect(rig.address()).await.unwrap();
    let (name, token) = key(&rig);
    let head = format!("GET /download HTTP/1.1\r\nhost: faces\r\n{name}: {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let part = Bytes::from(vec![0; 1 << 20]);
    let mut sent = 0;
    // Sockets take some megabytes, and then the gateway can send no more.
    let send = async || {
        gateway
            .events
            .send(Ok(Frame::data(part.clone())))
            .await
            .unwrap()
    };
    while tokio::time::timeout(Duration::from_millis(500), send())
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 64, "the body is collected somewhere");
    }
    let mut buffer = vec![0; 1 << 16];
    let mut read = 0;
    while read < 2 << 20 {
        read += stream.read(&mut buffer).await.unwrap();
    }
    tokio::time::timeout(LIMIT, send()).await.unwrap();
}

#[tokio::test]
async fn bodies_requests_and_waits_have_bounds() {
    let gateway = Gateway::start().await;
    let bounds = "answer_timeout = \"200ms\"\nidle_timeout = \"400ms\"\nmax_requests = 2\nmax_body = \"1KiB\"";
    let rig = settings(&gateway)
        .section("pass_through", bounds)
        .start()
        .await;
    // 413, by the announced length and by the real one.
    let long = vec![b'x'; 1025];
    assert_eq!(ask(&rig, "POST", "/upload", &[], &long).await.status, 413);
    let (name, token) = key(&rig);
    let chunk = format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(0x401));
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: faces\r\n{name}: {token}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"
    );
    let answer = raw(&rig.address(), &head).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("pass_through.max_body"), "{answer}");
    // 504: the gateway has the request and does not answer.
    let late = ask(&rig, "GET", "/hang", &[], &[]).await;
    assert_eq!(late.status, 504);
    assert!(
        late.text().contains("pass_through.answer_timeout"),
        "{}",
        late.text()
    );
    // 408: the client sends no more, for longer than the gateway may take.
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: faces\r\n{name}: {token}\r\nconnection: close\r\ncontent-length: 10\r\n\r\nabc"
    );
    let answer = raw(&rig.address(), &head).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // 503: as many as may be are under way.
    let mut sender = connect(&rig).await;
    let events = sender.send_request(get(&rig, "/events")).await.unwrap();
    let mut hanging = connect(&rig).await;
    let hanging = tokio::spawn(hanging.send_request(get(&rig, "/hang")));
    until(async || gateway.open.available_permits() < PLACES, LIMIT).await;
    let full = async || ask(&rig, "GET", "/api/x", &[], &[]).await;
    until(
        async || full().await.status == 503 || hanging.is_finished(),
        LIMIT,
    )
    .await;
    drop(hanging);
    // An event stream that sends nothing ends.
    let mut body = events.into_body();
    assert!(body.frame().await.is_none_or(|frame| frame.is_err()));
    until(async || full().await.status == 207, LIMIT).await;
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    assert!(
        metrics.text().contains("limit=\"pass_through\""),
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn a_gateway_that_is_gone_or_blocked_is_a_502_that_says_so() {
    let gateway = Gateway::start().await;
    let gone = "base_url = \"http://127.0.0.1:1\"";
    let rig = settings(&gateway).only("waha", gone).start().await;
    let answer = ask(&rig, "GET", "/api/x", &[], &[]).await;
    assert_eq!(answer.status, 502);
    assert!(
        answer.text().contains("faceplate doctor"),
        "{}",
        answer.text()
    );
    let blocked = "base_url = \"http://127.0.0.2:1\"";
    let rig = settings(&gateway)
        .only("waha", blocked)
        .only("waha", "allow_private = [\"127.0.0.1/32\"]")
        .start()
        .await;
    let answer = ask(&rig, "GET", "/api/x", &[], &[]).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("allow_private"), "{}", answer.text());
}

#[tokio::test]
async fn the_account_in_the_path_chooses_among_instances_with_one_key() {
    let (first, second) = (Gateway::start().await, Gateway::start().await);
    let rig = beside(&first, &second)
        .only("other", "account = \"other\"")
        .start()
        .await;
    for (path, gateway) in [
        ("/api/shop/x", &first),
        ("/api/other/x", &second),
        ("/x?session=other", &second),
    ] {
        let asked = echo(&ask(&rig, "GET", path, &[], &[]).await);
        let host = format!("host: {}", gateway.address);
        assert!(asked["headers"].to_string().contains(&host), "{path}");
    }
    for path in ["/api/sessions", "/api/shop/x?session=other"] {
        let unclear = ask(&rig, "GET", path, &[], &[]).await;
        assert_eq!(unclear.status, 409, "{path}");
        assert!(
            unclear.text().contains("ambiguous-account"),
            "{}",
            unclear.text()
        );
    }
}

#[tokio::test]
async fn an_account_name_that_two_gateways_have_under_one_key_chooses_neither() {
    let (first, second) = (Gateway::start().await, Gateway::start().await);
    let rig = beside(&first, &second).start().await;
    for path in ["/api/shop/x", "/x?session=shop"] {
        let answer = ask(&rig, "GET", path, &[], &[]).await;
        assert_eq!(answer.status, 409, "{path}: {}", answer.text());
        assert!(
            answer.text().contains("ambiguous-account"),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_request_that_names_two_accounts_of_one_gateway_goes_to_it() {
    let gateway = Gateway::start().await;
    let rig = beside(&gateway, &gateway)
        .only("other", "account = \"other\"")
        .start()
        .await;
    for path in ["/api/shop/x?session=other", "/api/sessions"] {
        let asked = echo(&ask(&rig, "GET", path, &[], &[]).await);
        assert_eq!(asked["target"], path);
    }
}

#[tokio::test]
async fn http_2_clients_pass_through_too() {
    let gateway = Gateway::start().await;
    let rig = settings(&gateway).start().await;
    let stream = TcpStream::connect(rig.address()).await.unwrap();
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let (name, token) = key(&rig);
    let request = Request::post("http://faces/api/x?a=b")
        .header(name, token)
        .body(Full::new(Bytes::from_static(b"body")))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 207);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (asked["target"].as_str(), asked["body"].as_str()),
        (Some("/api/x?a=b"), Some("body"))
    );
}

/// A WebSocket through the rig, with the bytes that it sends beside its request.
async fn web_socket(rig: &Rig, early: &str) -> TcpStream {
    let mut stream = TcpStream::connect(rig.address()).await.unwrap();
    let token = rig.vendors().token();
    let head = format!(
        "GET /ws?session=shop&x-api-key={token} HTTP/1.1\r\nhost: faces\r\nconnection: keep-alive, Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: a key\r\n\r\n{early}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    for header in [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-accept: a key",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    stream
}

async fn exchange(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    expect(stream, &text.to_uppercase()).await;
}

async fn expect(stream: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    tokio::time::timeout(LIMIT, stream.read_exact(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bytes, text.as_bytes());
}

#[tokio::test]
async fn a_web_socket_goes_through_both_ways_and_survives_a_reload() {
    let gateway = Gateway::start().await;
    let mut rig = settings(&gateway).start().await;
    let mut stream = web_socket(&rig, "early").await;
    expect(&mut stream, "EARLY").await;
    exchange(&mut stream, "one").await;
    rig.reload("lookups = { per_minute = 6000, burst = 1000 }");
    exchange(&mut stream, "two").await;
    // The gateway's side ends with the client's.
    drop(stream);
    assert_eq!(gateway.uploaded.lock().await.recv().await, Some(0));
}

#[tokio::test]
async fn a_web_socket_ends_when_it_is_idle_or_the_server_stops() {
    let gateway = Gateway::start().await;
    let bounds = "idle_timeout = \"300ms\"";
    let mut rig = settings(&gateway)
        .section("pass_through", bounds)
        .start()
        .await;
    let mut idle = web_socket(&rig, "").await;
    exchange(&mut idle, "one").await;
    assert_eq!(
        tokio::time::timeout(LIMIT, idle.read(&mut [0]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
    assert_eq!(gateway.uploaded.lock().await.recv().await, Some(0));
    rig.turn("pass_through", "idle_timeout = \"5m\"").await;
    let mut stream = web_socket(&rig, "").await;
    exchange(&mut stream, "one").await;
    rig.stop().await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn no_other_protocol_is_switched_to() {
    let gateway = Gateway::start().await;
    let rig = settings(&gateway).start().await;
    let token = rig.vendors().token();
    let head = format!(
        "GET /api/x HTTP/1.1\r\nhost: faces\r\nx-api-key: {token}\r\nconnection: Upgrade, HTTP2-Settings\r\n\
         upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"
    );
    let mut stream = TcpStream::connect(rig.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 4096];
    let read = stream.read(&mut bytes).await.unwrap();
    let answer = String::from_utf8_lossy(&bytes[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 207 "), "{answer}");
    assert!(!answer.contains("h2c"), "{answer}");
}
