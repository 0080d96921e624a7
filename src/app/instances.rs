//! Builds the accounts from their settings.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use super::{Dependencies, StartError};
use crate::{
    clock::Clock,
    config::{self, Config, Reloadable},
    fleet::Fleet,
    images::Thumbnailer,
    in_flight::InFlight,
    limits::Admission,
    pipeline::{
        AccountIdentities, AccountState, Faces, Fallback, Instance, InstanceMaker, InstanceName,
        InstancePattern, Instances, Neighbors, PatternSettings, Warmups, has_unsent_changes,
        is_saved_as_unsent,
    },
    store::{self, AccountId, AccountNames, Store},
    telemetry::Metrics,
    upstream::{Client, Resolver},
};

/// Builds accounts.
#[derive(Clone, Debug)]
pub(super) struct Builder {
    pub(super) store: Arc<Store>,
    pub(super) clock: Clock,
    pub(super) resolver: Resolver,
    /// The memory for bodies that arrive from vendors and CDNs.
    arriving: InFlight,
    /// The fleet that shares the accounts, if there is one.
    pub(super) fleet: Option<Fleet>,
    /// The instances with a state on disk, by their accounts. Read when the first account is looked for.
    on_disk: Arc<OnceLock<HashMap<AccountId, String>>>,
    /// The instances that others may name as their fallback. Set when all are built.
    pub(super) neighbors: Neighbors,
}

/// Makes the instances of a pattern.
#[derive(Debug)]
struct PatternBuilder {
    builder: Builder,
    pattern: config::InstancePattern,
    /// The client whose connections all instances of the pattern share.
    client: Client,
    /// Continues the warm-ups that the end of the last process interrupted.
    warmups: Warmups,
}

impl Builder {
    pub(super) fn new(
        store: Arc<Store>,
        dependencies: &Dependencies,
        fleet: Option<Fleet>,
        arriving: InFlight,
    ) -> Self {
        Self {
            store,
            clock: dependencies.clock.clone(),
            resolver: dependencies.resolver.clone(),
            arriving,
            fleet,
            on_disk: Arc::default(),
            neighbors: Neighbors::default(),
        }
    }

    /// Builds an account out of the table called `table`. One that was configured before a reload, under any name, keeps its admission
    /// control and its connections, which fetches in flight go on using. Another account continues from the
    /// state that an earlier process saved.
    pub(super) fn build(
        &self,
        settings: config::Instance,
        table: &str,
        before: Option<&Instances>,
        new_client: impl FnOnce(&config::Instance) -> Client,
    ) -> Arc<Instance> {
        let store = &self.store;
        let account = account_id(&settings);
        let shared = self.fleet.as_ref().map(|fleet| {
            let (provider, base) = (&settings.provider.name, settings.client.base.as_str());
            let account = (&**provider, base, &*settings.account.name);
            fleet.account(account, settings.limits.budget)
        });
        let names_before = store.load_account_names(&settings.name);
        let names = AccountNames::new(&settings.name, account.clone(), names_before.clone());
        if names_before.as_ref() != Some(&names) {
            store.save_account_names(&settings.name, &names);
        }
        if let Some(account) = &shared
            && is_saved_as_unsent(store, names.current())
        {
            account.compare_from_the_start();
        }
        let known = before.and_then(|before| known(before, &settings));
        let admission = match &known {
            Some(known) => {
                known.admission().set_limits(settings.limits.clone());
                known.admission().clone()
            }
            None => {
                let admission = Admission::new(settings.limits.clone(), self.clock.clone());
                let state = match names_before {
                    // The saved state of a name that has just changed its account is the other account's.
                    Some(names) if *names.account() != account => None,
                    Some(_) => store.load_state(&settings.name),
                    None => store.load_state(&self.former_name(&settings.name, &account)),
                };
                if let Some(state) = state {
                    admission.restore(serde_json::from_slice(&state).unwrap_or_default());
                }
                Arc::new(admission)
            }
        };
        let wanted = known.as_ref().map(|known| known.wanted().clone());
        let answers = known.as_ref().map(|known| known.answers().clone());
        let identities = known.as_ref().map(|known| known.identities().clone());
        let identities =
            identities.unwrap_or_else(|| Arc::new(AccountIdentities::load(store, names.current())));
        let client = known
            .as_ref()
            .map(|known| known.client())
            .filter(|client| *client.settings() == settings.client)
            .cloned();
        let client = client.unwrap_or_else(|| Arc::new(new_client(&settings)));
        let name = InstanceName {
            name: &settings.name,
            table,
        };
        let instance = Instance::new(
            name,
            &names,
            settings.provider,
            settings.account,
            client,
            AccountState {
                admission,
                wanted: wanted.unwrap_or_default(),
                answers: answers.unwrap_or_default(),
                identities,
            },
            Fallback {
                names: settings.fallback,
                neighbors: self.neighbors.clone(),
            },
        );
        Arc::new(instance.shared_by(shared))
    }

    /// A client of its own for an instance.
    pub(super) fn client(&self, settings: &config::Instance) -> Client {
        Client::new(settings.client.clone(), self.resolver.clone()).sharing(self.arriving.clone())
    }

