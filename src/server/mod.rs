//! Accepts connections and speaks HTTP on them. Knows sockets, not faces: the avatar front, the
//! emulator and the admin pages all run on this one accept loop.

mod connection;
mod fast_path;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod header_block;
mod listen;
mod reply;
mod rewind;
mod sendfile_cache;
mod shutdown;
mod tls;

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use hyper::{Response, body::Body};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use fast_path::{FastPath, HyperOnly};
pub use header_block::HeaderBlock;
pub use listen::{Address, Inherited, Listener};
pub use reply::Reply;
use sendfile_cache::SendfileCache;
use shutdown::Shutdown;
pub use tls::{BadCertificate, CertificateFiles, Tls};

/// What one listener grants its clients.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long a client may take over a request's head, and how long a kept-alive connection may
    /// idle: hyper runs both on one timer.
    pub header_read: Duration,
    /// Requests at once on an HTTP/2 connection.
    pub streams: u32,
    /// The largest request head in bytes; a larger one is answered with 431.
    pub header_bytes: usize,
    /// How long a client may take nothing of an answer that is being sent.
    pub send: Duration,
    /// How long requests under way may take to finish after the shutdown began.
    pub drain: Duration,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Whoever has this address.
    Ip(IpAddr),
    /// Somebody on this machine, through a Unix socket.
    Local,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_read: Duration::from_secs(30),
            streams: 128,
            header_bytes: 16 * 1024,
            send: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves what `service` makes for each client on `listener` until `shutdown` is cancelled, then
/// lets requests under way end.
pub async fn run<M, S, B>(
    listener: Listener,
    service: M,
    limits: Limits,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) where
    M: Fn(Peer) -> S,
    S: FastPath<Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connections = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    let files = Arc::new(SendfileCache::new());
    let stop = Arc::new(Shutdown::default());

    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = shutdown.cancelled() => break,
        };
        let Some((stream, peer, permit)) = accepted else {
            break;
        };
        let service = service(peer);
        let (limits, tls, stop) = (limits.clone(), tls.clone(), stop.clone());
        let files = files.clone();
        open.spawn(async move {
            connection::serve(stream, service, &limits, tls.as_ref(), &files, &stop).await;
            drop(permit);
        });
    }

    drop(listener);
    stop.trigger();
    open.close();
    if time::timeout(limits.drain, open.wait()).await.is_err() {
        tracing::warn!(
            limit_ms = limits.drain.as_millis(),
            "shutdown: some requests did not finish in time and were cut off"
        );
    }
}

/// The next connection and its permit. A failing `accept` (no descriptors left, say) is retried
/// with a growing pause, so that the loop neither ends nor spins.
async fn accept(
    listener: &Listener,
    connections: &Arc<Semaphore>,
) -> Option<(listen::Stream, Peer, OwnedSemaphorePermit)> {
    const FIRST_PAUSE: Duration = Duration::from_millis(5);
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);

    let permit = connections.clone().acquire_owned().await.ok()?;
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
            Err(error) if is_about_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept a connection");
                time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn is_about_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}
