//! Requests that are under way at once, each timed: `herd PORT IN_FLIGHT SPREAD_MS < PATHS` asks for each path
//! once, over as many connections, which are open before the first request and make their first ones spread
//! over that time. Prints the microseconds that each took. An answer that is no picture ends it.

use std::{
    collections::VecDeque,
    io::{BufRead, Write, stdin, stdout},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet, time};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Waiting = Arc<Mutex<VecDeque<String>>>;

/// Connections that are being opened at once: more would overflow the kernel's queue.
const OPENING: usize = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let [_, port, in_flight, spread] = args.as_slice() else {
        return Err("herd PORT IN_FLIGHT SPREAD_MS < PATHS".into());
    };
    let (port, in_flight): (u16, u32) = (port.parse()?, in_flight.parse()?);
    let spread = Duration::from_millis(spread.parse()?);
    let paths: Result<VecDeque<String>, _> = stdin().lock().lines().collect();
    let waiting = Arc::new(Mutex::new(paths?));

    let gate = Arc::new(Semaphore::new(OPENING));
    let mut opening = JoinSet::new();
    for _ in 0..in_flight {
        let gate = gate.clone();
        opening.spawn(async move {
            let _permit = gate.acquire().await?;
            connect(port).await
        });
    }
    let mut connections = Vec::new();
    while let Some(opened) = opening.join_next().await {
        connections.push(opened??);
    }
    let mut asking = JoinSet::new();
    for (at, connection) in (0..).zip(connections) {
        let waiting = waiting.clone();
        asking.spawn(async move {
            time::sleep(spread * at / in_flight).await;
            ask(connection, &waiting).await
        });
    }
    let mut out = stdout().lock();
    while let Some(asked) = asking.join_next().await {
        for took in asked?? {
            writeln!(out, "{}", took.as_micros())?;
        }
    }
    Ok(())
}

async fn connect(port: u16) -> Result<SendRequest<Empty<Bytes>>, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Asks for paths until none is left.
async fn ask(
    mut connection: SendRequest<Empty<Bytes>>,
    waiting: &Waiting,
) -> Result<Vec<Duration>, Failure> {
    let mut took = Vec::new();
    loop {
        let next = waiting.lock().map_err(|_| "another failed")?.pop_front();
        let Some(path) = next else {
            return Ok(took);
        };
        let request = Request::get(path).header("host", "localhost");
        let began = Instant::now();
        let answer = connection.send_request(request.body(Empty::new())?).await?;
        let (head, body) = answer.into_parts();
        body.collect().await?;
        took.push(began.elapsed());
        let source = head.headers.get("x-faceplate-source");
        if head.status != StatusCode::OK || source.is_some_and(|source| source != "picture") {
            return Err(format!("no picture: {head:?}").into());
        }
    }
}
