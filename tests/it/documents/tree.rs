//! The files, modules and items of this repository, by the names that documents give them.

use std::{collections::BTreeSet, fs, path::Path};

use super::{Document, root};
use crate::support::docs;

/// Endings of files that are named only if they are in the repository.
const SOURCES: [&str; 6] = [".rs", ".py", ".md", ".js", ".sh", ".html"];

/// Words before the name of an item.
const DEFINITIONS: [&str; 8] = [
    "fn ", "struct ", "enum ", "trait ", "type ", "const ", "static ", "mod ",
];

pub struct Tree {
    files: Vec<String>,
    /// The folders below the root.
    tops: BTreeSet<String>,
    /// The folders below `src/`.
    rooms: BTreeSet<String>,
}

impl Tree {
    pub fn read() -> Self {
        let files = docs::tracked_files();
        let folders = |below: &str| {
            let inside = files.iter().filter_map(|file| file.strip_prefix(below));
            let folders = inside.filter_map(|file| Some(file.split_once('/')?.0.to_owned()));
            folders.collect()
        };
        Self {
            tops: folders(""),
            rooms: folders("src/"),
            files,
        }
    }

    /// Whether a word has the form of a path in this repository. Outside of backticks, only paths from the root count.
    pub fn is_path(&self, word: &str, is_span: bool) -> bool {
        if word.starts_with(['/', '.', '-', '$']) || word.contains(['=', ':', '<', '{', '"', '…'])
        {
            return false;
        }
        match word.split_once('/') {
            Some(("target", _)) => false,
            Some((top, _)) if self.tops.contains(top) => true,
            Some((top, _)) if self.rooms.contains(top) => is_span,
            _ => is_span && SOURCES.iter().any(|end| word.ends_with(end)),
        }
    }

    /// The files that a path leads to from the root, from `src/`, or from the document's folder.
    pub fn find(&self, path: &str, document: &Document) -> Vec<&str> {
        let beside = normal(&document.folder().join(path));
        let places = [path.to_owned(), format!("src/{path}"), beside];
        let is_at = |file: &str| places.iter().any(|place| leads_to(place, file));
        let files = self.files.iter().map(String::as_str);
        files.filter(|file| is_at(file)).collect()
    }

    /// Whether one of the files defines the item.
    pub fn defines(&self, files: &[&str], item: &str) -> bool {
        files.iter().any(|file| {
            let text = fs::read_to_string(root().join(file)).unwrap_or_default();
            DEFINITIONS
                .iter()
                .any(|word| has_word(&text, &[word, item].concat()))
        })
    }

    /// Whether it is a module of the program or of the tests.
    pub fn is_module(&self, name: &str) -> bool {
        !self.files_of_module(name).is_empty()
    }

    fn files_of_module(&self, name: &str) -> Vec<&str> {
        let (file, folder) = (format!("{name}.rs"), format!("{name}/"));
        let below = |path: &str| {
            ["src/", "tests/it/"].iter().any(|top| {
                path.strip_prefix(top)
                    .is_some_and(|rest| rest == file || rest.starts_with(&folder))
            })
        };
        self.files
            .iter()
            .map(String::as_str)
            .filter(|path| below(path))
            .collect()
    }

    /// Whether a module has an item, such as `Entry` or `heads::a_test`. An empty item is the module itself.
    pub fn module_has(&self, name: &str, item: &str) -> bool {
        let item = item.rsplit("::").next().unwrap_or(item);
        item.is_empty() || self.defines(&self.files_of_module(name), item)
    }
}

/// The path without `..`.
pub fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().filter_map(|part| part.to_str()) {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether the path is the file or a folder above it. `*` and the word NAME stand for any text.
fn leads_to(path: &str, file: &str) -> bool {
    let path = path.trim_end_matches('/').replace("NAME", "*");
    let (wanted, given) = (path.split('/'), file.split('/'));
    wanted.clone().count() <= given.clone().count()
        && wanted
            .zip(given)
            .all(|(wanted, given)| match wanted.split_once('*') {
                Some((before, after)) => given.starts_with(before) && given.ends_with(after),
                None => given == wanted,
            })
}

/// Whether the text has these words, and no longer word that begins or ends with them.
fn has_word(text: &str, words: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(words).any(|(at, _)| {
        let next = text[at + words.len()..].chars().next();
        !text[..at].ends_with(is_part) && !next.is_some_and(is_part)
    })
}
