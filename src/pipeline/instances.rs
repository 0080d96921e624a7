//! The configured instances by name: those with a table of their own, and those of patterns.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use secrecy::SecretString;

use super::{
    instance::Instance,
    instance_pattern::{Demand, InstancePattern, NotMade},
    name_pattern::NamePattern,
};
use crate::{store::Store, telemetry::AccountLabel, upstream::Description};

/// The configured instances by name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Instances(Arc<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Those with a table of their own.
    exact: HashMap<String, Arc<Instance>>,
    /// Sorted so that, of two patterns that match a name, the one that applies comes first.
    patterns: Vec<Arc<InstancePattern>>,
}

impl Instances {
    /// The instances with a table of their own, and those of patterns.
    pub fn new(exact: Vec<Arc<Instance>>, patterns: Vec<Arc<InstancePattern>>) -> Self {
        let exact = exact.into_iter();
        let mut patterns = patterns;
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.settings().names.literals()));
        Self(Arc::new(Table {
            exact: exact
                .map(|instance| (instance.name().to_string(), instance))
                .collect(),
            patterns,
        }))
    }

    /// The instance of this name. `None` also for one of a pattern that is not made.
    pub fn get(&self, name: &str) -> Option<Arc<Instance>> {
        if let Some(instance) = self.0.exact.get(name) {
            return Some(instance.clone());
        }
        self.pattern_of(name)?.get(name)
    }

    /// The instance of this name, which is made if it is of a pattern.
    pub async fn make(&self, name: &str, demand: Demand) -> Result<Arc<Instance>, NotMade> {
        if let Some(instance) = self.get(name) {
            return Ok(instance);
        }
        match self.pattern_of(name) {
            Some(pattern) => pattern.make(name, demand).await,
            None => Err(NotMade::Unknown),
        }
    }

    /// The instance that is called `name` in the configuration, or else in the cache.
    pub fn named(&self, name: &str) -> Option<Arc<Instance>> {
        self.get(name).or_else(|| self.by_cache_name(name))
    }

    /// The instance whose faces have this name in the cache.
    pub fn by_cache_name(&self, name: &str) -> Option<Arc<Instance>> {
        let mut all = self.iter();
        all.find(|instance| **instance.cache_name() == *name)
    }

    /// The pattern of an instance called `name`. `None` if that has a table of its own, or there is none.
    pub fn pattern_of(&self, name: &str) -> Option<&Arc<InstancePattern>> {
        let table = &self.0;
        if table.patterns.is_empty() || table.exact.contains_key(name) {
            return None;
        }
        let mut patterns = table.patterns.iter();
        patterns.find(|pattern| pattern.settings().names.matches(name))
    }

    /// Whether there is an instance of this name, made or not.
    pub fn is_configured(&self, name: &str) -> bool {
        self.0.exact.contains_key(name) || self.pattern_of(name).is_some()
    }

    /// The name of the table in the configuration that an instance called `name` is from.
    pub fn table_name(&self, name: &str) -> String {
        match self.pattern_of(name) {
            Some(pattern) => pattern.settings().names.to_string(),
            None => name.to_owned(),
        }
    }

    /// The names of the instances whose account a vendor's call or event names, in no order. The configuration gives an
    /// account one name, so several are accounts of several gateways. `is_meant` chooses among the instances with a
    /// table of their own, `is_meant_pattern` among the others.
    pub fn with_account(
        &self,
        account: &str,
        is_meant: impl Fn(&Instance) -> bool,
        is_meant_pattern: impl Fn(&InstancePattern) -> bool,
    ) -> Vec<String> {
        let exact = self
            .exact()
            .filter(|one| one.account().name == account && is_meant(one))
            .map(|one| one.name().to_string());
        let of_patterns = self
            .patterns()
            .iter()
            .filter(|pattern| is_meant_pattern(pattern))
            .filter_map(|pattern| {
                let name = pattern.settings().account.capture(account)?;
                let winner = self.pattern_of(name)?;
                Arc::ptr_eq(winner, pattern).then(|| name.to_owned())
            });
        exact.chain(of_patterns).collect()
    }

    /// All instances that are made, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Instance>> {
        let made = self.0.patterns.iter().flat_map(|pattern| pattern.all());
        self.exact().cloned().chain(made)
    }

    /// The instances with a table of their own, in no order.
    pub fn exact(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.0.exact.values()
    }

    /// The patterns.
    pub fn patterns(&self) -> &[Arc<InstancePattern>] {
        &self.0.patterns
    }

    /// The vendor of this name, if an instance has it.
    pub fn provider(&self, name: &str) -> Option<&Arc<Description>> {
        let mut descriptions = self.descriptions();
        descriptions.find(|provider| *provider.name == *name)
    }

    /// All accounts as metrics name them.
    pub fn labels(&self) -> Vec<AccountLabel> {
        let exact = self.exact().map(|instance| instance.label().clone());
        let patterns = self.patterns().iter().map(|pattern| {
            let settings = pattern.settings();
            AccountLabel {
                instance: settings.names.to_string().into(),
                provider: settings.provider.name.clone(),
            }
        });
        exact.chain(patterns).collect()
    }

    /// The names of all vendors.
    pub fn providers(&self) -> BTreeSet<Arc<str>> {
        let descriptions = self.descriptions();
        descriptions.map(|provider| provider.name.clone()).collect()
    }

    /// The credentials of all instances of a vendor.
    pub fn credentials(&self, provider: &str) -> impl Iterator<Item = &SecretString> {
        let exact = self
            .exact()
            .filter(move |one| *one.provider().name == *provider);
        let patterns = self.patterns().iter().map(|pattern| pattern.settings());
        let patterns = patterns.filter(move |settings| *settings.provider.name == *provider);
        exact
            .map(|instance| &instance.account().token)
            .chain(patterns.map(|settings| &settings.token))
    }

    /// The descriptions of all instances, some of them several times.
    pub fn descriptions(&self) -> impl Iterator<Item = &Arc<Description>> {
        let exact = self.exact().map(|instance| instance.provider());
        let patterns = self.patterns().iter();
        exact.chain(patterns.map(|pattern| &pattern.settings().provider))
    }

    /// Takes over the instances of patterns that were made before a reload and are of a pattern still.
    pub fn adopt(&self, before: &Self) -> Vec<Arc<Instance>> {
        let made = before
            .patterns()
            .iter()
            .flat_map(|pattern| pattern.hand_over());
        made.filter_map(|made| {
            let pattern = self.pattern_of(made.instance().name())?;
            Some(pattern.adopt(&made, before))
        })
        .collect()
    }

    /// Makes the instances of patterns that `store` knows and whose names are chosen. Blocks on the file system.
    pub fn make_known(&self, is_chosen: impl Fn(&str) -> bool, store: &Store) {
        if self.patterns().is_empty() {
            return;
        }
        for name in store.instances_on_disk() {
            if let Some(pattern) = self.pattern_of(&name)
                && is_chosen(&name)
            {
                // A full table makes no more of them.
                let _ = pattern.make_now(&name, Demand::Credential);
            }
        }
    }

    /// Drops the instances of patterns that no client has asked for lately.
    pub fn drop_idle(&self) {
        for pattern in self.patterns() {
            pattern.drop_idle();
        }
    }
}

/// The pattern that applies to `name`: of those that match it, the one with the most literal characters.
pub fn winner<'p, T>(
    patterns: &'p [T],
    names: impl Fn(&T) -> &NamePattern,
    name: &str,
) -> Option<&'p T> {
    let matching = patterns
        .iter()
        .filter(|pattern| names(pattern).matches(name));
    matching.max_by_key(|pattern| names(pattern).literals())
}
