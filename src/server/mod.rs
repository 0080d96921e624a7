//! Accepts connections and speaks HTTP on them, for any service: the public listener, the admin listener and the emulator run
//! on this accept loop.

mod connection;
mod delivery;
mod descriptors;
mod fast_path;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod handler;
mod header_block;
mod http1;
mod http2;
mod listen;
mod preface;
mod reply;
mod request_body;
mod request_head;
mod rewind;
mod sendfile_cache;
mod tls;

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use descriptors::{
    ADMIN_CONNECTIONS, HOOK_CONNECTIONS, Raised, connections_within, descriptor_limit,
    highest_descriptor_limit, raise_descriptor_limit,
};
pub use handler::{FastPath, Handler, HyperOnly};
pub use header_block::HeaderBlock;
pub use listen::{Address, Inherited, Listener};
pub use reply::Reply;
pub use request_body::RequestBody;
pub use sendfile_cache::SealedFiles;
use sendfile_cache::SendfileCache;
pub use tls::{BadCertificate, CertificateFiles, Tls};

use crate::{in_flight::InFlight, telemetry::Limit};

/// Settings of one listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What clients may use.
    pub limits: Limits,
    /// Whether HTTP/1.1 begins on the fast path; hyper alone serves it otherwise.
    pub fast_path: bool,
    /// Whether the fast path sends long bodies by `sendfile`, out of files in memory.
    pub sendfile: bool,
    /// Removes the files again.
    pub sealed_files: SealedFiles,
    /// The bytes of pictures that may be under way.
    pub in_flight: InFlight,
}

/// What the clients of one listener may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long a client may take over a request's head, and how long a kept-alive connection may be idle: hyper runs
    /// both on one timer.
    pub header_read: Duration,
    /// Requests at once on an HTTP/2 connection.
    pub streams: u32,
    /// The largest request head in bytes; a larger one is answered with 431.
    pub header_bytes: usize,
    /// How long a client may take nothing of a response that is being sent.
    pub send: Duration,
    /// How long requests may take to finish after the shutdown began.
    pub drain: Duration,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A client with this address.
    Ip(IpAddr),
    /// A process on this machine, through a Unix socket.
    Local,
}

/// The parts that all connections of a listener share.
struct Shared {
    settings: Settings,
    tls: Option<Tls>,
    sendfile: Option<Arc<SendfileCache>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            fast_path: true,
            sendfile: true,
            sealed_files: SealedFiles::default(),
            in_flight: InFlight::new(32 << 20),
        }
    }
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

impl Shared {
    fn new(settings: Settings, tls: Option<Tls>) -> Self {
        let sendfile = settings.sendfile.then(|| {
            let cache = Arc::new(SendfileCache::new(settings.in_flight.clone()));
            settings.sealed_files.add(&cache);
            cache
        });
        Self {
            settings,
            tls,
            sendfile,
        }
    }
}

/// Accepts connections on `listener` until `shutdown` is cancelled, then lets requests finish. `handler` makes the service
/// for each client.
pub async fn run<H: Handler>(
    listener: Listener,
    handler: impl Fn(Peer) -> H,
    settings: Settings,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) {
    let Limits {
        connections, drain, ..
    } = settings.limits;
    let connections = Arc::new(Semaphore::new(connections));
    let tasks = TaskTracker::new();
    let shared = Arc::new(Shared::new(settings, tls));

    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = shutdown.cancelled() => break,
        };
        let Some((stream, peer, permit)) = accepted else {
            break;
        };
        let (handler, shared) = (Arc::new(handler(peer)), shared.clone());
        // Each request takes the token's lock. A token for each connection keeps connections from waiting for each other.
        let shutdown = shutdown.child_token();
        tasks.spawn(async move {
            connection::serve(stream, handler, &shared, &shutdown).await;
            drop(permit);
        });
    }

    drop(listener);
    tasks.close();
    if time::timeout(drain, tasks.wait()).await.is_err() {
        tracing::warn!(
            limit_ms = drain.as_millis(),
            "shutdown: some requests did not finish in time and were cut off"
        );
    }
}

/// The next connection and its permit. When `accept` fails, because no descriptors are left, say, it is tried again after
/// growing pauses, so that the loop neither ends nor spins.
async fn accept(
    listener: &Listener,
    connections: &Arc<Semaphore>,
) -> Option<(listen::Stream, Peer, OwnedSemaphorePermit)> {
    const FIRST_PAUSE: Duration = Duration::from_millis(5);
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);

    let permit = match connections.clone().try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => {
            Limit::Connections.report();
            connections.clone().acquire_owned().await.ok()?
        }
    };
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
            Err(error) if is_about_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept a connection");
                time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn is_about_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}
