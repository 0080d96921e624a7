//! The parts that a reload replaces, as one value: no request sees half of a reload.

use std::{collections::HashMap, sync::Arc};

use super::{dependencies::Dependencies, instances};
use crate::{
    admin::{Admin, History},
    config::Reloadable,
    front::{self, Front},
    hooks::Hooks,
    http::Clients,
    images::Thumbnailer,
    limits::ClientLimiter,
    pipeline::{Faces, Instances, Warmups},
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
    pub(super) thumbnailer: Thumbnailer,
    pub(super) metrics: Metrics,
    pub(super) history: History,
    pub(super) dependencies: Dependencies,
}

impl Live {
    /// Builds the parts. Accounts that are configured in `before`, too, keep their budgets, pauses, wanted
    /// faces and connections, and clients their rate limiters unless the quota changed.
    pub(super) fn new(
        settings: Reloadable,
        faces: Faces,
        parts: &SharedParts,
        before: Option<&Live>,
    ) -> Self {
        let warmups = Warmups::new(faces.clone());
        let known = before.map(|live| &live.instances);
        let (mut built, mut hooks) = (Vec::new(), HashMap::new());
        for instance in settings.instances {
            let schedule = instance.warm;
            let hook = instance.hook.clone();
            hooks.extend(hook.map(|hook| (instance.name.clone(), hook)));
            let instance = instances::build(instance, &parts.store, &parts.dependencies, known);
            faces.take_over_wanted(&instance);
            warmups.resume(&instance);
            if let Some(schedule) = schedule {
                warmups.daily(&instance, schedule);
            }
            built.push(instance);
        }
        let instances: Instances = built.into_iter().collect();
        instances::report_unused_faces(&parts.store, &instances);
        let limiter = before.map(|live| &live.limiter);
        let limiter = limiter.filter(|limiter| limiter.quota() == settings.client_rate);
        let limiter = limiter.cloned().unwrap_or_else(|| {
            let clock = parts.dependencies.clock.clone();
            Arc::new(ClientLimiter::new(settings.client_rate, clock))
        });
        let front = front::Settings {
            access: settings.access,
            clients: Clients {
                proxies: settings.proxies,
                limiter: limiter.clone(),
            },
            allow_origin: settings.allow_origin,
            browser_ttl: settings.browser_ttl,
            origin: settings.origin,
            home: parts.dependencies.home.clone(),
            thumbnailer: parts.thumbnailer.clone(),
            metrics: parts.metrics.clone(),
        };
        let admin = Admin {
            faces: faces.clone(),
            instances: instances.clone(),
            warmups: warmups.clone(),
            history: parts.history.clone(),
            thumbnailer: parts.thumbnailer.clone(),
            metrics: parts.metrics.clone(),
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
