//! One table of the configuration, read key by key. What is read wrong, and what is never read, is
//! a problem.

use std::{cell::RefCell, collections::BTreeSet};

use secrecy::{SecretString, zeroize::Zeroizing};
use toml::{Table, Value};

use super::{Problem, Source, read::Setting};

/// All that was found wrong so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) problems: RefCell<Vec<Problem>>,
    pub(super) warnings: RefCell<Vec<Problem>>,
}

/// A table and the keys that were read from it.
pub(super) struct Section<'s> {
    source: &'s Source,
    findings: &'s Findings,
    path: String,
    table: Option<&'s Table>,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'s> Section<'s> {
    /// The whole file.
    pub(super) fn root(source: &'s Source, findings: &'s Findings) -> Self {
        Self {
            source,
            findings,
            path: String::new(),
            table: Some(&source.table),
            known: RefCell::default(),
        }
    }

    /// The table at `key`; an empty one where there is none.
    pub(super) fn section(&self, key: &'static str) -> Section<'s> {
        self.known.borrow_mut().insert(key);
        self.child(key)
    }

    /// Every table in this one, by name.
    pub(super) fn children(&self) -> Vec<(&'s str, Section<'s>)> {
        let names = self.table.into_iter().flat_map(|table| table.keys());
        names
            .map(|name| (name.as_str(), self.child(name)))
            .collect()
    }

    /// The value at `key`, or `default` where there is none or a wrong one, which is a problem.
    pub(super) fn or<T: Setting>(&self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value at `key`, if there is a right one.
    pub(super) fn optional<T: Setting>(&self, key: &'static str) -> Option<T> {
        self.known.borrow_mut().insert(key);
        let value = self.table?.get(key)?;
        T::read(value)
            .map_err(|remedy| self.problem(key, remedy))
            .ok()
    }

    /// The value at `key`, whose absence is a problem with `remedy`.
    pub(super) fn required<T: Setting>(&self, key: &'static str, remedy: &str) -> Option<T> {
        if self.table.is_none_or(|table| !table.contains_key(key)) {
            self.known.borrow_mut().insert(key);
            self.problem(key, format!("is missing; {remedy}"));
            return None;
        }
        self.optional(key)
    }

    /// What the reference `text` at `key` (`env:NAME` or `file:PATH`) leads to. A secret in the
    /// file itself is taken, with a warning.
    pub(super) fn secret(&self, key: &str, text: &str) -> Option<SecretString> {
        // Every copy on the way is wiped, too.
        let found = if let Some(name) = text.strip_prefix("env:") {
            self.source
                .env
                .get(name)
                .cloned()
                .map(Zeroizing::new)
                .ok_or_else(|| {
                    format!("the environment variable {name} is not set; set it, or name another")
                })
        } else if let Some(path) = text.strip_prefix("file:") {
            std::fs::read_to_string(self.source.root.join(path)).map(Zeroizing::new).map_err(|error| {
                format!("the secret's file {path} cannot be read: {error}; check the path and this user's permission")
            })
        } else {
            self.warning(
                key,
                "the secret stands in the open here; write env:NAME or file:PATH instead",
            );
            Ok(Zeroizing::new(text.to_owned()))
        };
        match found {
            Ok(secret) if secret.trim().is_empty() => {
                self.problem(key, "the secret is empty".into());
                None
            }
            Ok(secret) => Some(SecretString::from(secret.trim())),
            Err(remedy) => {
                self.problem(key, remedy);
                None
            }
        }
    }

    /// Notes a problem with `key`.
    pub(super) fn problem(&self, key: &str, remedy: String) {
        self.findings
            .problems
            .borrow_mut()
            .push(self.about(key, remedy));
    }

    /// Notes something unwise about `key`.
    pub(super) fn warning(&self, key: &str, remedy: &str) {
        self.findings
            .warnings
            .borrow_mut()
            .push(self.about(key, remedy.into()));
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            if !known.contains(key.as_str()) {
                let keys: Vec<_> = known.iter().copied().collect();
                self.problem(
                    key,
                    format!("is not a known key; the keys here are {}", keys.join(", ")),
                );
            }
        }
    }

    fn child(&self, key: &str) -> Section<'s> {
        let value = self.table.and_then(|table| table.get(key));
        let table = value.and_then(Value::as_table);
        if value.is_some() && table.is_none() {
            self.problem(key, format!("must be a table; write [{}]", self.full(key)));
        }
        Section {
            source: self.source,
            findings: self.findings,
            path: self.full(key),
            table,
            known: RefCell::default(),
        }
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn about(&self, key: &str, remedy: String) -> Problem {
        let key = self.full(key);
        let variable = self.source.overrides.get(&key);
        Problem {
            place: variable.unwrap_or(&self.source.file).clone(),
            key,
            remedy,
        }
    }
}
