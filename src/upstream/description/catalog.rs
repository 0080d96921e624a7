//! The descriptions that can be used: the operator's, and those in this program.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Description,
    parse::{Source, load},
    shipped::{self, PUSH, PUSH_TEXT, SHIPPED},
    table::{DescriptionProblem, nearest},
};

/// The operator's descriptions by name, over the shipped ones.
#[derive(Clone, Debug, Default)]
pub struct Catalog(BTreeMap<String, Text>);

/// The text of an operator's description.
#[derive(Clone, Debug)]
struct Text {
    file: String,
    text: String,
    has_lines: bool,
}

// === impl Catalog ===

impl Catalog {
    /// Adds the text of a description. `has_lines` says that `file` is a file with this text.
    pub fn add(&mut self, name: &str, file: &str, text: String, has_lines: bool) {
        let text = Text {
            file: file.to_owned(),
            text,
            has_lines,
        };
        self.0.insert(name.to_owned(), text);
    }

    /// All names: the operator's, then the shipped ones that they do not replace.
    pub fn names(&self) -> Vec<&str> {
        let own = self.0.keys().map(String::as_str);
        let shipped = SHIPPED.iter().map(|(name, _)| *name);
        let shipped = shipped.chain([PUSH]);
        own.chain(shipped.filter(|name| !self.0.contains_key(*name)))
            .collect()
    }

    /// The text of a description, as it was written.
    pub fn text(&self, name: &str) -> Option<&str> {
        let own = self.0.get(name).map(|text| text.text.as_str());
        own.or_else(|| {
            if name == PUSH {
                return Some(PUSH_TEXT);
            }
            let mut shipped = SHIPPED.iter();
            shipped
                .find(|(known, _)| *known == name)
                .map(|(_, text)| *text)
        })
    }

    /// Whether a description is the operator's.
    pub fn is_own(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Loads the description of this name; the outer `None` if there is none.
    pub fn load(&self, name: &str) -> Option<Result<Arc<Description>, Vec<DescriptionProblem>>> {
        self.load_after(name, &[])
    }

    /// The known name that is most similar.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, &self.names())
    }

    /// Loads a description that those in `chain` extend. One of the operator's may extend the shipped one that it
    /// replaces.
    fn load_after(
        &self,
        name: &str,
        chain: &[&str],
    ) -> Option<Result<Arc<Description>, Vec<DescriptionProblem>>> {
        let own = self.0.get(name).filter(|_| !chain.contains(&name));
        let Some(own) = own else {
            return match name {
                PUSH => Some(Ok(Arc::new(shipped::push()))),
                _ => shipped::shipped(name).map(Ok),
            };
        };
        let source = Source {
            file: &own.file,
            text: &own.text,
            has_lines: own.has_lines,
            name: Some(name),
        };
        let chain: Vec<_> = chain.iter().copied().chain([name]).collect();
        let loaded = load(source, |base| self.load_after(base, &chain)?.ok());
        Some(loaded.map(|mut description| {
            description.is_shipped = false;
            Arc::new(description)
        }))
    }
}
