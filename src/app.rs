//! Builds every part from the configuration and joins them. The only file that knows all rooms.

use std::{convert::Infallible, io, pin::Pin, sync::Arc, time::Duration};

use ::http::{Request, Response};
use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::{body::Incoming, service::Service};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    clock::Clock,
    config::{self, Config},
    http::{self, Clients, Front, History},
    images::Studio,
    limits::{Budget, Crowd, Gate, Hold},
    pipeline::{Faces, Instance, Warmups},
    server::{self, Address, BadCertificate, Caps, Express, Inherited, Listener, Peer, Plain, Tls},
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
    /// Listeners that are there already.
    pub inherited: Inherited,
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
    live: Arc<ArcSwap<Live>>,
    parts: Parts,
    fixed: Fixed,
    drain: Duration,
    _stops: DropGuard,
}

/// What a reload replaces, as one: no request ever sees half of it.
#[derive(Debug)]
struct Live {
    front: Front,
    operator: http::Admin,
    faces: Faces,
    instances: Vec<Arc<Instance>>,
    warmups: Warmups,
}

/// What a reload keeps.
#[derive(Debug)]
struct Parts {
    tls: Option<Tls>,
    store: Arc<Store>,
    studio: Studio,
    metrics: Metrics,
    history: History,
    edges: Edges,
}

/// Where a client comes in: to whatever counts when it asks.
struct Door {
    live: Arc<ArcSwap<Live>>,
    peer: Peer,
}

/// What only a restart can change, in words, to be compared.
#[derive(Debug)]
struct Fixed([(&'static str, String); 6]);

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The cache directory cannot be used.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// The certificate cannot be used.
    #[error("{0}")]
    Certificate(#[from] BadCertificate),
    /// An inherited socket that others can reach.
    #[error(
        "access.mode = \"open\" would show every face to everybody who can reach the inherited socket {0}; write signed, or set access.allow_public = true if that is what you want"
    )]
    Open(Address),
    /// The same, for operators.
    #[error("the inherited admin socket {0} can be reached from elsewhere; set admin.token")]
    Unguarded(Address),
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
            inherited: Inherited::default(),
        }
    }
}

impl App {
    /// Starts a server. When this returns, its listeners are bound and take connections.
    pub async fn start(config: Config, mut edges: Edges) -> Result<Self, StartError> {
        let listener = match edges.inherited.take("faces") {
            Some(listener) => listener,
            None => bind(&config.listen, "server.listen").await?,
        };
        let admin_listener = match edges.inherited.take("admin") {
            Some(listener) => listener,
            None => bind(&config.admin, "admin.listen").await?,
        };
        let address = actual(&listener, &config.listen);
        let admin = actual(&admin_listener, &config.admin);
        // The configuration was checked for the addresses that it names; others may be inherited.
        if !config.may_be_public && !address.is_local() {
            return Err(StartError::Open(address));
        }
        if config.admin_token.is_none() && !admin.is_local() {
            return Err(StartError::Unguarded(admin));
        }

        let metrics = Metrics::new();
        let store = Arc::new(Store::open(&config.store, edges.clock.clone())?);
        let faces = Faces::new(
            store.clone(),
            config.pipeline.clone(),
            edges.clock.clone(),
            metrics.clone(),
        );
        let fixed = Fixed::of(&config);
        let caps = config.caps.clone();
        let tls = config.tls.as_ref().map(Tls::new).transpose()?;
        let parts = Parts {
            tls: tls.clone(),
            store,
            studio: Studio::new(config.images_memory, metrics.clone()),
            metrics,
            history: History::default(),
            edges,
        };
        let live = Arc::new(ArcSwap::from_pointee(Live::new(
            config, faces, &parts, None,
        )));

        let shutdown = CancellationToken::new();
        let (front, operator) = (live.clone(), live.clone());
        let drain = caps.drain;
        let mut served = vec![
            tokio::spawn(server::run(
                listener,
                move |peer| {
                    let live = front.clone();
                    Door { live, peer }
                },
                caps,
                tls,
                shutdown.clone(),
            )),
            tokio::spawn(server::run(
                admin_listener,
                move |_| {
                    let operator = operator.clone();
                    Plain(move |request| {
                        let operator = operator.load().operator.clone();
                        async move { Ok(operator.handle(request).await) }
                    })
                },
                Caps::default(),
                None,
                shutdown.clone(),
            )),
        ];
        let (sampled, clock) = (live.clone(), parts.edges.clock.clone());
        let sampling = async move {
            loop {
                clock.sleep_until(clock.now() + History::STEP).await;
                sampled.load().operator.sample();
            }
        };
        let until_stopped = shutdown.clone();
        served.push(tokio::spawn(async move {
            until_stopped.run_until_cancelled(sampling).await;
        }));
        Ok(Self {
            address,
            admin,
            _stops: shutdown.clone().drop_guard(),
            shutdown,
            served,
            live,
            parts,
            fixed,
            drain,
        })
    }

    /// What answers requests for faces, for callers that bring no socket.
    pub fn front(&self) -> Front {
        self.live.load().front.clone()
    }

