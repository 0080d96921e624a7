//! Builds every part from the configuration and joins them. The only file that knows all rooms.

use std::{collections::BTreeMap, convert::Infallible, io, pin::Pin, sync::Arc, time::Duration};

use ::http::{Request, Response};
use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::{body::Incoming, service::Service};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    admin::{Admin, History},
    clock::Clock,
    config::{self, Config, Reloadable},
    front::{self, Answer, Front},
    http::{self, Clients},
    images::Thumbnailer,
    limits::{Admission, Budget, ClientLimiter, Cooldown},
    pipeline::{Faces, Instance, Instances, Warmups},
    server::{
        self, Address, BadCertificate, FastPath, HyperOnly, Inherited, Limits, Listener, Peer, Tls,
    },
    store::{OpenError, Store},
    telemetry::Metrics,
    upstream::{Client, Resolver},
};

/// What a server is given from outside.
#[derive(Debug)]
pub struct Dependencies {
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
    parts: SharedParts,
    /// The values that a reload cannot change, by key.
    restart_only: BTreeMap<String, String>,
    drain: Duration,
    _stops: DropGuard,
}

/// What a reload replaces, as one: no request ever sees half of it.
#[derive(Debug)]
struct Live {
    front: Front,
    operator: Arc<Admin>,
    faces: Faces,
    instances: Instances,
    warmups: Warmups,
}

/// What a reload keeps.
#[derive(Debug)]
struct SharedParts {
    tls: Option<Tls>,
    store: Arc<Store>,
    thumbnailer: Thumbnailer,
    metrics: Metrics,
    history: History,
    dependencies: Dependencies,
}

/// Where a client comes in: to whatever counts when it asks.
struct PublicService {
    live: Arc<ArcSwap<Live>>,
    peer: Peer,
}

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
    PublicSocket(Address),
    /// The same, for operators.
    #[error("the inherited admin socket {0} can be reached from elsewhere; set admin.token")]
    AdminSocket(Address),
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

