//! Loads the configuration from its file and the environment.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use toml::Table;

use super::{Config, Problem, Problems, sections, source::Source};
use crate::upstream::Catalog;

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

/// Reads the descriptions of gateways that the configuration file at `path` has, and nothing else of it: no secret is
/// needed.
pub fn catalog_from_file(path: &Path) -> Result<Catalog, Problems> {
    let text = read_text(path)?;
    let name = path.display().to_string();
    sections::read_catalog(&source(&name, &text, std::env::vars_os())?)
}

fn read_text(path: &Path) -> Result<String, Problems> {
    fs::read_to_string(path).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "there is no such file; make one with faceplate init GATEWAY > FILE, or name another file with --config".to_owned(),
            io::ErrorKind::InvalidData => "is not UTF-8 text; save it as UTF-8".to_owned(),
            io::ErrorKind::IsADirectory => {
                "is a directory; name a file with --config".to_owned()
            }
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
    Ok(Source::new(name, table, env))
}

fn whole_file(place: String, remedy: String) -> Problems {
    Problems(vec![Problem {
        place,
        key: String::new(),
        remedy,
    }])
}
