//! HTTP/2 clients that open no window: each stream ends after `server.send_timeout`, and all of them together hold no more
//! than `server.in_flight`.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet, time};

use super::{FACE, rig};
use crate::support::{Answer, LIMIT, Rig, rig::Settings, until};

/// An HTTP/2 connection.
#[derive(Clone)]
pub struct Client(SendRequest<Empty<Bytes>>);

impl Client {
    /// Connects with a window of this many bytes for each stream. PINGs are answered.
    pub async fn connect(address: &str, window: u32) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// The head of an answer; its body stays at the server as far as the window is closed.
    pub async fn get(&mut self, path: &str) -> hyper::Result<Response<Incoming>> {
        self.get_uri(&format!("http://localhost{path}")).await
    }

    /// The same for another host.
    pub async fn get_uri(&mut self, uri: &str) -> hyper::Result<Response<Incoming>> {
        let request = Request::get(uri).body(Empty::new()).unwrap();
        self.0.ready().await?;
        self.0.send_request(request).await
    }

    /// The same with a header.
    pub async fn get_with(
        &mut self,
        path: &str,
        name: &str,
        value: &str,
    ) -> hyper::Result<Response<Incoming>> {
        let request = Request::get(format!("http://localhost{path}")).header(name, value);
        self.0.ready().await?;
        self.0
            .send_request(request.body(Empty::new()).unwrap())
            .await
    }

    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

fn face(number: usize) -> String {
    format!("/avatar/waha/6287{number:06}")
}

/// Asserts that a limit was reached.
async fn assert_reported(rig: &Rig, limit: &str) {
    let metrics = Answer::to(&rig.admin(), "GET", "/metrics", &[]).await;
    let name = format!("faceplate_limit_reached_total{{limit=\"{limit}\"}} ");
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(&name));
    assert!(line.is_some_and(|count| count != "0"), "{limit}: {line:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_streams_take_nothing_is_closed() {
    let rig = rig("send_timeout = \"300ms\"").await;
    let mut client = Client::connect(&rig.address(), 0).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(client.get(&format!("/avatar/waha/{FACE}")).await.unwrap());
    }
    for response in held {
        assert_eq!(response.status(), 200);
        let body = time::timeout(LIMIT, response.into_body().collect()).await;
        assert!(body.expect("the stream ends").is_err());
    }
    until(async || client.is_closed(), LIMIT).await;
    assert_reported(&rig, "send_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_nothing_is_reset_while_another_one_moves() {
    let rig = rig("send_timeout = \"300ms\"").await;
    let mut client = Client::connect(&rig.address(), 8 * 1024).await;
    let path = format!("/avatar/waha/{FACE}");
    assert!(rig.bytes(FACE).len() > 30 * 1024);
    let stuck = client.get(&path).await.unwrap().into_body();
    let stuck = tokio::spawn(async move {
        // The bytes of the first window are not read, so no other one opens.
        time::sleep(Duration::from_secs(2)).await;
        stuck.collect().await
    });
    while !stuck.is_finished() {
        let moving = client.get(&path).await.unwrap().into_body();
        assert_eq!(moving.collect().await.unwrap().to_bytes(), rig.bytes(FACE));
    }
    assert!(stuck.await.unwrap().is_err());
    assert!(!client.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_the_window_cuts_off_is_not_kept_for_ever() {
    let rig = rig("send_timeout = \"300ms\"").await;
    // hyper has handed over the whole response when the window is open at all.
    let mut client = Client::connect(&rig.address(), 100).await;
    let path = format!("/avatar/waha/{FACE}?f=y");
    let _response = client.get(&path).await.unwrap();
    until(async || client.is_closed(), LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http2_connection_is_closed_in_time() {
    let rig = rig("header_timeout = \"300ms\"").await;
    let mut client = Client::connect(&rig.address(), 65_535).await;
    let response = client.get(&format!("/avatar/waha/{FACE}")).await.unwrap();
    response.into_body().collect().await.unwrap();
    until(async || client.is_closed(), LIMIT).await;
}

const FACES: usize = 20;

fn bytes(rig: &Rig, number: usize) -> Bytes {
    rig.bytes(&face(number)["/avatar/waha/".len()..])
}

/// A server with many faces on disk.
async fn with_faces(server: &str, memory: &str) -> Rig {
    // Longer than a busy machine takes for a picture.
    with_faces_and_cache(
        server,
        &format!("memory = \"{memory}\"\nfirst_paint = \"20s\""),
    )
    .await
}

async fn with_faces_and_cache(server: &str, cache: &str) -> Rig {
    let server = format!("listen = \"127.0.0.1:0\"\n{server}");
    let rig = Settings::default()
        .section("server", &server)
        .section("cache", cache)
        .start()
        .await;
    for number in 0..FACES {
        let is_known = async || rig.get(&face(number)).await.source() == "picture";
        until(is_known, LIMIT).await;
    }
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_under_way_that_no_cache_holds_have_one_budget() {
    let rig = with_faces("in_flight = \"64KiB\"", "1KiB").await;
    let client = Client::connect(&rig.address(), 0).await;
    let mut held = JoinSet::new();
    for number in 0..100 {
        let mut client = client.clone();
        held.spawn(async move { client.get(&face(number % FACES)).await });
    }
    // They hold their responses until these are reset, and the others wait meanwhile.
    let held = held.join_all().await;
    let statuses = held.iter().flatten().map(|response| response.status());
    let statuses: Vec<_> = statuses.collect();
    assert!(statuses.iter().any(|status| *status == 503), "{statuses:?}");
    assert!(statuses.iter().any(|status| *status == 200), "{statuses:?}");
    let mut others = JoinSet::new();
    for number in 0..FACES {
        let address = rig.address();
        let other = async move { Answer::to(&address, "GET", &face(number), &[]).await };
        others.spawn(async move { (number, other.await) });
    }
    for (number, answer) in others.join_all().await {
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), "1");
            assert!(answer.text().contains("urn:faceplate:problem:in-flight"));
        } else {
            answer.assert_picture(&bytes(&rig, number));
        }
    }
    assert_reported(&rig, "in_flight").await;
    // When the clients leave, there is space for all.
    drop((held, client));
    let is_served = async || rig.get(&face(0)).await.status == 200;
    until(is_served, LIMIT).await;
    for number in 0..FACES {
        rig.get(&face(number))
            .await
            .assert_picture(&bytes(&rig, number));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_memory_leaves_the_disk_its_time() {
    // Less than the second after which a stream that takes nothing makes space.
    let cache = "memory = \"1KiB\"\nfirst_paint = \"700ms\"";
    let rig = with_faces_and_cache("in_flight = \"64KiB\"", cache).await;
    let mut sources = Vec::new();
    // On a busy machine, the disk may take longer than that, too.
    while sources.len() < 5 && !sources.iter().any(|source| source == "picture") {
        let client = Client::connect(&rig.address(), 0).await;
        let mut held = Vec::new();
        for number in 1..5 {
            held.push(client.clone().get(&face(number)).await);
        }
        sources.push(rig.get(&face(0)).await.source().to_owned());
    }
    assert!(
        sources.iter().any(|source| source == "picture"),
        "{sources:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_in_memory_cost_nothing_of_the_budget() {
    let rig = with_faces("in_flight = \"64KiB\"", "64MiB").await;
    let mut client = Client::connect(&rig.address(), 0).await;
    let mut held = Vec::new();
    for number in 0..100 {
        let response = client.get(&face(number % FACES)).await.unwrap();
        assert_eq!(response.status(), 200, "{number}");
        held.push(response);
    }
    assert_eq!(rig.get(&face(0)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_under_way_that_no_cache_holds_are_part_of_the_budget() {
    let rig = Settings::default()
        .section("server", "listen = \"127.0.0.1:0\"\nin_flight = \"64KiB\"")
        .section("cache", "memory = \"64MiB\"")
        .section("images", "memory = \"1KiB\"")
        .start()
        .await;
    let variant = |number| format!("{}?s=640&format=png", face(number));
    for number in 0..FACES {
        rig.get(&face(number)).await;
    }
    let client = Client::connect(&rig.address(), 0).await;
    let mut held = Vec::new();
    for number in 0..FACES {
        held.push(client.clone().get(&variant(number)).await.unwrap());
    }
    let stand_ins = held
        .iter()
        .filter(|response| response.headers().contains_key("x-faceplate-variant"));
    let stand_ins = stand_ins.count();
    assert!(0 < stand_ins && stand_ins < FACES, "{stand_ins}");
    assert_reported(&rig, "in_flight").await;
    drop((held, client));
    let is_made = async || {
        let answer = rig.get(&variant(0)).await;
        !answer.headers.contains_key("x-faceplate-variant")
    };
    until(is_made, LIMIT).await;
}
