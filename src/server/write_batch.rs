//! Puts the writes of one turn of an HTTP/2 connection together. The HTTP/2 library flushes behind each DATA frame, which would
//! be a system call for every response, however many are ready. Here its flushes do nothing: bytes wait, encrypted where
//! the connection has TLS, until the connection's task has done all that it can, or until there are many of them.

use std::{
    io::{self, IoSlice, Write},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::sendfile_cache::SocketAccess;
use crate::sync::lock;

/// The stream that the HTTP/2 library writes to.
pub(super) struct BatchedStream<I>(Arc<Mutex<Batch<I>>>);

/// Sends what was written to the stream.
pub(super) struct Flusher<I>(Arc<Mutex<Batch<I>>>);

/// A stream, and the bytes that wait for it. The lock is never waited for, because one task has both handles.
struct Batch<I> {
    stream: I,
    /// The bytes that wait, unless they wait in the state of TLS.
    bytes: Vec<u8>,
    /// How many wait.
    waiting: usize,
}

/// Wraps `stream`.
pub(super) fn batch<I>(stream: I) -> (BatchedStream<I>, Flusher<I>) {
    let batch = Arc::new(Mutex::new(Batch {
        stream,
        bytes: Vec::new(),
        waiting: 0,
    }));
    (BatchedStream(batch.clone()), Flusher(batch))
}

impl<I: SocketAccess + AsyncWrite + Unpin> Flusher<I> {
    /// Sends all bytes that wait.
    pub(super) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_flush(context)
    }
}

impl<I: SocketAccess + AsyncWrite + Unpin> Batch<I> {
    /// So many waiting bytes are sent before the end of the turn. This bounds the memory of a client that takes nothing.
    const MOST: usize = 32 * 1024;

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.waiting >= Self::MOST {
            ready!(self.poll_flush(context))?;
        }
        let written = match self.stream.tls() {
            Some(tls) => tls.writer().write_vectored(slices)?,
            None => self.bytes.write_vectored(slices)?,
        };
        self.waiting += written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        while sent < self.bytes.len() {
            let rest = &self.bytes[sent..];
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(more)) => sent += more,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.bytes.drain(..sent);
                    self.waiting = self.bytes.len();
                    return Poll::Pending;
                }
            }
        }
        // A connection that waits for requests has no buffer.
        self.bytes = Vec::new();
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.waiting = 0;
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for BatchedStream<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_read(context, buffer)
    }
}

impl<I: SocketAccess + AsyncWrite + Unpin> AsyncWrite for BatchedStream<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut batch = lock(&self.0);
        ready!(batch.poll_flush(context))?;
        Pin::new(&mut batch.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_wait_for_the_end_of_the_turn() {
        let (mut client, server) = sockets().await;
        let (mut stream, flusher) = batch(server);
        stream.write_all(b"one").await.unwrap();
        stream.flush().await.unwrap();
        stream.write_all(b"two").await.unwrap();
        let mut received = [0; 6];
        assert!(client.try_read(&mut received).is_err());
        poll_fn(|context| flusher.poll_flush(context))
            .await
            .unwrap();
        client.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"onetwo");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_makes_the_writer_wait() {
        let (_client, server) = sockets().await;
        let (stream, _flusher) = batch(server);
        let mut context = Context::from_waker(Waker::noop());
        let chunk = [IoSlice::new(&[7; 16 * 1024])];
        let is_full = (0..10_000).any(|_| {
            let mut batch = lock(&stream.0);
            batch.poll_write(&mut context, &chunk).is_pending()
        });
        assert!(is_full);
        let waiting = lock(&stream.0).waiting;
        assert!(waiting <= Batch::<TcpStream>::MOST + 16 * 1024);
    }

    #[tokio::test]
    async fn what_waits_is_sent_before_the_end_of_the_stream() {
        let (mut client, server) = sockets().await;
        let (mut stream, _flusher) = batch(server);
        stream.write_all(b"last").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"last");
    }
}
