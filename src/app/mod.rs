//! Builds every part from the configuration and joins them. The only module that knows all others.
//!
//! # Files
//!
//! * `listeners`: binds the listeners, or takes them over from the service manager
//! * `live`: the parts that a reload replaces
//! * `instances`: builds the accounts, and the pipeline of commands that run without a server
//! * `fleet`: joins the fleet, and listens to it
//! * `dependencies`: the parts that a caller provides, such as the clock
//! * `services`: connects the listeners with the live parts
//! * `start_error`: why a server could not start

mod dependencies;
mod fleet;
mod instances;
mod listeners;
mod live;
mod services;
mod start_error;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{task::JoinHandle, time};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use dependencies::{Addresses, Dependencies};
pub use instances::{account_id, offline};
use listeners::Listeners;
use live::{Live, SharedParts};
use services::{OperatorService, PublicService};
pub use start_error::StartError;

use crate::{
    admin::History,
    config::Config,
    front::Front,
    images::Thumbnailer,
    pipeline::{Faces, Instance},
    public::LiveListeners,
    server::{self, Address, Tls},
    store::Store,
    telemetry::Metrics,
};

/// A running server. Dropping it stops the server.
#[derive(Debug)]
pub struct App {
    /// The actual address of the public listener.
    pub address: Address,
    /// The actual address of the admin listener.
    pub admin: Address,
    /// The actual address of the listener for webhooks, if there is one.
    pub hooks: Option<Address>,
    live: Arc<ArcSwap<Live>>,
    parts: SharedParts,
    /// The values that a reload cannot change, by key.
    restart_only: BTreeMap<String, String>,
    /// How long fetches may take to finish at a shutdown.
    drain: Duration,
    tasks: Vec<JoinHandle<()>>,
    shutdown: CancellationToken,
    _shutdown_on_drop: DropGuard,
}

/// How long each step of the end may take beyond the time for requests, because it waits for the disk.
const LAST_STEP: Duration = Duration::from_secs(1);
/// How often unused names of patterns are forgotten.
const UNUSED_NAMES_INTERVAL: Duration = Duration::from_secs(24 * 3600);

impl App {
    /// Starts a server. When this returns, its listeners are bound and accept connections.
    pub async fn start(config: Config, mut dependencies: Dependencies) -> Result<Self, StartError> {
        let socket_mode = dependencies.socket_mode;
        let listeners = Listeners::open(&config, &mut dependencies.inherited, socket_mode).await?;
        let addresses = Addresses {
            public: listeners.address.clone(),
            admin: listeners.admin_address.clone(),
        };
        let Addresses {
            public: address,
            admin,
        } = addresses.clone();
        let hooks = listeners.hooks_address.clone();
        let Config {
            startup,
            reloadable,
            restart_only,
            ..
        } = config;
        let mut startup = startup;
        let connections = &mut startup.server.limits.connections;
        let descriptors = server::descriptor_limit();
        let wanted = *connections;
        *connections = server::connections_within(descriptors, wanted);
        if *connections < wanted {
            tracing::warn!(
                wanted,
                used = *connections,
                descriptors,
                "server.max_connections is more than the limit of open files allows"
            );
        }
        let metrics = Metrics::new();
        let parts = SharedParts {
            tls: reloadable.tls.as_ref().map(Tls::new).transpose()?,
            store: Arc::new(Store::open(
                &startup.store,
                reloadable.disk_limits.clone(),
                dependencies.clock.clone(),
            )?),
            arriving: instances::arriving(&startup.store),
            thumbnailer: Thumbnailer::new(&startup.images, metrics.clone()),
            listeners: LiveListeners::new(startup.server.limits.send, metrics.clone()),
            metrics,
            history: History::default(),
            started: dependencies.clock.now(),
            home: dependencies.home.map(|page| page(&addresses)),
            addresses,
            dependencies,
        };
        let faces = Faces::new(
            parts.store.clone(),
            fleet::join(startup.fleet.as_ref(), &reloadable.pipeline, &parts).await?,
            reloadable.pipeline.clone(),
            parts.dependencies.clock.clone(),
            parts.metrics.clone(),
            parts.thumbnailer.clone(),
        );
        let (thumbnailer, sealed_files) = (
            parts.thumbnailer.clone(),
            startup.server.sealed_files.clone(),
        );
        faces.on_removal(move |picture| {
            thumbnailer.forget(picture);
            sealed_files.remove_all();
        });
        let now = parts.dependencies.clock.now();
        parts.metrics.process().record_reload(true, now);
        let live = Live::new(reloadable, faces, &parts, None);
        let live = Arc::new(ArcSwap::from_pointee(live));
        let shutdown = live.load().faces.shutdown().clone();
        let membership = fleet::listen(&live, &shutdown).await?;
        let drain = startup.server.limits.drain;
        let mut tasks = start_tasks(listeners, startup.server, &live, &parts, &shutdown);
        tasks.extend(membership);
        Ok(Self {
            address,
            admin,
            hooks,
            drain,
            tasks,

            live,
            parts,
            restart_only,
            _shutdown_on_drop: shutdown.clone().drop_guard(),
            shutdown,
        })
    }

    /// The front for faces, for callers without a socket.
    pub fn front(&self) -> Front {
        self.live.load().front.clone()
    }

