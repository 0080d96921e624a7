//! The states that the store keeps for instances, beside their faces.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use super::{AccountNames, Inspection, Store, account_names::instance_of, on_disk_thread};

impl Store {
    /// The names, as they were saved last, under which the cache has the faces of `instance`.
    pub fn load_account_names(&self, instance: &str) -> Option<AccountNames> {
        AccountNames::from_json(&self.load_state(&AccountNames::state_name(instance))?)
    }

    /// Saves the names under which the cache has the faces of `instance`. Blocks on the file system.
    pub fn save_account_names(&self, instance: &str, names: &AccountNames) {
        let state = AccountNames::state_name(instance);
        self.state_files.save(&state, || names.to_json());
    }

    /// The instances that have a state on disk.
    pub fn instances_on_disk(&self) -> BTreeSet<String> {
        let names = self.state_files.names().into_iter();
        let instances = names.map(|name| instance_of(&name).to_owned());
        // A state with nothing before its mark is the process's own.
        instances.filter(|instance| !instance.is_empty()).collect()
    }

    /// The names under which the cache has pictures. `None` if not every entry can be read. Reads all index files.
    pub async fn names_with_pictures(&self) -> Option<HashSet<String>> {
        let disk = self.disk.clone();
        let on_disk = on_disk_thread(move || {
            let inspection = Inspection::open(disk.root()).ok()?;
            let entries: Result<Vec<_>, _> = inspection.entries().collect();
            let entries = entries.ok()?.into_iter();
            let pictures = entries.filter(|entry| entry.picture.is_some());
            Some(pictures.map(|entry| entry.instance).collect())
        });
        let mut names: HashSet<String> = on_disk.await.flatten()?;
        let in_memory = self.memory.owners_of_pictures();
        names.extend(in_memory.map(|owner| owner.instance.to_string()));
        Some(names)
    }

    /// Removes all states of `instance`. Blocks on the file system.
    pub fn remove_states(&self, instance: &str) {
        self.state_files.remove_all(instance);
    }

    /// Removes `name` from the names of `instance`. If no other name is left, or only the last one of an instance
    /// that is not configured, removes all of its states.
    pub async fn remove_account_name(&self, instance: &str, name: &str, is_configured: bool) {
        let names = self.load_account_names(instance);
        let (state_files, instance) = (self.state_files.clone(), instance.to_owned());
        let name = name.to_owned();
        let fewer = names.and_then(|mut names| names.remove(&name).then_some(names));
        on_disk_thread(move || match fewer {
            Some(names) => {
                let state = AccountNames::state_name(&instance);
                state_files.save(&state, || names.to_json());
            }
            None if !is_configured => state_files.remove_all(&instance),
            None => {}
        })
        .await;
    }

    /// The state that was last saved as `name`.
    pub fn load_state(&self, name: &str) -> Option<Vec<u8>> {
        self.state_files.load(name)
    }

    /// Saves a state as `name`. `make_state` runs when no other state is being saved, so of several
    /// states of one name the newest stays. Returns whether it was saved.
    pub async fn save_state(
        &self,
        name: Arc<str>,
        make_state: impl FnOnce() -> Vec<u8> + Send + 'static,
    ) -> bool {
        let state_files = self.state_files.clone();
        let saved = on_disk_thread(move || state_files.save(&name, make_state)).await;
        saved.unwrap_or(false)
    }
}