    /// A pattern without instances.
    pub(super) fn pattern(
        &self,
        pattern: config::InstancePattern,
        warmups: &Warmups,
    ) -> InstancePattern {
        let template = &pattern.template;
        let settings = PatternSettings {
            names: pattern.names.clone(),
            account: pattern.account.clone(),
            provider: template.provider.clone(),
            token: template.account.token.clone(),
            max_names: pattern.max_names,
            idle: pattern.idle,
        };
        let maker = PatternBuilder {
            client: self.client(template),
            builder: self.clone(),
            pattern,
            warmups: warmups.clone(),
        };
        InstancePattern::new(settings, Box::new(maker), self.clock.clone())
    }

    /// The name that `account` had before it was called `name` in the configuration, so that a new name does not
    /// refund its budget; `name` itself if it had none.
    fn former_name(&self, name: &str, account: &AccountId) -> String {
        let on_disk = self.on_disk.get_or_init(|| {
            let names = self.store.instances_on_disk().into_iter();
            let accounts = names.filter_map(|name| {
                let names = self.store.load_account_names(&name)?;
                Some((names.account().clone(), name))
            });
            accounts.collect()
        });
        let former = on_disk.get(account).map(String::as_str);
        former.unwrap_or(name).to_owned()
    }
}

impl InstanceMaker for PatternBuilder {
    fn make(&self, name: &str, before: Option<&Instances>) -> Arc<Instance> {
        let settings = self.pattern.instance(name);
        let client = |_: &config::Instance| self.client.sibling();
        let table = &self.pattern.template.name;
        self.builder.build(settings, table, before, client)
    }

    fn start(&self, instance: &Arc<Instance>) {
        self.warmups.resume(instance);
    }

    fn forget(&self, name: &str) {
        let Builder { store, clock, .. } = &self.builder;
        let saved = store.load_state(name);
        let saved = saved.map(|state| serde_json::from_slice(&state).unwrap_or_default());
        let admission = Admission::new(self.pattern.template.limits.clone(), clock.clone());
        admission.restore(saved.unwrap_or_default());
        let names = store.load_account_names(name);
        let mut names = names.iter().flat_map(AccountNames::all);
        let has_aliases = names.any(|name| AccountIdentities::load(store, name).has_aliases());
        let is_needed =
            has_aliases || self.warmups.is_interrupted(name) || has_unsent_changes(store, name);
        if admission.is_at_rest() && !is_needed {
            store.remove_states(name);
        }
    }

    fn is_known(&self, name: &str) -> bool {
        self.builder.store.load_account_names(name).is_some()
    }
}

/// The instance that had the account before a reload.
fn known(before: &Instances, settings: &config::Instance) -> Option<Arc<Instance>> {
    let (provider, base) = (&settings.provider.name, &settings.client.base);
    let account = &settings.account.name;
    // Most accounts keep their names.
    let is_same = |known: &Arc<Instance>| known.is_account(provider, base, account);
    let named = before.get(&settings.name).filter(is_same);
    named.or_else(|| before.iter().find(is_same))
}

/// The account of an instance, for the cache.
pub fn account_id(settings: &config::Instance) -> AccountId {
    let base = settings.client.base.as_str();
    AccountId::new(&settings.provider.name, base, &settings.account.name)
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
        if !instances.is_configured(&unused) {
            tracing::warn!(
                instance = %unused,
                "the cache has an instance that is not configured, whose faces are not served; faceplate cache rename {unused} NEW gives them to the instance NEW; POST /v1/purge?instance={unused}&hard=true deletes them"
            );
        }
    }
}

/// The memory for bodies that arrive: as much again as for pictures that are sent.
pub(super) fn arriving(settings: &store::Settings) -> InFlight {
    Client::space(settings.in_flight.size(), settings.max_picture)
}

/// The pipeline without a server, for commands that run while no server does.
pub fn offline(config: Config) -> Result<(Faces, Instances), StartError> {
    let dependencies = Dependencies::default();
    let clock = &dependencies.clock;
    let store = Arc::new(Store::open_for_command(
        &config.startup.store,
        config.reloadable.disk_limits.clone(),
        clock.clone(),
    )?);
    let Reloadable {
        instances,
        patterns,
        pipeline,
        ..
    } = config.reloadable;
    let arriving = arriving(&config.startup.store);
    let builder = Builder::new(store.clone(), &dependencies, None, arriving);
    let metrics = Metrics::new();
    let thumbnailer = Thumbnailer::new(&config.startup.images, metrics.clone());
    let faces = Faces::new(store, None, pipeline, clock.clone(), metrics, thumbnailer);
    let warmups = Warmups::new(faces.clone());
    let instances = instances.into_iter();
    let instances: Vec<_> = instances
        .map(|settings| {
            let table = settings.name.clone();
            builder.build(settings, &table, None, |settings| builder.client(settings))
        })
        .collect();
    builder.neighbors.set(&instances);
    let patterns = patterns.into_iter();
    let patterns = patterns.map(|pattern| Arc::new(builder.pattern(pattern, &warmups)));
    let instances = Instances::new(instances, patterns.collect());
    Ok((faces, instances))
}