impl Default for Dependencies {
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
    pub async fn start(config: Config, mut dependencies: Dependencies) -> Result<Self, StartError> {
        let listener = match dependencies.inherited.take("faces") {
            Some(listener) => listener,
            None => bind(&config.startup.listen, "server.listen").await?,
        };
        let admin_listener = match dependencies.inherited.take("admin") {
            Some(listener) => listener,
            None => bind(&config.startup.admin, "admin.listen").await?,
        };
        let address = actual(&listener, &config.startup.listen);
        let admin = actual(&admin_listener, &config.startup.admin);
        // The configuration was checked for the addresses that it names; others may be inherited.
        if !config.reloadable.may_be_public && !address.is_local() {
            return Err(StartError::PublicSocket(address));
        }
        if config.reloadable.admin_token.is_none() && !admin.is_local() {
            return Err(StartError::AdminSocket(admin));
        }

        let metrics = Metrics::new();
        let store = Arc::new(Store::open(
            &config.startup.store,
            dependencies.clock.clone(),
        )?);
        let faces = Faces::new(
            store.clone(),
            config.reloadable.pipeline.clone(),
            dependencies.clock.clone(),
            metrics.clone(),
        );
        let Config {
            startup,
            reloadable,
            restart_only,
            ..
        } = config;
        let limits = startup.limits;
        let tls = reloadable.tls.as_ref().map(Tls::new).transpose()?;
        let parts = SharedParts {
            tls: tls.clone(),
            store,
            thumbnailer: Thumbnailer::new(startup.images_memory, metrics.clone()),
            metrics,
            history: History::default(),
            dependencies,
        };
        let live = Arc::new(ArcSwap::from_pointee(Live::new(
            reloadable, faces, &parts, None,
        )));

        let shutdown = CancellationToken::new();
        let (front, operator) = (live.clone(), live.clone());
        let drain = limits.drain;
        let mut served = vec![
            tokio::spawn(server::run(
                listener,
                move |peer| {
                    let live = front.clone();
                    PublicService { live, peer }
                },
                limits,
                tls,
                shutdown.clone(),
            )),
            tokio::spawn(server::run(
                admin_listener,
                move |_| {
                    let operator = operator.clone();
                    HyperOnly(move |request| {
                        let operator = operator.load().operator.clone();
                        async move { Ok(operator.handle(request).await) }
                    })
                },
                Limits::default(),
                None,
                shutdown.clone(),
            )),
        ];
        let (sampled, clock) = (live.clone(), parts.dependencies.clock.clone());
        let sampling = async move {
            loop {
                clock.sleep_until(clock.now() + History::STEP).await;
                sampled.load().operator.record_sample();
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
            restart_only,
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
        for key in config.restart_needed(&self.restart_only) {
            tracing::warn!(key, "this change takes effect after a restart");
        }
        let reloadable = config.reloadable;
        if let (Some(tls), Some(files)) = (&self.parts.tls, &reloadable.tls)
            && let Err(error) = tls.replace(files)
        {
            tracing::error!(%error, "the certificate before stays");
        }
        let before = self.live.load();
        // They go on with the instances as they are configured then.
        before.warmups.stop();
        let faces = before.faces.with_settings(reloadable.pipeline.clone());
        let next = Live::new(reloadable, faces, &self.parts, Some(&before));
        self.live.store(Arc::new(next));
    }

    /// Tends the cache without pausing, and returns when that is done.
    pub async fn run_maintenance(&self) {
        self.parts.store.run_maintenance().await;
    }

    /// Stops accepting, lets requests and fetches under way end, and returns when they have.
    pub async fn stop(self) {
        self.shutdown.cancel();
        for served in self.served {
            // A task that panicked has stopped too.
            let _ = served.await;
        }
        let live = self.live.load();
        live.warmups.stop_and_wait().await;
        live.faces.wait_idle(self.drain).await;
    }
}

impl Live {
    fn new(settings: Reloadable, faces: Faces, parts: &SharedParts, before: Option<&Live>) -> Self {
        let clock = &parts.dependencies.clock;
        let warmups = Warmups::new(faces.clone());
        let mut instances = Vec::new();
        for instance in settings.instances {
            let schedule = instance.warm;
            let known = before.and_then(|live| live.admission_of(&instance.name));
            let built = Arc::new(build_instance(
                instance,
                &parts.store,
                &parts.dependencies,
                known,
            ));
            warmups.resume(&built);
            if let Some(schedule) = schedule {
                warmups.daily(&built, schedule);
            }
            instances.push(built);
        }
        let instances: Instances = instances.into_iter().collect();
        let operator = Admin {
            faces: faces.clone(),
            instances: instances.clone(),
            warmups: warmups.clone(),
            history: parts.history.clone(),
            thumbnailer: parts.thumbnailer.clone(),
            metrics: parts.metrics.clone(),
            token: settings.admin_token,
        };
        let front = front::Settings {
            access: settings.access,
            clients: Clients {
                proxies: settings.proxies,
                limiter: ClientLimiter::new(settings.client_rate, clock.clone()),
            },
            allow_origin: settings.allow_origin,
            origin: settings.origin,
            home: parts.dependencies.home.clone(),
            thumbnailer: parts.thumbnailer.clone(),
            metrics: parts.metrics.clone(),
        };
        let front = Front::new(faces.clone(), instances.clone(), front);
        Self {
            operator: Arc::new(operator),
            front,
            faces,
            instances,
            warmups,
        }
    }

    fn admission_of(&self, name: &str) -> Option<&Admission> {
        self.instances.get(name).map(|known| known.admission())
    }
}

/// The pipeline without a server, for commands that run where no server does.
pub fn offline(config: Config) -> Result<(Faces, Vec<Arc<Instance>>), StartError> {
    let dependencies = Dependencies::default();
    let store = Arc::new(Store::open(
        &config.startup.store,
        dependencies.clock.clone(),
    )?);
    let Reloadable {
        instances,
        pipeline,
        ..
    } = config.reloadable;
    let instances = instances.into_iter();
    let instances =
        instances.map(|instance| Arc::new(build_instance(instance, &store, &dependencies, None)));
    let instances = instances.collect();
    let faces = Faces::new(store, pipeline, dependencies.clock, Metrics::new());
    Ok((faces, instances))
}

// === impl PublicService ===

impl PublicService {
    fn answer<B: Send + Sync + 'static>(&self, request: Request<B>) -> Answer {
        self.live.load().front.handle(request, self.peer)
    }
}

impl Service<Request<Incoming>> for PublicService {
    type Response = Response<http::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = self.answer(request);
        Box::pin(async move { answer.await.map(Response::from) })
    }
}

impl FastPath for PublicService {
    type Answer = Answer;

    fn fast_path(&self, request: Request<()>) -> Option<Answer> {
        Some(self.answer(request))
    }
}

fn build_instance(
    instance: config::Instance,
    store: &Store,
    dependencies: &Dependencies,
    known: Option<&Admission>,
) -> Instance {
    let clock = &dependencies.clock;
    let budget = Budget::new(
        instance.lookups,
        instance.refreshes,
        instance.daily,
        clock.clone(),
    );
    let cooldown = Cooldown::new(instance.cooldown_policy);
    let admission = Admission::new(budget, cooldown, instance.sensitivity, clock.clone());
    // What was used up before, in this process or an earlier one, stays used up.
    match known {
        Some(known) => admission.restore(known.save()),
        None => {
            if let Some(note) = store.load_state(&instance.name) {
                admission.restore(serde_json::from_slice(&note).unwrap_or_default());
            }
        }
    }
    Instance::new(
        &instance.name,
        instance.vendor,
        instance.account,
        Client::new(instance.client, dependencies.resolver.clone()),
        admission,
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
