//! Times many requests at once: `herd PORT IN_FLIGHT SPREAD_MS < PATHS` requests each path once, over `IN_FLIGHT`
//! connections. All connections are open before the first request, and their first requests are spread over `SPREAD_MS`.
//! Prints the microseconds of each response. A response that is not a picture is an error.

use std::{
    collections::VecDeque,
    io::{BufRead, Write, stdin, stdout},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Paths = Arc<Mutex<VecDeque<String>>>;

/// Connections that open at once. More would overflow the kernel's queue.
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
    let paths = Arc::new(Mutex::new(paths?));

    let slots = Arc::new(Semaphore::new(OPENING));
    let mut opening = JoinSet::new();
    for _ in 0..in_flight {
        let slots = slots.clone();
        opening.spawn(async move {
            let _permit = slots.acquire().await?;
            connect(port).await
        });
    }
    let mut connections = Vec::new();
    while let Some(opened) = opening.join_next().await {
        connections.push(opened??);
    }
    let mut asking = JoinSet::new();
    for (at, connection) in (0..).zip(connections) {
        let paths = paths.clone();
        asking.spawn(async move {
            time::sleep(spread * at / in_flight).await;
            request_all(connection, &paths).await
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

async fn connect(port: u16) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Requests paths until none is left.
async fn request_all(mut stream: TcpStream, paths: &Paths) -> Result<Vec<Duration>, Failure> {
    let (mut took, mut received) = (Vec::new(), Vec::with_capacity(16 * 1024));
    loop {
        let next = paths.lock().map_err(|_| "another failed")?.pop_front();
        let Some(path) = next else {
            return Ok(took);
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        received.clear();
        while !is_whole(&received)? {
            if stream.read_buf(&mut received).await? == 0 {
                return Err("hung up".into());
            }
        }
        took.push(began.elapsed());
    }
}

/// Whether the response is complete. A response that is not a picture is an error.
fn is_whole(received: &[u8]) -> Result<bool, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = answer.parse(received)? else {
        return Ok(false);
    };
    let field = |name: &str| {
        let mut fields = answer.headers.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        str::from_utf8(field.value).ok()
    };
    let source = field("x-faceplate-source").unwrap_or("picture");
    if answer.code != Some(200) || source != "picture" {
        let text = String::from_utf8_lossy(received);
        return Err(format!("not a picture: {text}").into());
    }
    let length: usize = field("content-length").ok_or("no length")?.parse()?;
    Ok(received.len() >= head + length)
}
