//! Builds the accounts from their settings.

use std::sync::Arc;

use super::{Dependencies, StartError};
use crate::{
    config::{self, Config, Reloadable},
    limits::Admission,
    pipeline::{Faces, Instance, Instances},
    store::{AccountId, AccountNames, Store},
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
    let account = account_id(&settings);
    let names_before = store.load_account_names(&settings.name);
    let names = AccountNames::new(&settings.name, account.clone(), names_before.clone());
    if names_before.as_ref() != Some(&names) {
        store.save_account_names(&settings.name, &names);
    }
    let known = before.and_then(|before| {
        let (provider, base) = (&settings.provider.name, &settings.client.base);
        let mut known = before.iter();
        known.find(|known| known.is_account(provider, base, &settings.account.name))
    });
    let admission = match known {
        Some(known) => {
            known.admission().set_limits(settings.limits);
            known.admission().clone()
        }
        None => {
            let admission = Admission::new(settings.limits, dependencies.clock.clone());
            let state = match names_before {
                // The saved state of a name that has just changed its account is the other account's.
                Some(names) if *names.account() != account => None,
                Some(_) => store.load_state(&settings.name),
                None => store.load_state(&former_name(store, &settings.name, &account)),
            };
            if let Some(state) = state {
                admission.restore(serde_json::from_slice(&state).unwrap_or_default());
            }
            Arc::new(admission)
        }
    };
    let wanted = known.map(|known| known.wanted().clone());
    let wanted = wanted.unwrap_or_default();
    let client = known
        .map(|known| known.client())
        .filter(|client| *client.settings() == settings.client)
        .cloned();
    let client = client
        .unwrap_or_else(|| Arc::new(Client::new(settings.client, dependencies.resolver.clone())));
    Arc::new(Instance::new(
        &settings.name,
        &names,
        settings.provider,
        settings.account,
        client,
        admission,
        wanted,
    ))
}

/// The account of an instance, for the cache.
pub fn account_id(settings: &config::Instance) -> AccountId {
    let base = settings.client.base.as_str();
    AccountId::new(&settings.provider.name, base, &settings.account.name)
}

/// The name that `account` had before it was called `name` in the configuration, so that a new name does not
/// refund its budget; `name` itself if it had none.
fn former_name(store: &Store, name: &str, account: &AccountId) -> String {
    let mut others = store.instances_on_disk().into_iter();
    let former = others.find(|other| {
        let names = store.load_account_names(other);
        other != name && names.is_some_and(|names| names.account() == account)
    });
    former.unwrap_or_else(|| name.to_owned())
}

/// Reports faces in the cache that are not served, because no instance has their account any more.
pub(super) fn report_unused_faces(store: &Store, instances: &Instances) {
    for instance in instances.iter() {
        for earlier in instance.earlier_cache_names() {
            let name = instance.name();
            tracing::warn!(
                instance = %name,
                faces = %earlier,
                "the instance had another account before, whose faces are not served; if it is the same WhatsApp account, faceplate cache rename {earlier} {name} takes them over; POST /v1/purge?instance={name}&earlier=true&hard=true deletes them"
            );
        }
    }
    for unused in store.instances_on_disk() {
        if instances.get(&unused).is_none() {
            tracing::warn!(
                instance = %unused,
                "the cache has an instance that is not configured, whose faces are not served; faceplate cache rename {unused} NEW gives them to the instance NEW; POST /v1/purge?instance={unused}&hard=true deletes them"
            );
        }
    }
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
