//! Builds every part from the configuration and joins them. The only file that knows all rooms.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use ::http::{Request, Response};
use bytes::Bytes;
use hyper::service::service_fn;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    clock::Clock,
    config::{self, Config},
    http::{self, Front},
    limits::{Budget, Gate, Hold},
    pipeline::{Faces, Instance},
    server::{self, Address, Caps, Listener},
    store::{OpenError, Store},
    telemetry::Metrics,
    upstream::{Client, Resolver},
};

/// What a server is given from outside.
#[derive(Debug)]
pub struct Edges {
    /// The time it goes by.
    pub clock: Clock,
    /// How it looks up names.
    pub resolver: Resolver,
    /// An HTML page for `/`.
    pub home: Option<Bytes>,
}

/// A server under way. It stops when this is dropped.
#[derive(Debug)]
pub struct App {
    /// Where it really listens.
    pub address: Address,
    /// Where it answers probes.
    pub admin: Address,
    shutdown: CancellationToken,
    served: Vec<tokio::task::JoinHandle<()>>,
    faces: Faces,
    drain: Duration,
    _stops: DropGuard,
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cache directory cannot be used.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key}): {error}; {remedy}")]
    Listen {
        /// The address.
        address: Address,
        /// The key that set it.
        key: &'static str,
        /// What the system says.
        error: io::Error,
        /// What to do.
        remedy: &'static str,
    },
}

impl Default for Edges {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            resolver: Resolver::default(),
            home: None,
        }
    }
}

impl App {
    /// Starts a server. When this returns, its listeners are bound and take connections.
    pub async fn start(config: Config, edges: Edges) -> Result<Self, StartError> {
        let listener = bind(&config.listen, "server.listen").await?;
        let admin = bind(&config.admin, "admin.listen").await?;
        let (address, admin_address) = (
            actual(&listener, &config.listen),
            actual(&admin, &config.admin),
        );

        let metrics = Metrics::new();
        let store = Store::open(&config.store, edges.clock.clone())?;
        let instances = config
            .instances
            .into_iter()
            .map(|instance| Arc::new(joined(instance, &store, &edges)))
            .collect();
        let faces = Faces::new(store, config.pipeline, edges.clock.clone(), metrics.clone());
        let settings = http::Settings {
            access: config.access,
            allow_origin: config.allow_origin,
            home: edges.home,
            metrics,
        };
        let front = Front::new(faces.clone(), instances, settings);
        let drain = config.caps.drain;
        let operator = http::Admin::new(front.clone(), config.admin_token);

        let shutdown = CancellationToken::new();
        let served = vec![
            tokio::spawn(serve(
                listener,
                config.caps,
                shutdown.clone(),
                move |request| {
                    let front = front.clone();
                    async move { front.handle(request).await }
                },
            )),
            tokio::spawn(serve(
                admin,
                Caps::default(),
                shutdown.clone(),
                move |request| {
                    let operator = operator.clone();
                    async move { operator.handle(request).await }
                },
            )),
        ];
        Ok(Self {
            address,
            admin: admin_address,
            _stops: shutdown.clone().drop_guard(),
            shutdown,
            served,
            faces,
            drain,
        })
    }

    /// Tends the cache without pausing, and returns when that is done.
    pub async fn tend_now(&self) {
        self.faces.tend_now().await;
    }

    /// Stops accepting, lets requests and fetches under way end, and returns when they have.
    pub async fn stop(self) {
        self.shutdown.cancel();
        for served in self.served {
            // A listener's task that panicked has stopped too.
            let _ = served.await;
        }
        self.faces.all_landed(self.drain).await;
    }
}

async fn serve<H, F>(listener: Listener, caps: Caps, shutdown: CancellationToken, handle: H)
where
    H: Fn(Request<hyper::body::Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<http::Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = handle(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    server::run(listener, service, caps, shutdown).await;
}

fn joined(instance: config::Instance, store: &Store, edges: &Edges) -> Instance {
    let clock = &edges.clock;
    let budget = Budget::new(
        instance.lookups,
        instance.refreshes,
        instance.daily,
        clock.clone(),
    );
    let hold = Hold::new(instance.pause);
    let gate = Gate::new(budget, hold, instance.sensitivity, clock.clone());
    // What an earlier process used up stays used up.
    if let Some(note) = store.noted(&instance.name) {
        gate.recall(serde_json::from_slice(&note).unwrap_or_default());
    }
    Instance::new(
        &instance.name,
        instance.vendor,
        instance.account,
        Client::new(instance.client, edges.resolver.clone()),
        gate,
    )
}

async fn bind(address: &Address, key: &'static str) -> Result<Listener, StartError> {
    Listener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "stop what uses it, or choose another port",
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need a privilege; choose a higher one"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; write 127.0.0.1 or 0.0.0.0"
            }
            _ => "check the address",
        };
        StartError::Listen {
            address: address.clone(),
            key,
            error,
            remedy,
        }
    })
}

fn actual(listener: &Listener, configured: &Address) -> Address {
    listener.address().unwrap_or_else(|_| configured.clone())
}