    /// Goes by another configuration from the next request on. Connections, memory, pauses and
    /// used-up budgets stay. What only a restart can change is told in the log.
    pub fn reload(&self, config: Config) {
        for key in self.fixed.differs_from(&Fixed::of(&config)) {
            tracing::warn!(key, "a restart is needed for this change to count");
        }
        if let (Some(tls), Some(files)) = (&self.parts.tls, &config.tls)
            && let Err(error) = tls.replace(files)
        {
            tracing::error!(%error, "the certificate before stays");
        }
        let before = self.live.load();
        // They go on with the instances as they are configured then.
        before.warmups.stop();
        let faces = before.faces.with(config.pipeline.clone());
        let next = Live::new(config, faces, &self.parts, Some(&before));
        self.live.store(Arc::new(next));
    }

    /// Tends the cache without pausing, and returns when that is done.
    pub async fn tend_now(&self) {
        self.parts.store.tend_now().await;
    }

    /// Stops accepting, lets requests and fetches under way end, and returns when they have.
    pub async fn stop(self) {
        self.shutdown.cancel();
        for served in self.served {
            // A task that panicked has stopped too.
            let _ = served.await;
        }
        let live = self.live.load();
        live.warmups.stopped().await;
        live.faces.all_landed(self.drain).await;
    }
}

impl Live {
    fn new(config: Config, faces: Faces, parts: &Parts, before: Option<&Live>) -> Self {
        let clock = &parts.edges.clock;
        let warmups = Warmups::new(faces.clone());
        let mut instances = Vec::new();
        for instance in config.instances {
            let schedule = instance.warm;
            let known = before.and_then(|live| live.gate_of(&instance.name));
            let joined = Arc::new(joined(instance, &parts.store, &parts.edges, known));
            warmups.resume(&joined);
            if let Some(schedule) = schedule {
                warmups.daily(&joined, schedule);
            }
            instances.push(joined);
        }
        let settings = http::Settings {
            access: config.access,
            clients: Clients {
                proxies: config.proxies,
                crowd: Crowd::new(config.client_rate, clock.clone()),
            },
            allow_origin: config.allow_origin,
            origin: config.origin,
            home: parts.edges.home.clone(),
            studio: parts.studio.clone(),
            metrics: parts.metrics.clone(),
        };
        let front = Front::new(faces.clone(), instances.clone(), settings);
        Self {
            operator: http::Admin::new(
                front.clone(),
                warmups.clone(),
                parts.history.clone(),
                config.admin_token,
            ),
            front,
            faces,
            instances,
            warmups,
        }
    }

    fn gate_of(&self, name: &str) -> Option<&Gate> {
        let mut instances = self.instances.iter();
        let known = instances.find(|known| **known.name() == *name);
        known.map(|known| known.gate())
    }
}

/// The pipeline without a server, for commands that run where no server does.
pub fn offline(config: Config) -> Result<(Faces, Vec<Arc<Instance>>), StartError> {
    let edges = Edges::default();
    let store = Arc::new(Store::open(&config.store, edges.clock.clone())?);
    let instances = config.instances.into_iter();
    let instances = instances.map(|instance| Arc::new(joined(instance, &store, &edges, None)));
    let instances = instances.collect();
    let faces = Faces::new(store, config.pipeline, edges.clock, Metrics::new());
    Ok((faces, instances))
}

impl Fixed {
    fn of(config: &Config) -> Self {
        Self([
            (
                "server",
                format!(
                    "{} {:?} {}",
                    config.listen,
                    config.caps,
                    config.tls.is_some()
                ),
            ),
            ("admin.listen", config.admin.to_string()),
            (
                "cache.dir, memory and limits",
                format!("{:?}", config.store),
            ),
            ("images.memory", config.images_memory.to_string()),
            ("log", format!("{:?}", config.log)),
            ("traces", format!("{:?}", config.traces)),
        ])
    }

    fn differs_from(&self, other: &Self) -> impl Iterator<Item = &'static str> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(a, b)| a.1 != b.1).map(|(a, _)| a.0)
    }
}

// === impl Door ===

impl Door {
    fn answer<B: Send + Sync + 'static>(&self, request: Request<B>) -> http::Answer {
        self.live.load().front.handle(request, self.peer)
    }
}

impl Service<Request<Incoming>> for Door {
    type Response = Response<http::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = self.answer(request);
        Box::pin(async move { answer.await.map(Response::from) })
    }
}

impl Express for Door {
    type Answer = http::Answer;

    fn express(&self, request: Request<()>) -> Option<http::Answer> {
        Some(self.answer(request))
    }
}

fn joined(
    instance: config::Instance,
    store: &Store,
    edges: &Edges,
    known: Option<&Gate>,
) -> Instance {
    let clock = &edges.clock;
    let budget = Budget::new(
        instance.lookups,
        instance.refreshes,
        instance.daily,
        clock.clone(),
    );
    let hold = Hold::new(instance.pause);
    let gate = Gate::new(budget, hold, instance.sensitivity, clock.clone());
    // What was used up before, in this process or an earlier one, stays used up.
    match known {
        Some(known) => gate.recall(known.memory()),
        None => {
            if let Some(note) = store.noted(&instance.name) {
                gate.recall(serde_json::from_slice(&note).unwrap_or_default());
            }
        }
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
