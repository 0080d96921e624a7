//! Accepts connections and speaks HTTP on them, for any service: the listeners of faces, of the admin API and of webhooks,
//! and the emulator, run on this accept loop.
//!
//! # Files
//!
//! * `listen`: opens listeners
//! * `tls`: certificates
//! * `certificate_end`: the end of a certificate's validity
//! * `descriptors`: the limit of open files
//! * `settings`: the settings of a listener
//! * `shared`: the parts that its connections share
//! * `connection`: serves one connection
//! * `preface`: tells HTTP/1 from HTTP/2 by the first bytes
//! * `rewind`: replays bytes that were read
//! * `fast_path`: answers plain HTTP/1.1 requests
//! * `request_head`: parses their heads
//! * `sendfile_cache`: sends long bodies out of sealed files
//! * `http1`: HTTP/1.1 by hyper, for all other requests
//! * `http2`: HTTP/2 by hyper, with the bounds that hyper leaves to its callers
//! * `write_batch`: puts its writes together
//! * `delivery`: how much an HTTP/2 client has taken
//! * `last_progress`: when a stream moved last
//! * `tunnel`: joins a WebSocket with another server
//! * `handler`: the interface to the services
//! * `request_body`: the body that they get
//! * `reply`: the response that they give
//! * `header_block`: its headers as text
//! * `parsed_lines`: their lines as hyper takes them
//! * `reply_stream`: a streamed body
//! * `fuzz`: the fuzz target of request heads

mod certificate_end;
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
mod last_progress;
mod listen;
mod parsed_lines;
mod preface;
mod reply;
mod reply_stream;
mod request_body;
mod request_head;
mod rewind;
mod sendfile_cache;
mod settings;
mod shared;
mod tls;
mod tunnel;
mod write_batch;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use descriptors::{
    ADMIN_CONNECTIONS, HOOK_CONNECTIONS, RaisedLimit, connections_within, descriptor_limit,
    highest_descriptor_limit, raise_descriptor_limit,
};
pub use handler::{FastAnswer, FastPath, Handler, HyperOnly};
pub use header_block::HeaderBlock;
pub use listen::{Address, InheritedListeners, Listener, Peer};
pub use reply::{Reply, ReplyBody};
pub use reply_stream::{BoxError, ReplyStream};
pub use request_body::RequestBody;
pub use sendfile_cache::SealedFiles;
pub use settings::{Limits, Settings};
use shared::Shared;
pub use tls::{BadCertificate, CertificateFiles, Tls};
pub use tunnel::Tunnel;

use crate::telemetry::Limit;

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
