//! A TOML table that is read key by key. A wrong value and an unknown key are problems with a file, a line and a
//! remedy; reading goes on, so that all of them are reported at once.

use std::{cell::RefCell, fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A problem of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescriptionProblem {
    /// The file, or the section of the configuration.
    pub file: String,
    /// The line, in a file.
    pub line: Option<usize>,
    /// The fact and the remedy.
    pub remedy: String,
}

/// The problems found so far, in one text.
pub(super) struct Findings<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
    /// Whether `text` is a file with lines that the operator knows.
    pub(super) has_lines: bool,
    problems: RefCell<Vec<DescriptionProblem>>,
    /// Problems that another one may be the cause of.
    derived: RefCell<Vec<DescriptionProblem>>,
}

/// A table, and its path in the file.
pub(super) struct Table<'t> {
    findings: &'t Findings<'t>,
    path: String,
    table: &'t DeTable<'t>,
    span: Range<usize>,
    known: RefCell<Vec<&'static str>>,
    missing: RefCell<Vec<(&'static str, String)>>,
}

/// A value, and its path in the file.
#[derive(Clone)]
pub(super) struct Item<'t> {
    findings: &'t Findings<'t>,
    path: String,
    /// The place of its key.
    key_at: usize,
    value: &'t Spanned<DeValue<'t>>,
}

/// Keys of the whole file that no other table has. A line below a `[table]` belongs to that table.
const TOP_LEVEL: [&str; 9] = [
    "format",
    "name",
    "title",
    "docs",
    "extends",
    "base_url",
    "account",
    "token",
    "keeps_answers",
];

// === impl DescriptionProblem ===

impl fmt::Display for DescriptionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.remedy),
            None => write!(f, "{}: {}", self.file, self.remedy),
        }
    }
}

// === impl Findings ===

impl<'t> Findings<'t> {
    pub(super) fn new(file: &'t str, text: &'t str, has_lines: bool) -> Self {
        Self {
            file,
            text,
            has_lines,
            problems: RefCell::default(),
            derived: RefCell::default(),
        }
    }

    /// Reports a problem that is a mistake of its own.
    pub(super) fn report(&self, at: usize, remedy: String) {
        let problem = self.problem(at, remedy);
        self.problems.borrow_mut().push(problem);
    }

    /// Reports a problem that counts if there is no other: a mistake must not be reported twice.
    fn report_derived(&self, at: usize, remedy: String) {
        let problem = self.problem(at, remedy);
        self.derived.borrow_mut().push(problem);
    }

    /// All problems, in the order of the file.
    pub(super) fn finish(self) -> Vec<DescriptionProblem> {
        let mut problems = self.problems.into_inner();
        if problems.is_empty() {
            problems = self.derived.into_inner();
        }
        problems.sort_by_key(|problem| problem.line);
        problems.dedup();
        problems
    }

    fn problem(&self, at: usize, remedy: String) -> DescriptionProblem {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        DescriptionProblem {
            file: self.file.to_owned(),
            line: self.has_lines.then_some(line),
            remedy,
        }
    }
}

// === impl Table ===

impl<'t> Table<'t> {
    pub(super) fn root(findings: &'t Findings<'t>, table: &'t Spanned<DeTable<'t>>) -> Self {
        Self {
            findings,
            path: String::new(),
            table: table.get_ref(),
            span: 0..0,
            known: RefCell::default(),
            missing: RefCell::default(),
        }
    }

