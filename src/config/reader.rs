//! Reads one table of the configuration, key by key, with the section that describes it. A value that is
//! wrong and a key that is unknown are problems.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};

use super::{
    EffectiveValue, Origin, Problem, ValueText,
    key::{DefaultValue, Effect, Key, Kind, Section},
    secret,
    setting::{SecretReference, Setting},
    source::Source,
};
use crate::upstream;

/// The results of reading that are not values.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) problems: RefCell<Vec<Problem>>,
    pub(super) warnings: RefCell<Vec<Problem>>,
    /// The values that a reload cannot change, by the path of their key, to be compared.
    pub(super) restart_only: RefCell<BTreeMap<String, String>>,
    /// The files that secrets are read from, whether they can be read or not.
    pub(super) secret_files: RefCell<Vec<PathBuf>>,
    /// The environment variables that secrets are read from.
    pub(super) secret_variables: RefCell<BTreeSet<String>>,
    /// Every value that was read, by the path of its key.
    pub(super) values: RefCell<BTreeMap<String, EffectiveValue>>,
}

/// A table, and the section that describes it.
pub(super) struct Reader<'s> {
    source: &'s Source,
    findings: &'s Findings,
    section: &'static Section,
    path: String,
    table: Option<&'s Table>,
    read: RefCell<BTreeSet<&'static str>>,
    /// Whether tables and texts with names of the operator's were asked for.
    accepts_others: Cell<bool>,
}

impl<'s> Reader<'s> {
    /// Reads the whole file.
    pub(super) fn root(
        source: &'s Source,
        findings: &'s Findings,
        section: &'static Section,
    ) -> Self {
        Self {
            source,
            findings,
            section,
            path: String::new(),
            table: Some(&source.table),
            read: RefCell::default(),
            accepts_others: Cell::default(),
        }
    }

