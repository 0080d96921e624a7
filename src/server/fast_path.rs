//! The HTTP/1.1 fast path: it serves GET and HEAD requests without a body, and passes the connection to hyper, with all
//! bytes that are not answered yet, at the first request that is anything else. `server.fast_path = false` turns it off.
//!
//! 1. Read until a head is complete, within the time limit for a head.
//! 2. Parse it (`request_head`), or pass the connection to hyper.
//! 3. Let the handler answer, and stop if the client goes away meanwhile.
//! 4. Write head and body.
//!
//! A hit of 4 KB behind hyper costs 1.3 times as much, and one of 40 KB 1.35 times (`make bench-choices`).

use std::{
    cell::RefCell,
    convert::Infallible,
    future::pending,
    io::{self, Write},
    pin::{Pin, pin},
};

use bytes::Buf;
use httpdate::HttpDate;
use hyper::StatusCode;
use rustix::net::{SendFlags, send};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task,
    time::{Duration, Instant, Sleep, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::{
    FastAnswer, FastPath, Limits, Reply, Shared,
    request_head::{self, UnsupportedHead},
    sendfile_cache::{SendfileCache, SocketAccess, send_now},
};
use crate::{clock::Clock, telemetry::Limit};

/// How the fast path ended.
pub(super) enum End {
    /// The connection can be closed.
    Closed,
    /// hyper has to go on. These are the bytes that were received and not answered.
    Fallback(Vec<u8>),
}

/// A connection on the fast path.
struct Connection<'a, 's, I> {
    stream: &'a mut I,
    limits: &'a Limits,
    sendfile: Option<&'a SendfileCache>,
    /// Completes when the server stops.
    stop: Pin<&'a mut WaitForCancellationFuture<'s>>,
    /// Bytes that were received and not answered.
    received: Vec<u8>,
    /// The head of a response. It is a field to be allocated once.
    head: Vec<u8>,
    header_timeout: Deadline<'a>,
}

/// A timer whose deadline moves with every request. Setting a `Sleep` each time takes a lock of the runtime; this one is
/// set again only when it fires too early.
struct Deadline<'a> {
    at: Instant,
    timer: Pin<&'a mut Sleep>,
}

/// The longest wait for the next bytes of a head when the server stops.
pub(super) const REST_OF_HEAD: Duration = Duration::from_secs(1);

/// Serves requests on `stream`, which begin with the bytes in `received`, until one of them needs hyper. The first head has to
/// be complete at `deadline`.
pub(super) async fn serve<I, S>(
    stream: &mut I,
    received: Vec<u8>,
    deadline: Instant,
    service: &S,
    server: &Shared,
    shutdown: &CancellationToken,
) -> io::Result<End>
where
    I: SocketAccess + AsyncRead + AsyncWrite + Unpin,
    S: FastPath,
{
    let limits = &server.settings.limits;
    let timer = pin!(sleep_until(deadline));
    let stop = pin!(shutdown.cancelled());
    let mut connection = Connection {
        stream,
        limits,
        sendfile: server.sendfile.as_deref(),
        stop,
        received,
        head: Vec::new(),
        header_timeout: Deadline {
            at: deadline,
            timer,
        },
    };
    loop {
        let (request, length) = match request_head::parse(&connection.received) {
            Ok(Some(parsed)) if parsed.1 <= limits.header_bytes => parsed,
            Ok(None) if connection.received.len() < limits.header_bytes => {
                match connection.read().await? {
                    0 => return Ok(End::Closed),
                    _ => continue,
                }
            }
            Ok(_) | Err(UnsupportedHead) => return Ok(End::Fallback(connection.received)),
        };
        let FastAnswer::Answer(answer) = service.fast_path(request) else {
            return Ok(End::Fallback(connection.received));
        };
        connection.received.drain(..length);
        let Some(reply) = connection.wait_for(answer).await? else {
            return Ok(End::Closed);
        };
        let is_last = shutdown.is_cancelled();
        connection.write(reply, is_last).await?;
        if is_last {
            return Ok(End::Closed);
        }
        connection.header_timeout.at = Instant::now() + limits.header_read;
        connection.end_turn().await;
    }
}

impl<I: SocketAccess + AsyncRead + AsyncWrite + Unpin> Connection<'_, '_, I> {
    /// The least room for a read. Most heads are shorter.
    const CHUNK: usize = 4096;

