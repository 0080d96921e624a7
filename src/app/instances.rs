//! Builds the accounts from their settings.

use std::sync::Arc;

use super::{Dependencies, StartError};
use crate::{
    config::{self, Config, Reloadable},
    limits::Admission,
    pipeline::{Faces, Instance, Instances},
    store::Store,
    telemetry::Metrics,
    upstream::Client,
};

/// Builds an account. One that was configured before a reload, under whatever name, keeps its admission
/// control and its connections, which fetches in flight go on using. Another account continues from the
/// state that an earlier process saved.
pub(super) fn build(
    settings: config::Instance,
    store: &Store,
    dependencies: &Dependencies,
    before: Option<&Instances>,
) -> Arc<Instance> {
    let known = before.and_then(|before| {
        let (vendor, base) = (settings.vendor, &settings.client.base);
        let mut known = before.iter();
        known.find(|known| known.is_account(vendor, base, &settings.account.name))
    });
    let admission = match known {
        Some(known) => {
            known.admission().set_limits(settings.limits);
            known.admission().clone()
        }
        None => {
            let admission = Admission::new(settings.limits, dependencies.clock.clone());
            // The saved state of a name that has just changed its account is the other account's.
            let is_new = before.is_none_or(|before| before.get(&settings.name).is_none());
            if is_new && let Some(state) = store.load_state(&settings.name) {
                admission.restore(serde_json::from_slice(&state).unwrap_or_default());
            }
            Arc::new(admission)
        }
    };
    let client = known
        .map(|known| known.client())
        .filter(|client| *client.settings() == settings.client)
        .cloned();
    let client = client
        .unwrap_or_else(|| Arc::new(Client::new(settings.client, dependencies.resolver.clone())));
    Arc::new(Instance::new(
        &settings.name,
        settings.vendor,
        settings.account,
        client,
        admission,
    ))
}

/// The pipeline without a server, for commands that run while no server does.
pub fn offline(config: Config) -> Result<(Faces, Instances), StartError> {
    let dependencies = Dependencies::default();
    let clock = &dependencies.clock;
    let store = Arc::new(Store::open_for_command(
        &config.startup.store,
        clock.clone(),
    )?);
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