    /// The table called `name`; an empty one where there is none.
    pub(super) fn section(&self, name: &str) -> Reader<'s> {
        let mut sections = self.section.sections.iter();
        let section = sections.find(|section| section.name == name);
        self.inner(
            name,
            section.expect("each section that is read is in the table of keys"),
        )
    }

    /// The tables whose names the operator chose, by name.
    pub(super) fn children(&self) -> Vec<(&'s str, Reader<'s>)> {
        let names = self.table.into_iter().flat_map(|table| table.keys());
        names
            .map(|name| (name.as_str(), self.inner(name, &self.section.sections[0])))
            .collect()
    }

    /// The value of a key with a default. A wrong value is a problem, and the default counts.
    pub(super) fn get<T: Setting>(&self, name: &str) -> T {
        let key = self.key::<T>(name);
        let DefaultValue::Value(default) = key.default else {
            unreachable!(
                "{}.{name} has no default; read it with optional()",
                self.path
            )
        };
        let value = self.value(key).unwrap_or_else(|| {
            T::read(&Value::String(default.to_owned())).expect("the table's defaults are valid")
        });
        if key.effect == Effect::Restart {
            self.changes_at_restart(name, &value);
        }
        value
    }

    /// The value of a key that may be left out, or that cannot be, in which case its absence is a problem.
    pub(super) fn optional<T: Setting>(&self, name: &str) -> Option<T> {
        let key = self.key::<T>(name);
        let value = self.value(key);
        if let DefaultValue::Required(remedy) = key.default
            && !self.has(name)
        {
            let remedy = match key.kind {
                Kind::Choice(_) => format!("{remedy}: {}", key.kind),
                _ => remedy.to_owned(),
            };
            self.problem(name, format!("is missing; {remedy}"));
        }
        if key.effect == Effect::Restart {
            self.changes_at_restart(name, &value);
        }
        value
    }

    /// The value of a key that this table may leave out, although others of the kind may not.
    pub(super) fn waived<T: Setting>(&self, name: &str) -> Option<T> {
        self.value(self.key::<T>(name))
    }

    /// Whether the key called `name` is set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Records a value that a reload cannot change.
    pub(super) fn changes_at_restart(&self, name: &str, value: &impl std::fmt::Debug) {
        let mut restart_only = self.findings.restart_only.borrow_mut();
        restart_only.insert(self.full(name), format!("{value:?}"));
    }

    /// The secret that `reference` leads to. A secret in the file itself is accepted, with a warning.
    pub(super) fn secret(&self, name: &str, reference: &SecretReference) -> Option<SecretString> {
        let text = &reference.0;
        let found = if let Some(variable) = text.strip_prefix("env:") {
            self.variable(variable)
        } else if let Some(path) = text.strip_prefix("file:") {
            self.secret_file(path)
        } else {
            self.warning(
                name,
                "the secret is written here in plain text; write env:NAME or file:PATH instead",
            );
            secret::parse(text.as_bytes())
        };
        found.map_err(|remedy| self.problem(name, remedy)).ok()
    }

    /// The same, for a secret that the operator makes, which has a shortest length.
    pub(super) fn own_secret(
        &self,
        name: &str,
        reference: &SecretReference,
    ) -> Option<SecretString> {
        let found = self.secret(name, reference)?;
        if found.expose_secret().chars().count() < secret::SHORTEST {
            self.problem(
                name,
                format!(
                    "a secret is shorter than {} characters; make one with: openssl rand -base64 32",
                    secret::SHORTEST
                ),
            );
        }
        Some(found)
    }

    fn variable(&self, name: &str) -> Result<SecretString, String> {
        if name.is_empty() {
            return Err("env: names no variable; write for example env:VENDOR_TOKEN".into());
        }
        let mut used = self.findings.secret_variables.borrow_mut();
        used.insert(name.to_owned());
        match self.source.env.get(name) {
            Some(value) => secret::parse(value.as_bytes()),
            None => Err(format!(
                "the environment variable {name} is not set; set it, or name another one"
            )),
        }
    }

    fn secret_file(&self, path: &str) -> Result<SecretString, String> {
        let full = self.source.root.join(path);
        self.findings.secret_files.borrow_mut().push(full.clone());
        let bytes = secret::read_file(&full).map_err(|error| {
            format!("the secret's file {path} cannot be read: {error}; check the path and this user's permission")
        })?;
        secret::parse(&bytes)
    }

    /// Records a problem with a key.
    pub(super) fn problem(&self, name: &str, remedy: String) {
        let problem = self.about(name, remedy);
        self.findings.problems.borrow_mut().push(problem);
    }

    /// Records a problem with another place.
    pub(super) fn report(&self, problem: Problem) {
        self.findings.problems.borrow_mut().push(problem);
    }

    /// The name of the configuration file.
    pub(super) fn file(&self) -> &'s str {
        &self.source.file
    }

    /// The tables whose names are neither keys nor sections here.
    pub(super) fn other_tables(&self) -> Vec<(&'s str, &'s Table)> {
        let others = self.others();
        others
            .filter_map(|(name, value)| Some((name, value.as_table()?)))
            .collect()
    }

    /// The texts whose names are no keys here.
    pub(super) fn other_texts(&self) -> Vec<(&'s str, &'s str)> {
        let others = self.others();
        others
            .filter_map(|(name, value)| Some((name, value.as_str()?)))
            .collect()
    }

    fn others(&self) -> impl Iterator<Item = (&'s str, &'s Value)> {
        self.accepts_others.set(true);
        let keys = self.section.keys;
        let entries = self.table.into_iter().flatten();
        entries
            .map(|(name, value)| (name.as_str(), value))
            .filter(move |(name, _)| keys.iter().all(|key| key.name != *name))
    }

    /// Records a warning about a key.
    pub(super) fn warning(&self, name: &str, remedy: &str) {
        let warning = self.about(name, remedy.into());
        self.findings.warnings.borrow_mut().push(warning);
    }

    /// Records every key that the section does not have as a problem.
    pub(super) fn finish(&self) {
        let keys = self.section.keys.iter();
        debug_assert!(
            keys.clone()
                .all(|key| self.read.borrow().contains(key.name)),
            "[{}] has keys that are never read",
            self.path
        );
        let old_names = keys.clone().filter_map(|key| key.old_name);
        let sections = self.section.sections.iter().map(|section| section.name);
        let mut names: Vec<_> = keys.map(|key| key.name).chain(sections).collect();
        names.sort_unstable();
        let known: BTreeSet<_> = names.iter().copied().chain(old_names).collect();
        for name in self.table.into_iter().flat_map(|table| table.keys()) {
            let is_other = self.accepts_others.get() && self.is_table_or_text(name);
            if !known.contains(name.as_str()) && !is_other {
                self.problem(name, unknown_key(name, &names));
            }
        }
    }

    fn is_table_or_text(&self, name: &str) -> bool {
        let value = self.table.and_then(|table| table.get(name));
        matches!(value, Some(Value::Table(_) | Value::String(_)))
    }

    /// The key called `name`, which the table has with this type.
    fn key<T: Setting>(&self, name: &str) -> &'static Key {
        let mut keys = self.section.keys.iter();
        let key = keys.find(|key| key.name == name);
        let key = key.expect("each key that is read is in the table of keys");
        debug_assert!(key.is_of::<T>(), "{}.{name} has another type", self.path);
        self.read.borrow_mut().insert(key.name);
        key
    }

    fn value<T: Setting>(&self, key: &Key) -> Option<T> {
        match key.default {
            DefaultValue::Value(text) => {
                self.record(key.name, ValueText::Toml(key.toml(text)), Origin::Default);
            }
            DefaultValue::Absent(meaning) => {
                self.record(key.name, ValueText::Absent(meaning), Origin::Default);
            }
            DefaultValue::Required(_) => {}
        }
        let table = self.table?;
        let name = match key.old_name {
            Some(old) if table.contains_key(old) => {
                if table.contains_key(key.name) {
                    let new = key.name;
                    self.problem(
                        old,
                        format!(
                            "is the old name of {new}, which is set as well; remove one of them"
                        ),
                    );
                }
                old
            }
            _ => key.name,
        };
        let value = table.get(name)?;
        let origin = self.origin(name);
        self.record(key.name, ValueText::of(key, value), origin);
        key.read(value)
            .map_err(|remedy| self.problem(name, remedy))
            .ok()
    }

    fn origin(&self, name: &str) -> Origin {
        match self.source.variable(&self.full(name)) {
            Some(variable) => Origin::Variable(variable.to_owned()),
            None => Origin::File,
        }
    }

    fn record(&self, name: &str, shown: ValueText, origin: Origin) {
        let mut values = self.findings.values.borrow_mut();
        values.insert(self.full(name), EffectiveValue { shown, origin });
    }

    /// Records that the gateway's description sets a key that is left out. `value` is a value of TOML.
    pub(super) fn record_gateway_value(&self, name: &str, value: impl Into<Value>) {
        let shown = ValueText::Toml(value.into().to_string());
        self.record(name, shown, Origin::Gateway);
    }

    /// Leaves out a value that has no effect here.
    pub(super) fn omit_value(&self, name: &str) {
        self.findings.values.borrow_mut().remove(&self.full(name));
    }

    /// Records the value of a name that the operator chose.
    pub(super) fn record_other(&self, name: &str, text: &str, is_hidden: bool) {
        let shown = match is_hidden {
            true => ValueText::Hidden,
            false => ValueText::Toml(Value::String(text.to_owned()).to_string()),
        };
        self.record(name, shown, self.origin(name));
    }

    fn inner(&self, name: &str, section: &'static Section) -> Reader<'s> {
        let value = self.table.and_then(|table| table.get(name));
        let table = value.and_then(Value::as_table);
        if value.is_some() && table.is_none() {
            self.problem(
                name,
                format!("must be a table; write [{}]", self.full(name)),
            );
        }
        Reader {
            source: self.source,
            findings: self.findings,
            section,
            path: self.full(name),
            table,
            read: RefCell::default(),
            accepts_others: Cell::default(),
        }
    }

    fn full(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn about(&self, name: &str, remedy: String) -> Problem {
        let key = self.full(name);
        let variable = self.source.variable(&key);
        Problem {
            place: variable.unwrap_or(&self.source.file).to_owned(),
            key,
            remedy,
        }
    }
}

/// The remedy for a key that does not exist beside `names`.
fn unknown_key(name: &str, names: &[&str]) -> String {
    let all = format!("the keys here are {}", names.join(", "));
    match upstream::nearest(name, names) {
        Some(near) => format!("is not a known key; did you mean {near}? {all}"),
        None => format!("is not a known key; {all}"),
    }
}
