//! Builds the accounts from their settings.

use std::sync::Arc;

use super::{Dependencies, StartError};
use crate::{
    config::{self, Config, Reloadable},
    limits::{Admission, Budget, Cooldown},
    pipeline::{Faces, Instance, Instances},
    store::Store,
    telemetry::Metrics,
    upstream::Client,
};

/// Builds an account. Its used-up budget and its pause are those of `known`, the same account before a reload, else
/// those that an earlier process has saved.
pub(super) fn build(
    settings: config::Instance,
    store: &Store,
    dependencies: &Dependencies,
    known: Option<&Admission>,
) -> Arc<Instance> {
    let clock = &dependencies.clock;
    let budget = Budget::new(
        settings.lookups,
        settings.refreshes,
        settings.daily,
        clock.clone(),
    );
    let cooldown = Cooldown::new(settings.cooldown_policy);
    let admission = Admission::new(budget, cooldown, settings.sensitivity, clock.clone());
    match known {
        Some(known) => admission.restore(known.save()),
        None => {
            if let Some(state) = store.load_state(&settings.name) {
                admission.restore(serde_json::from_slice(&state).unwrap_or_default());
            }
        }
    }
    Arc::new(Instance::new(
        &settings.name,
        settings.vendor,
        settings.account,
        Client::new(settings.client, dependencies.resolver.clone()),
        admission,
    ))
}

/// The pipeline without a server, for commands that run while no server does.
pub fn offline(config: Config) -> Result<(Faces, Instances), StartError> {
    let dependencies = Dependencies::default();
    let clock = &dependencies.clock;
    let store = Arc::new(Store::open(&config.startup.store, clock.clone())?);
    let Reloadable {
        instances,
        pipeline,
        ..
    } = config.reloadable;
    let instances = instances.into_iter();
    let instances = instances.map(|settings| build(settings, &store, &dependencies, None));
    let instances = instances.collect();
    let faces = Faces::new(store, pipeline, clock.clone(), Metrics::new());
    Ok((faces, instances))
}
