//! The text of the configuration, with the overrides from environment variables over it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use toml::{Table, Value};

/// The name of an override is `FACEPLATE_SECTION__KEY`.
const PREFIX: &str = "FACEPLATE_";

/// The values as text, and where each is from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) table: Table,
    /// The environment variables that override keys, by the path of the key.
    pub(super) overrides: BTreeMap<String, String>,
    /// The variables that added tables to the file's, by the path of the table.
    added_tables: BTreeMap<String, String>,
    pub(super) env: BTreeMap<String, String>,
    /// The directory that relative paths of secrets start from: the working directory.
    pub(super) root: PathBuf,
}

impl Source {
    /// Puts the overrides in `env` over the values of `file`.
    pub(super) fn new(file: &str, table: Table, env: BTreeMap<String, String>) -> Self {
        let mut source = Self {
            file: file.to_owned(),
            table,
            overrides: BTreeMap::new(),
            added_tables: BTreeMap::new(),
            env,
            root: PathBuf::new(),
        };
        source.apply_overrides();
        source
    }

    fn apply_overrides(&mut self) {
        let named: Vec<(String, String)> = self
            .env
            .iter()
            .filter_map(|(name, value)| {
                let path = name.strip_prefix(PREFIX)?;
                path.contains("__").then(|| (name.clone(), value.clone()))
            })
            .collect();
        for (variable, value) in named {
            let path = variable[PREFIX.len()..].split("__");
            let mut added = Vec::new();
            if let Some(key) = set(&mut self.table, path, &value, &mut added) {
                self.overrides.insert(key, variable.clone());
            }
            for table in added {
                self.added_tables.insert(table, variable.clone());
            }
        }
    }

    /// The variable that the value at `path` is from, if it is not from the file.
    pub(super) fn variable(&self, path: &str) -> Option<&str> {
        let added = || {
            let tables = path.match_indices('.').map(|(end, _)| &path[..end]);
            let mut tables = tables.chain([path]);
            tables.find_map(|table| self.added_tables.get(table))
        };
        let variable = self.overrides.get(path).or_else(added);
        variable.map(String::as_str)
    }

    /// The variables with one `_` where an override has two, each with the name that it should have. `keys` are the
    /// paths of all keys, `used` the variables that have secrets.
    pub(super) fn misspelled_overrides<'k>(
        &'k self,
        keys: &'k [String],
        used: &'k BTreeSet<String>,
    ) -> impl Iterator<Item = (&'k str, String)> {
        let names = self.env.keys();
        let names = names.filter(|name| !name.contains("__") && !used.contains(*name));
        names.filter_map(|name| {
            let rest = name.strip_prefix(PREFIX)?;
            let is_meant = |key: &&String| plain(rest) == plain(&key.replace('.', "_"));
            let key = keys.iter().find(is_meant)?;
            let key = key.replace('.', "__").replace('-', "_");
            Some((name.as_str(), format!("{PREFIX}{}", key.to_uppercase())))
        })
    }
}

/// Sets the value at `path`, whose parts match existing keys in any case and with `_` for `-`.
/// Returns the key's path, and puts the paths of tables that it had to make into `added`. A path through a value that
/// is not a table sets nothing; reading reports that value as a problem.
fn set<'p>(
    table: &mut Table,
    path: impl Iterator<Item = &'p str>,
    value: &str,
    added: &mut Vec<String>,
) -> Option<String> {
    let parts: Vec<&str> = path.collect();
    let (last, parents) = parts.split_last()?;
    let mut table = table;
    let mut full = Vec::new();
    for part in parents {
        let key = existing_name(table, part);
        full.push(key.clone());
        let entry = table.entry(key).or_insert_with(|| {
            added.push(full.join("."));
            Value::Table(Table::new())
        });
        table = entry.as_table_mut()?;
    }
    let key = existing_name(table, last);
    full.push(key.clone());
    table.insert(key, Value::String(value.to_owned()));
    Some(full.join("."))
}

fn existing_name(table: &Table, part: &str) -> String {
    let wanted = plain(part);
    table
        .keys()
        .find(|key| plain(key) == wanted)
        .cloned()
        .unwrap_or(wanted)
}

/// A key in the spelling of an environment variable, but in lower case.
fn plain(key: &str) -> String {
    key.to_ascii_lowercase().replace('-', "_")
}