    /// The pipeline and the instance of this name, for callers without a socket.
    pub fn pipeline(&self, instance: &str) -> Option<(Faces, Arc<Instance>)> {
        let live = self.live.load();
        let instance = live.instances.get(instance)?;
        Some((live.faces.clone(), instance))
    }

    /// Applies another configuration from the next request on. Connections, memory, pauses and used-up budgets stay.
    /// The log names each change that needs a restart.
    pub fn reload(&self, config: Config) {
        for key in config.restart_needed(&self.restart_only) {
            tracing::warn!(key, "this change takes effect after a restart");
        }
        let reloadable = config.reloadable;
        self.parts.store.set_limits(reloadable.disk_limits.clone());
        self.parts.store.set_memory(reloadable.picture_memory);
        let thumbnailer = &self.parts.thumbnailer;
        thumbnailer.set_memory(reloadable.variant_memory);
        let process = self.parts.metrics.process();
        process.record_reload(true, self.parts.dependencies.clock.now());
        if let (Some(tls), Some(files)) = (&self.parts.tls, &reloadable.tls)
            && let Err(error) = tls.replace(files)
        {
            self.record_failed_reload();
            tracing::error!(%error, "the new certificate cannot be used; the old one stays in use");
        }
        let before = self.live.load();
        // The next warm-ups resume these runs, with the new instances.
        before.warmups.stop();
        let faces = before.faces.with_settings(reloadable.pipeline.clone());
        let next = Live::new(reloadable, faces, &self.parts, Some(&before));
        self.live.store(Arc::new(next));
    }

    /// Records that another configuration could not be read, so that the old one stays in use.
    pub fn record_failed_reload(&self) {
        let now = self.parts.dependencies.clock.now();
        self.parts.metrics.process().record_reload(false, now);
    }

    /// Runs maintenance of the cache at full speed, and returns when it is done.
    pub async fn run_maintenance(&self) {
        self.parts.store.run_maintenance().await;
    }

    /// Stops accepting connections, and returns when requests and fetches under way have finished, or when their time is
    /// over.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let drain = self.drain.max(server::Limits::default().drain);
        let (limit, tasks) = (drain.saturating_add(LAST_STEP), self.tasks);
        let ended = async {
            for task in tasks {
                // A task that panicked has stopped, too.
                let _ = task.await;
            }
        };
        within(limit, ended).await;
        let live = self.live.load();
        within(limit, live.warmups.stop_and_wait()).await;
        live.faces.wait_idle(self.drain).await;
        if let Some(fleet) = live.faces.fleet() {
            within(limit, fleet::save_unsent(&live)).await;
            fleet.leave().await;
        }
    }
}

/// Waits for a step of the end, but not for a disk that hangs.
async fn within(limit: Duration, step: impl Future<Output = ()>) {
    if time::timeout(limit, step).await.is_err() {
        tracing::warn!("shutdown: the cache's disk does not answer, and is not waited for");
    }
}

/// Starts the listeners and the sampling of the dashboard's figures.
fn start_tasks(
    listeners: Listeners,
    settings: server::Settings,
    live: &Arc<ArcSwap<Live>>,
    parts: &SharedParts,
    shutdown: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let for_public = live.clone();
    let public = server::run(
        listeners.public,
        move |peer| PublicService {
            live: for_public.clone(),
            peer,
        },
        settings,
        parts.tls.clone(),
        shutdown.clone(),
    );
    let for_admin = live.clone();
    let admin = server::run(
        listeners.admin,
        move |_| OperatorService::Admin(for_admin.clone()),
        side_listener(server::ADMIN_CONNECTIONS),
        None,
        shutdown.clone(),
    );
    let for_hooks = live.clone();
    let hooks = listeners.hooks.map(|listener| {
        let handler = move |_| OperatorService::Hooks(for_hooks.clone());
        let settings = side_listener(server::HOOK_CONNECTIONS);
        tokio::spawn(server::run(
            listener,
            handler,
            settings,
            None,
            shutdown.clone(),
        ))
    });
    let (clock, for_names) = (parts.dependencies.clock.clone(), live.clone());
    let forgetting = async move {
        loop {
            clock.sleep(UNUSED_NAMES_INTERVAL).await;
            let live = for_names.load_full();
            live.faces.forget_unused_names(&live.instances).await;
        }
    };
    let (clock, live) = (parts.dependencies.clock.clone(), live.clone());
    let sampling = async move {
        loop {
            clock.sleep(History::STEP).await;
            let live = live.load();
            live.admin.record_sample();
            live.instances.drop_idle();
        }
    };
    let tasks = [
        tokio::spawn(public),
        tokio::spawn(admin),
        tokio::spawn(until_shutdown(sampling, shutdown.clone())),
        tokio::spawn(until_shutdown(forgetting, shutdown.clone())),
    ];
    tasks.into_iter().chain(hooks).collect()
}

/// Does `work` until the server stops.
async fn until_shutdown(work: impl Future<Output = ()>, shutdown: CancellationToken) {
    shutdown.run_until_cancelled(work).await;
}

/// The settings of a listener that is not for faces.
fn side_listener(connections: usize) -> server::Settings {
    server::Settings {
        limits: server::Limits {
            connections,
            ..server::Limits::default()
        },
        ..server::Settings::default()
    }
}