    /// Reads some bytes, and returns how many; 0 if the connection has to be closed: by the client, by the time limit, or
    /// by the shutdown, which gives a head that has begun a moment.
    async fn read(&mut self) -> io::Result<usize> {
        self.received.reserve(Self::CHUNK);
        let is_idle = self.received.is_empty();
        tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.received) => read,
            () = self.stop.as_mut() => match is_idle {
                true => Ok(0),
                false => self.read_rest().await,
            },
            () = self.header_timeout.wait() => {
                // Closing an idle connection does not count as a limit that was reached.
                if !is_idle {
                    Limit::HeaderTimeout.report();
                }
                Ok(0)
            }
        }
    }

    /// Reads on for a moment, because the server stops and a head has begun.
    async fn read_rest(&mut self) -> io::Result<usize> {
        let read = self.stream.read_buf(&mut self.received);
        timeout(REST_OF_HEAD, read).await.unwrap_or(Ok(0))
    }

    /// Lets other connections go first after each answer to a client that pipelines (RFC 9112 §9.3.2): its next request is here
    /// already, so no read would yield.
    async fn end_turn(&self) {
        if !self.received.is_empty() {
            task::yield_now().await;
        }
    }

    /// Waits for the answer; `None` if the client goes away before.
    async fn wait_for(
        &mut self,
        answer: impl Future<Output = Result<Reply, Infallible>>,
    ) -> io::Result<Option<Reply>> {
        tokio::select! {
            biased;
            Ok(reply) = answer => Ok(Some(reply)),
            end = self.read_ahead() => end.map(|()| None),
        }
    }

    /// Receives pipelined requests while an answer is made. Returns when the client goes away.
    async fn read_ahead(&mut self) -> io::Result<()> {
        while self.received.len() < self.limits.header_bytes {
            self.received.reserve(Self::CHUNK);
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Ok(());
            }
        }
        pending().await
    }

    async fn write(&mut self, reply: Reply, is_last: bool) -> io::Result<()> {
        self.head.clear();
        write_head(&mut self.head, &reply, is_last);
        let sent = match (self.stream.socket(), self.sendfile) {
            (Some(socket), _) if reply.body.len() < SendfileCache::SHORTEST => {
                send_copied(&self.head, &reply.body, socket)
            }
            // The body of a 206 is a part of a picture's buffer, which a sealed file would keep in memory.
            (Some(socket), Some(cache)) if reply.status == StatusCode::OK => {
                cache.send(&self.head, &reply.body, socket)
            }
            _ => 0,
        };
        let mut rest = Buf::chain(self.head.as_slice(), reply.body);
        rest.advance(sent);
        self.stream.write_all_buf(&mut rest).await?;
        self.stream.flush().await
    }
}

impl Deadline<'_> {
    /// Returns when the deadline has passed.
    async fn wait(&mut self) {
        loop {
            self.timer.as_mut().await;
            if self.at <= Instant::now() {
                return;
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

/// Sends a head and a short body out of one buffer, and returns how many bytes were sent without waiting. Two buffers in one
/// system call cost 4 % more of a hit than copying 4 KB does.
fn send_copied(head: &[u8], body: &[u8], socket: &TcpStream) -> usize {
    thread_local! {
        static COPY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    COPY.with_borrow_mut(|copy| {
        copy.clear();
        copy.extend_from_slice(head);
        copy.extend_from_slice(body);
        send_now(socket, || Ok(send(socket, copy, SendFlags::empty())?))
    })
}

/// The head of a response.
pub(super) fn response_head(reply: &Reply, is_last: bool) -> Vec<u8> {
    let mut head = Vec::new();
    write_head(&mut head, reply, is_last);
    head
}

fn write_head(head: &mut Vec<u8>, reply: &Reply, is_last: bool) {
    write_status(head, reply.status);
    head.extend_from_slice(reply.headers.as_bytes());
    write_date(head);
    if is_last {
        head.extend_from_slice(b"connection: close\r\n");
    }
    head.extend_from_slice(b"\r\n");
}

fn write_status(head: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
}

/// Writes `Date` (RFC 9110 §6.6.1). The line is kept for its second, as hyper keeps it.
fn write_date(head: &mut Vec<u8>) {
    thread_local! {
        static LINE: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) };
    }
    let now = Clock::system().now();
    LINE.with_borrow_mut(|(second, line)| {
        if *second != now.as_secs() || line.is_empty() {
            *second = now.as_secs();
            line.clear();
            // Writing to a `Vec` cannot fail.
            let _ = write!(line, "date: {}\r\n", HttpDate::from(now.as_system_time()));
        }
        head.extend_from_slice(line);
    });
}
