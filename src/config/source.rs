//! The text of the configuration, with the overrides from environment variables over it.

use std::{collections::BTreeMap, path::PathBuf};

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
            if let Some(key) = set(&mut self.table, path, &value) {
                self.overrides.insert(key, variable);
            }
        }
    }
}

/// Sets the value at `path`, whose parts match existing keys in any case and with `_` for `-`.
/// Returns the key's path. A path through a value that is not a table sets nothing; reading reports
/// that value as a problem.
fn set<'p>(table: &mut Table, path: impl Iterator<Item = &'p str>, value: &str) -> Option<String> {
    let parts: Vec<&str> = path.collect();
    let (last, parents) = parts.split_last()?;
    let mut table = table;
    let mut full = Vec::new();
    for part in parents {
        let key = existing_name(table, part);
        full.push(key.clone());
        let entry = table
            .entry(key)
            .or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut()?;
    }
    let key = existing_name(table, last);
    full.push(key.clone());
    table.insert(key, Value::String(value.to_owned()));
    Some(full.join("."))
}

fn existing_name(table: &Table, part: &str) -> String {
    let plain = |key: &str| key.to_ascii_lowercase().replace('-', "_");
    let wanted = plain(part);
    table
        .keys()
        .find(|key| plain(key) == wanted)
        .cloned()
        .unwrap_or(wanted)
}
