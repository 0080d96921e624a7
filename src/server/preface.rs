//! Reads the first bytes of a connection, which tell HTTP/2 from HTTP/1.1. They are read, not looked at in the socket: a
//! client that closes is noticed at once, and no byte wakes the server twice. The protocol gets them from [`Opening`].

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::telemetry::Limit;

/// The beginning of an HTTP/2 client's connection preface (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// The beginning of a connection.
pub(super) struct Opening {
    /// The protocol that the bytes begin.
    pub(super) version: Version,
    /// The bytes that were read.
    pub(super) received: Vec<u8>,
}

/// Reads until the protocol is known. `None` if the client closes, takes longer than `deadline`, or has not sent so much when
/// the server stops.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    deadline: Instant,
    shutdown: &CancellationToken,
) -> io::Result<Option<Opening>> {
    // On the stack, so that a silent connection has no buffer.
    let mut bytes = [0; PREFACE.len()];
    let mut length = 0;
    loop {
        let read = tokio::select! {
            biased;
            read = timeout_at(deadline, stream.read(&mut bytes[length..])) => read,
            () = shutdown.cancelled() => return Ok(None),
        };
        let Ok(read) = read else {
            Limit::HeaderTimeout.report();
            return Ok(None);
        };
        match read? {
            0 => return Ok(None),
            read => length += read,
        }
        let received = &bytes[..length];
        let version = match PREFACE.strip_prefix(received) {
            Some([]) => Version::Http2,
            Some(_) => continue,
            None => Version::Http1,
        };
        return Ok(Some(Opening {
            version,
            received: received.to_vec(),
        }));
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, time::Duration};

    use super::*;

    async fn read_from(pieces: &[&[u8]]) -> Option<Opening> {
        let (mut client, mut server) = tokio::io::duplex(64);
        let shutdown = CancellationToken::new();
        let deadline = Instant::now() + Duration::from_secs(30);
        let opening = read(&mut server, deadline, &shutdown);
        let writing = async move {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(opening, writing).0.unwrap()
    }

    #[tokio::test]
    async fn the_first_bytes_tell_the_version_and_none_is_lost() {
        let (first, rest) = PREFACE.split_at(1);
        for (pieces, version) in [
            (vec![PREFACE], Version::Http2),
            (vec![first, rest], Version::Http2),
            (vec![b"G"], Version::Http1),
            (vec![first, b"URGE /"], Version::Http1),
        ] {
            let opening = read_from(&pieces).await.unwrap();
            assert_eq!(opening.version, version, "{pieces:?}");
            assert_eq!(opening.received, pieces.concat());
        }
    }

    #[tokio::test]
    async fn a_client_that_closes_within_the_preface_is_noticed() {
        for sent in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
            assert!(read_from(&[sent]).await.is_none(), "{sent:?}");
        }
    }

    #[tokio::test]
    async fn a_silent_client_is_left_when_the_server_stops() {
        for sent in [&b""[..], b"P"] {
            let (mut client, mut server) = tokio::io::duplex(64);
            client.write_all(sent).await.unwrap();
            let shutdown = CancellationToken::new();
            shutdown.cancel();
            let deadline = Instant::now() + Duration::from_secs(30);
            let opening = read(&mut server, deadline, &shutdown).await.unwrap();
            assert!(opening.is_none());
        }
    }
}
