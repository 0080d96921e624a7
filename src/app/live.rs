//! The parts that a reload replaces, as one value: no request sees half of a reload.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::{
    dependencies::{Addresses, Dependencies},
    instances::{self, Builder},
};
use crate::{
    admin::{Admin, History},
    clock::Timestamp,
    config::{self, Reloadable},
    front::{self, Front},
    hooks::Hooks,
    http::Clients,
    images::Thumbnailer,
    in_flight::InFlight,
    limits::ClientLimiter,
    pass_through::PassThrough,
    pipeline::{Faces, Instances, Warmups, has_unsent_changes},
    public::{LiveListeners, Mode},
    representation::{HeaderPolicy, Renderer, Sharing},
    server::Tls,
    store::Store,
    telemetry::Metrics,
};

/// The parts that a reload replaces.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) front: Front,
    pub(super) admin: Arc<Admin>,
    pub(super) hooks: Arc<Hooks>,
    pub(super) faces: Faces,
    pub(super) warmups: Warmups,
    pub(super) instances: Instances,
    limiter: Arc<ClientLimiter>,
}

/// The parts that a reload keeps.
#[derive(Debug)]
pub(super) struct SharedParts {
    pub(super) tls: Option<Tls>,
    pub(super) store: Arc<Store>,
    /// The memory for bodies that arrive from vendors and CDNs.
    pub(super) arriving: InFlight,
    pub(super) thumbnailer: Thumbnailer,
    pub(super) metrics: Metrics,
    pub(super) listeners: LiveListeners,
    pub(super) history: History,
    /// When this process began to serve.
    pub(super) started: Timestamp,
    /// The page for `/`.
    pub(super) home: Option<Bytes>,
    pub(super) addresses: Addresses,
    pub(super) dependencies: Dependencies,
}

impl Live {
    /// Builds the parts. Accounts that are configured in `before`, too, keep their budgets, pauses, wanted
    /// faces and connections, and clients what they have used up of their rate.
    pub(super) fn new(
        settings: Reloadable,
        faces: Faces,
        parts: &SharedParts,
        before: Option<&Live>,
    ) -> Self {
        let warmups = Warmups::new(faces.clone());
        let known = before.map(|live| &live.instances);
        let builder = Builder::new(
            parts.store.clone(),
            &parts.dependencies,
            faces.fleet().cloned(),
            parts.arriving.clone(),
        );
        let (mut built, mut hooks, mut passed) = (Vec::new(), HashMap::new(), Vec::new());
        for instance in settings.instances {
            let schedule = instance.warm;
            let passes_through = instance.pass_through;
            let hook = instance.hook.clone();
            hooks.extend(hook.map(|hook| (instance.name.clone(), hook)));
            let table = instance.name.clone();
            let client = |settings: &config::Instance| builder.client(settings);
            let instance = builder.build(instance, &table, known, client);
            faces.take_over_wanted(&instance);
            warmups.resume(&instance);
            if let Some(schedule) = schedule {
                let instances = vec![instance.clone()];
                warmups.daily(move || instances.clone(), schedule);
            }
            if passes_through {
                passed.push(instance.clone());
            }
            built.push(instance);
        }
        builder.neighbors.set(&built);
        let mut patterns = Vec::new();
        for pattern in settings.patterns {
            let hook = pattern.template.hook.clone();
            hooks.extend(hook.map(|hook| (pattern.template.name.clone(), hook)));
            let schedule = pattern.template.warm;
            let pattern = Arc::new(builder.pattern(pattern, &warmups));
            if let Some(schedule) = schedule {
                // Weak, because the pattern holds the warm-ups already.
                let pattern = Arc::downgrade(&pattern);
                let made = move || pattern.upgrade().map_or_else(Vec::new, |one| one.all());
                warmups.daily(made, schedule);
            }
            patterns.push(pattern);
        }
        let instances = Instances::new(built, patterns);
        match known {
            Some(known) => {
                for instance in instances.adopt(known) {
                    faces.take_over_wanted(&instance);
                }
            }
            None => {
                let store = &parts.store;
                let is_in_fleet = faces.fleet().is_some();
                let has_work = |name: &str| {
                    warmups.is_interrupted(name) || is_in_fleet && has_unsent_changes(store, name)
                };
                instances.make_known(has_work, store);
            }
        }
        instances::report_unused_faces(&parts.store, &instances);
        let sharing = match settings.access.mode {
            Mode::Open => Sharing::Public,
            Mode::Signed => Sharing::Private,
        };
        let policy = HeaderPolicy::new(
            faces.policy().ttl,
            settings.browser_ttl,
            &settings.allow_origin,
        );
        let renderer = Renderer::new(parts.thumbnailer.clone(), policy);
        let rate = settings.client_rate;
        let limiter = match before.map(|live| &live.limiter) {
            Some(limiter) if limiter.quota() == rate => limiter.clone(),
            Some(limiter) => Arc::new(limiter.resize(rate)),
            None => Arc::new(ClientLimiter::new(rate, parts.dependencies.clock.clone())),
        };
        let pass_through = PassThrough::new(
            passed,
            settings.pass_through,
            &settings.access.bearer_tokens,
            faces.shutdown().clone(),
            parts.metrics.clone(),
        );
        let front = front::Settings {
            pass_through,
            access: settings.access,
            listeners: parts.listeners.clone(),
            live: settings.live,
            clients: Clients {
                are_limited_named: settings.are_limited_named,
                proxies: settings.proxies,
                limiter: limiter.clone(),
            },
            allow_origin: settings.allow_origin,
            browser_ttl: settings.browser_ttl,
            origin: settings.origin,
            body_timeout: settings.body_timeout,
            home: parts.home.clone(),
            thumbnailer: parts.thumbnailer.clone(),
            metrics: parts.metrics.clone(),
        };
        let admin = Admin {
            renderer,
            sharing,
            faces: faces.clone(),
            instances: instances.clone(),
            warmups: warmups.clone(),
            history: parts.history.clone(),
            started: parts.started,
            certificate_end: parts.tls.as_ref().and_then(Tls::certificate_end),
            home: parts.home.as_ref().and_then(|_| parts.addresses.home_url()),
            thumbnailer: parts.thumbnailer.clone(),
            metrics: parts.metrics.clone(),
            body_timeout: settings.hooks.timeout,
            token: settings.admin_token,
        };
        let hooks = Hooks::new(
            faces.clone(),
            instances.clone(),
            hooks,
            settings.hooks,
            parts.metrics.clone(),
        );
        Self {
            hooks: Arc::new(hooks),
            front: Front::new(faces.clone(), instances.clone(), front),
            admin: Arc::new(admin),
            faces,
            warmups,
            instances,
            limiter,
        }
    }
}
