//! The links, code spans and headings of a Markdown document, as the rules read them.

use std::{collections::BTreeSet, fs, path::Path};

use super::root;
use crate::support::docs;

pub struct Document {
    /// The path below the repository's root.
    pub path: String,
    pub text: String,
}

impl Document {
    pub fn folder(&self) -> &Path {
        Path::new(&self.path).parent().unwrap()
    }

    /// The lines outside of code blocks, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines()
            .filter_map(|(line, text, is_code)| (!is_code).then_some((line, text)))
    }

    /// Each line with its number, and whether it is in a code block. Lines that open or close a block are left out.
    fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let mut is_code = false;
        self.text
            .lines()
            .enumerate()
            .filter_map(move |(index, line)| {
                if line.trim_start().starts_with("```") {
                    is_code = !is_code;
                    return None;
                }
                Some((index + 1, line, is_code))
            })
    }

    /// The targets of links and images.
    pub fn links(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose().flat_map(|(line, text)| {
            text.match_indices("](").filter_map(move |(at, _)| {
                let target = &text[at + 2..];
                Some((line, &target[..target.find(')')?]))
            })
        })
    }

    /// The texts between backticks.
    pub fn spans(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose().flat_map(|(line, text)| {
            let inside = text.split('`').enumerate();
            inside.filter_map(move |(index, span)| (index % 2 == 1).then_some((line, span)))
        })
    }

    /// The lines of code blocks, without the comments of a shell.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines()
            .filter(|(_, _, is_code)| *is_code)
            .map(|(line, text, _)| (line, text.split(" #").next().unwrap_or_default().trim()))
    }

    /// The anchors of the headings, as GitHub makes them: in lower case, with hyphens for spaces.
    pub fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().filter(|(_, text)| text.starts_with('#'));
        headings
            .map(|(_, text)| {
                let kept = text
                    .trim_start_matches('#')
                    .trim()
                    .to_lowercase()
                    .replace(' ', "-");
                kept.chars()
                    .filter(|c| c.is_alphanumeric() || "-_".contains(*c))
                    .collect()
            })
            .collect()
    }
}

pub fn documents() -> Vec<Document> {
    let files = docs::tracked_files().into_iter();
    let found: Vec<_> = files
        .filter(|path| path.ends_with(".md"))
        .map(|path| Document {
            text: fs::read_to_string(root().join(&path)).unwrap(),
            path,
        })
        .collect();
    assert!(!found.is_empty(), "no document is found");
    found
}
