//! Reads `[providers]`: the operator's own descriptions of gateways, in a directory or in the configuration itself.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::{Table, Value};

use crate::{
    config::{
        Problem,
        key::{Key, Section},
        reader::Reader,
    },
    upstream::{Catalog, Description},
};

pub(super) const SECTION: Section = Section {
    name: "providers",
    about: "Descriptions of gateways beside the 22 in this program: files of a directory, or tables `[providers.NAME]`. [Providers](providers.md) describes the language.",
    keys: &[Key::optional::<PathBuf>(
        "dir",
        "none",
        "The directory of descriptions. `NAME.toml` there is the provider `NAME`, also instead of a shipped one.",
    )],
    sections: &[],
};

/// The descriptions that instances can use. Each is loaded when an instance first asks for it.
pub(super) struct Providers {
    pub(super) catalog: Catalog,
    loaded: BTreeMap<String, Option<Arc<Description>>>,
}

pub(super) fn read(reader: &Reader<'_>) -> Providers {
    let mut catalog = Catalog::default();
    let dir: Option<PathBuf> = reader.optional("dir");
    if let Some(dir) = dir {
        add_files(&mut catalog, reader, &dir);
    }
    for (name, table) in reader.other_tables() {
        if catalog.is_own(name) {
            reader.problem(
                name,
                "is described in the directory, too; remove one of them".into(),
            );
        }
        let mut table: Table = table.clone();
        let named = Value::String(name.to_owned());
        table.entry("name").or_insert(named);
        let file = format!("{} [providers.{name}]", reader.file());
        catalog.add(name, &file, table.to_string(), false);
    }
    reader.finish();
    Providers {
        catalog,
        loaded: BTreeMap::new(),
    }
}

fn add_files(catalog: &mut Catalog, reader: &Reader<'_>, dir: &Path) {
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(error) => {
            let remedy = format!(
                "{} cannot be read: {error}; check the path and this user's permission",
                dir.display()
            );
            return reader.problem("dir", remedy);
        }
    };
    for path in listed.flatten().map(|item| item.path()) {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let (Some(name), Some("toml")) = (stem, path.extension().and_then(|end| end.to_str()))
        else {
            continue;
        };
        match fs::read_to_string(&path) {
            Ok(text) => catalog.add(name, &path.display().to_string(), text, true),
            Err(error) => {
                reader.problem("dir", format!("{} cannot be read: {error}", path.display()))
            }
        }
    }
}

// === impl Providers ===

impl Providers {
    /// The description called `name`, for the instance that `reader` reads. That there is none is a problem of each
    /// instance, and a doubtful description a warning about each; its own problems are reported once.
    pub(super) fn find(&mut self, reader: &Reader<'_>, name: &str) -> Option<Arc<Description>> {
        let found = match self.loaded.get(name) {
            Some(known) => known.clone(),
            None => self.load(reader, name),
        };
        if let Some(description) = &found {
            warn(reader, description);
        }
        found
    }

    fn load(&mut self, reader: &Reader<'_>, name: &str) -> Option<Arc<Description>> {
        let loaded = match self.catalog.load(name) {
            Some(Ok(description)) => Some(description),
            Some(Err(problems)) => {
                for problem in problems {
                    let place = match problem.line {
                        Some(line) => format!("{}:{line}", problem.file),
                        None => problem.file,
                    };
                    reader.report(Problem {
                        place,
                        key: String::new(),
                        remedy: problem.remedy,
                    });
                }
                None
            }
            None => {
                let hint = match self.catalog.nearest(name) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!("known are {}", self.catalog.names().join(", ")),
                };
                reader.problem(
                    "provider",
                    format!("{name:?} is not a known provider; {hint}"),
                );
                return None;
            }
        };
        self.loaded.insert(name.to_owned(), loaded.clone());
        loaded
    }
}

/// Warns of a description that the operator should look at. The remedies are keys of the instance's own table.
fn warn(reader: &Reader<'_>, description: &Description) {
    if description.is_shipped {
        return;
    }
    if description.names_host() {
        reader.warning("provider", "its description names the host that the API key is sent to; write base_url in the instance instead, unless the file is your own");
    }
    if !description.defaults.picture_hosts.is_empty() {
        reader.warning("provider", "the picture_hosts of a description outside of this program do not count; write them in the instance");
    }
}
