//! Loads the file, and puts the overrides from environment variables over it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Config, Problem, Problems, sections};

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

/// Reads and checks the configuration file at `path`, with this process's environment over it.
pub fn from_file(path: &Path) -> Result<Config, Problems> {
    from_file_with_secrets(path).0
}

/// The same, with the files that secrets are read from, which are known also if the configuration has
/// problems.
pub fn from_file_with_secrets(path: &Path) -> (Result<Config, Problems>, Vec<PathBuf>) {
    match read_text(path) {
        Ok(text) => {
            let name = path.display().to_string();
            match source(&name, &text, std::env::vars_os()) {
                Ok(source) => sections::read(&source),
                Err(problems) => (Err(problems), Vec::new()),
            }
        }
        Err(problems) => (Err(problems), Vec::new()),
    }
}

fn read_text(path: &Path) -> Result<String, Problems> {
    fs::read_to_string(path).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file; copy config/faceplate.toml there and edit it, or name another file with --config".to_owned(),
            _ => format!("cannot be read: {error}; check this user's permission"),
        };
        whole_file(path.display().to_string(), remedy)
    })
}

/// Checks `text`, calling it `name` in messages, with the given environment over it.
pub fn from_text<K, V>(
    name: &str,
    text: &str,
    env: impl Iterator<Item = (K, V)>,
) -> Result<Config, Problems>
where
    K: Into<std::ffi::OsString>,
    V: Into<std::ffi::OsString>,
{
    sections::read(&source(name, text, env)?).0
}

fn source<K, V>(
    name: &str,
    text: &str,
    env: impl Iterator<Item = (K, V)>,
) -> Result<Source, Problems>
where
    K: Into<std::ffi::OsString>,
    V: Into<std::ffi::OsString>,
{
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| {
            text[..span.start.min(text.len())].matches('\n').count() + 1
        });
        whole_file(
            format!("{name}:{line}"),
            format!("is not valid TOML: {}", error.message()),
        )
    })?;
    // A variable that is not UTF-8 can be neither an override nor a secret.
    let env = env
        .filter_map(|(key, value)| {
            Some((
                key.into().into_string().ok()?,
                value.into().into_string().ok()?,
            ))
        })
        .collect();
    let mut source = Source {
        file: name.to_owned(),
        table,
        overrides: BTreeMap::new(),
        env,
        root: PathBuf::new(),
    };
    source.apply_overrides();
    Ok(source)
}

impl Source {
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

fn whole_file(place: String, remedy: String) -> Problems {
    Problems(vec![Problem {
        place,
        key: String::new(),
        remedy,
    }])
}