    /// Whether the key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    pub(super) fn item(&self, key: &'static str) -> Option<Item<'t>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        drop(known);
        let value = self.table.get(key)?;
        Some(self.at(key, value))
    }

    /// All entries, in the order of the file.
    pub(super) fn entries(&self) -> Vec<(String, Item<'t>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter();
        entries
            .map(|(key, value)| (key.get_ref().to_string(), self.at(key.get_ref(), value)))
            .collect()
    }

    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        self.item(key)?.text()
    }

    /// Whether the value is this text; any other value may still be read as another type.
    pub(super) fn text_is(&self, key: &'static str, text: &str) -> bool {
        let value = self.table.get(key).map(Spanned::get_ref);
        matches!(value, Some(DeValue::String(written)) if written == text)
            && self.item(key).is_some()
    }

    /// A text that may not be left out. `None` was reported.
    pub(super) fn required(&self, key: &'static str, remedy: &str) -> Option<String> {
        if !self.has(key) {
            self.missing(key, remedy);
        }
        self.text(key)
    }

    /// Reports that a key is missing, unless an unknown key of this table is probably meant for it.
    pub(super) fn missing(&self, key: &'static str, remedy: &str) {
        let remedy = format!("{} is missing; {remedy}", self.below(key));
        self.missing.borrow_mut().push((key, remedy));
    }

    /// A text, or a list of texts.
    pub(super) fn texts(&self, key: &'static str) -> Vec<String> {
        let items = self.item(key).map(|item| item.items()).unwrap_or_default();
        items.into_iter().filter_map(|item| item.text()).collect()
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let item = self.item(key)?;
        match item.value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => item.wrong("true or false"),
        }
    }

    pub(super) fn number(&self, key: &'static str) -> Option<u64> {
        let item = self.item(key)?;
        item.number().or_else(|| item.wrong("a whole number"))
    }

    pub(super) fn table(&self, key: &'static str) -> Option<Table<'t>> {
        self.item(key)?.table()
    }

    /// A list of tables, `[[key]]`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Table<'t>> {
        let Some(item) = self.item(key) else {
            return Vec::new();
        };
        match item.value.get_ref() {
            DeValue::Array(_) => {
                let items = item.items().into_iter();
                items.filter_map(|item| item.table()).collect()
            }
            _ => item
                .wrong(&format!("a list; write [[{}]]", item.path))
                .unwrap_or_default(),
        }
    }

    /// Reports a problem of the table as a whole.
    pub(super) fn problem(&self, remedy: String) {
        self.findings.report(self.span.start, remedy);
    }

    /// Reports a problem of the table that counts if there is no other.
    pub(super) fn derived(&self, remedy: String) {
        self.findings.report_derived(self.span.start, remedy);
    }

    /// The table's path, for messages.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self) {
        let known = self.known.borrow().clone();
        let mut misspelt = Vec::new();
        let is_unknown = |key: &String| !self.known.borrow().contains(&key.as_str());
        let entries = self.entries().into_iter();
        let unknown: Vec<_> = entries.filter(|(key, _)| is_unknown(key)).collect();
        // Keys that are there are not meant by another one.
        let free = known.iter().copied().filter(|key| !self.has(key));
        let free: Vec<_> = free.collect();
        for (key, item) in unknown {
            let path = &item.path;
            let nearest = nearest(&key, &free);
            misspelt.extend(nearest);
            item.problem_at_key(match nearest {
                _ if TOP_LEVEL.contains(&key.as_str()) && !self.path.is_empty() => format!(
                    "unknown key {path}; {key} belongs to the whole file: write it above the first line in brackets"
                ),
                Some(near) => format!("unknown key {path}; did you mean {near}?"),
                None => format!("unknown key {path}; the keys here are {}", known.join(", ")),
            });
        }
        for (key, remedy) in self.missing.borrow().iter() {
            if !misspelt.contains(key) {
                self.problem(remedy.clone());
            }
        }
    }

    fn at(&self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Item<'t> {
        let written = self.table.get_key_value(key);
        Item {
            findings: self.findings,
            path: self.below(key),
            key_at: written.map_or(0, |(key, _)| key.span().start),
            value,
        }
    }

    fn below(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

// === impl Item ===

impl<'t> Item<'t> {
    pub(super) fn value(&self) -> &'t DeValue<'t> {
        self.value.get_ref()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn text(&self) -> Option<String> {
        match self.value() {
            DeValue::String(text) => Some(text.to_string()),
            _ => self.wrong("a text in quotes"),
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        match self.value() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<Table<'t>> {
        match self.value() {
            DeValue::Table(table) => Some(Table {
                findings: self.findings,
                path: self.path.clone(),
                table,
                span: self.value.span(),
                known: RefCell::default(),
                missing: RefCell::default(),
            }),
            _ => self.wrong("a table"),
        }
    }

    /// The items of a list, or the value itself.
    pub(super) fn items(&self) -> Vec<Item<'t>> {
        match self.value() {
            DeValue::Array(items) => {
                let items = items.iter();
                let item = |value| Item {
                    value,
                    ..self.clone()
                };
                items.map(item).collect()
            }
            _ => vec![self.clone()],
        }
    }

    pub(super) fn problem(&self, remedy: String) {
        self.findings.report(self.value.span().start, remedy);
    }

    /// Reports a problem of the item that counts if there is no other.
    pub(super) fn derived(&self, remedy: String) {
        let at = self.value.span().start;
        self.findings.report_derived(at, remedy);
    }

    /// Reports a problem at the key: the value of a table begins at its first line, but may go on elsewhere.
    fn problem_at_key(&self, remedy: String) {
        self.findings.report(self.key_at, remedy);
    }

    /// Reports that the value has another type.
    pub(super) fn wrong<T>(&self, wanted: &str) -> Option<T> {
        self.problem(format!(
            "{} is {}, not {wanted}",
            self.path,
            kind(self.value())
        ));
        None
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The known word that `word` was probably meant to be.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |other: &str| strsim::jaro_winkler(word, other);
    let nearest = known
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(nearest) > 0.8).then_some(*nearest)
}
