//! The files of this repository, as the rules read them.

use std::{fs, path::Path};

use crate::support::docs;

pub struct Source {
    /// The path below `src/`, `tests/` or `benches/`, or of [`tracked`] files below the root.
    pub path: String,
    pub text: String,
}

impl Source {
    /// The code, without tests, comments and doc comments, with line numbers.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self
            .text
            .find("#[cfg(test)]\nmod tests")
            .unwrap_or(self.text.len());
        self.text[..end]
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    pub fn module(&self) -> &str {
        let module = self.path.split('/').next().unwrap();
        module.strip_suffix(".rs").unwrap_or(module)
    }
}

pub fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let Ok(items) = fs::read_dir(&folder) else {
            continue;
        };
        for path in items.map(|item| item.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap();
                found.push(Source {
                    path: path.to_str().unwrap().to_owned(),
                    text,
                });
            }
        }
    }
    assert!(
        !found.is_empty() || folder == "benches",
        "no source under {folder}"
    );
    found
}

pub fn everything() -> Vec<Source> {
    ["src", "tests", "benches"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

/// The text files under version control whose path is wanted.
pub fn tracked(is_wanted: impl Fn(&str) -> bool) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = docs::tracked_files().into_iter();
    paths
        .filter(|path| is_wanted(path))
        .filter_map(|path| {
            let text = fs::read_to_string(root.join(&path)).ok()?;
            Some(Source { path, text })
        })
        .collect()
}

#[track_caller]
pub fn assert_none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}
