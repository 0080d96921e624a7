//! Circles of files that use each other.
//!
//! A file uses another if its code has a path to an item that the other file defines. A path through a re-export is a use of
//! the file that defines the item; the declaration of a module is no use. Tests do not count.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    iter::Peekable,
    str::FromStr,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree, token_stream::IntoIter};

use super::Source;

/// The largest circle that is no violation: a file and one that it was cut from.
const LARGEST: usize = 2;

/// The files that only put the modules together.
const EXEMPT: [&str; 2] = ["lib.rs", "main.rs"];

/// The keywords before the name of an item.
const ITEMS: [&str; 10] = [
    "const",
    "enum",
    "fn",
    "macro_rules",
    "mod",
    "static",
    "struct",
    "trait",
    "type",
    "union",
];

/// How many re-exports a path may go through.
const DEEPEST: usize = 16;

/// `crate::a::b` as `["a", "b"]`.
type ModulePath = Vec<String>;

/// A path as it is written, such as `["super", "Name"]`.
type ItemPath = Vec<String>;

/// Which names of which files a file uses.
type Uses = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Every circle of more than two files, with the uses that make it.
pub fn circles(sources: &[Source]) -> Vec<String> {
    let uses = uses(sources);
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for file in uses.keys() {
        if seen.contains(file) {
            continue;
        }
        let circle = circle_of(file, &uses);
        if circle.len() > LARGEST {
            found.push(description(&circle, &uses));
        }
        seen.extend(circle);
    }
    found
}

fn description(circle: &BTreeSet<String>, uses: &Uses) -> String {
    let mut lines = vec![format!(
        "{} files use each other in a circle; give what they share a file of its own:",
        circle.len()
    )];
    for file in circle {
        for (other, names) in &uses[file] {
            if circle.contains(other) {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                lines.push(format!("  {file} uses {other}: {}", names.join(", ")));
            }
        }
    }
    lines.join("\n")
}

/// The files that a file reaches and that reach it, itself included.
fn circle_of(file: &str, uses: &Uses) -> BTreeSet<String> {
    let mut circle: BTreeSet<String> = reached_from(file, uses)
        .into_iter()
        .filter(|other| reached_from(other, uses).contains(file))
        .collect();
    circle.insert(file.to_owned());
    circle
}

fn reached_from(file: &str, uses: &Uses) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut waiting = VecDeque::from([file]);
    while let Some(file) = waiting.pop_front() {
        for other in uses.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(other.clone()) {
                waiting.push_back(other);
            }
        }
    }
    reached
}

fn uses(sources: &[Source]) -> Uses {
    let modules = Modules::read(sources);
    let mut uses = Uses::new();
    for (path, module) in &modules.0 {
        let of_file = uses.entry(module.file.clone()).or_default();
        let imports = module.imports.iter().map(|import| &import.path);
        for used in imports.chain(&module.paths) {
            let Some(Found::Item(file)) = modules.resolve(path, used, DEEPEST) else {
                continue;
            };
            if file != module.file && !EXEMPT.contains(&file.as_str()) {
                of_file.entry(file).or_default().insert(used.join("::"));
            }
        }
    }
    uses
}

/// The modules of a crate by their paths.
struct Modules(BTreeMap<ModulePath, Module>);

#[derive(Default)]
struct Module {
    file: String,
    defined: BTreeSet<String>,
    imports: Vec<Import>,
    /// The modules of which all names are imported.
    globs: Vec<ItemPath>,
    /// The paths that the code has elsewhere.
    paths: Vec<ItemPath>,
}

struct Import {
    /// The name that the import gives to the item.
    name: String,
    path: ItemPath,
}

/// The thing that a path leads to.
enum Found {
    Module(ModulePath),
    /// An item, by the file that defines it.
    Item(String),
}

impl Modules {
    fn read(sources: &[Source]) -> Self {
        let mut modules = Self(BTreeMap::new());
        for source in sources {
            let tokens = TokenStream::from_str(&source.text)
                .unwrap_or_else(|error| panic!("{}: {error}", source.path));
            modules.add(module_path(&source.path), &source.path, tokens);
        }
        modules
    }

    /// Adds the module of a file, or one that is written out in a file.
    fn add(&mut self, path: ModulePath, file: &str, tokens: TokenStream) {
        let mut module = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        let mut inner = Vec::new();
        module.read(tokens, true, &mut inner);
        for (name, tokens) in inner {
            self.add([path.clone(), vec![name]].concat(), file, tokens);
        }
        self.0.insert(path, module);
    }

    /// The thing that a path in a module leads to; `None` if it is in another crate.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<Found> {
        let (first, mut rest) = path.split_first()?;
        let depth = depth.checked_sub(1)?;
        let mut found = match first.as_str() {
            "crate" => Found::Module(Vec::new()),
            "self" => Found::Module(module.to_vec()),
            "super" => Found::Module(module.split_last()?.1.to_vec()),
            name => self.named(module, name, rest.is_empty(), depth)?,
        };
        // The rest of a path after an item names parts of it, such as variants.
        while let (Found::Module(module), Some((name, names))) = (&found, rest.split_first()) {
            found = match name.as_str() {
                "self" => Found::Module(module.clone()),
                "super" => Found::Module(module.split_last()?.1.to_vec()),
                name => self.named(module, name, names.is_empty(), depth)?,
            };
            rest = names;
        }
        Some(found)
    }

    /// The thing that has a name in a module. A module and a function may share one: the function is at the end of a path.
    fn named(&self, path: &[String], name: &str, is_last: bool, depth: usize) -> Option<Found> {
        let module = self.0.get(path)?;
        let child = [path, &[name.to_owned()]].concat();
        let child = self.0.contains_key(&child).then_some(child);
        if let Some(child) = child.clone().filter(|_| !is_last) {
            return Some(Found::Module(child));
        }
        if module.defined.contains(name) {
            return Some(Found::Item(module.file.clone()));
        }
        let imports = module.imports.iter().filter(|import| import.name == name);
        let by_name = imports.map(|import| import.path.clone());
        let globs = module.globs.iter().cloned();
        let by_glob = globs.map(|glob| [glob, vec![name.to_owned()]].concat());
        by_name
            .chain(by_glob)
            .find_map(|import| self.resolve(path, &import, depth))
            .or_else(|| child.map(Found::Module))
    }
}

impl Module {
    /// Reads code: that of the module, or a group of tokens in it. Modules written out in it are put into `inner`.
    fn read(&mut self, tokens: TokenStream, is_top: bool, inner: &mut Vec<(String, TokenStream)>) {
        let mut tokens = tokens.into_iter().peekable();
        let mut path = ItemPath::new();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word) => {
                    let word = word.to_string();
                    if word == "use" {
                        let tree = until_semicolon(&mut tokens);
                        self.import(&mut Vec::new(), tree);
                        continue;
                    }
                    if is_top && ITEMS.contains(&word.as_str()) {
                        let Some(name) = item_name(&mut tokens) else {
                            continue;
                        };
                        if word != "mod" {
                            self.defined.insert(name);
                        } else if let Some(TokenTree::Group(body)) = tokens.next() {
                            inner.push((name, body.stream()));
                        }
                        continue;
                    }
                    path.push(word);
                    if take_colons(&mut tokens) {
                        continue;
                    }
                }
                TokenTree::Group(group) if is_test(&group) => skip_item(&mut tokens),
                TokenTree::Group(group) => self.read(group.stream(), false, inner),
                // The keyword `static` is not after this mark.
                TokenTree::Punct(mark) if mark.as_char() == '\'' => drop(tokens.next()),
                _ => {}
            }
            // One name alone is defined here or imported.
            if path.len() > 1 {
                self.paths.push(path);
            }
            path = ItemPath::new();
        }
    }

    /// Reads the tree of an import, such as `super::{Name, other::{self, Name as New}}`.
    fn import(&mut self, prefix: &mut ItemPath, tree: Vec<TokenTree>) {
        let mut path = prefix.clone();
        let mut name = None;
        let mut tokens = tree.into_iter();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    name = tokens.next().map(|token| token.to_string());
                }
                TokenTree::Ident(word) => path.push(word.to_string()),
                TokenTree::Punct(mark) if mark.as_char() == '*' => return self.globs.push(path),
                TokenTree::Group(group) => {
                    for tree in split_at_commas(group.stream()) {
                        self.import(&mut path, tree);
                    }
                    return;
                }
                _ => {}
            }
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if let Some(name) = name.or_else(|| path.last().cloned()) {
            self.imports.push(Import { name, path });
        }
    }
}

/// The path of a file's module.
fn module_path(file: &str) -> ModulePath {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

/// The name after the keyword of an item; `None` after one that is not the last, as in `const fn`.
fn item_name(tokens: &mut Peekable<IntoIter>) -> Option<String> {
    tokens.next_if(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == '!'));
    let is_name = |token: &TokenTree| match token {
        TokenTree::Ident(word) => !["fn", "unsafe", "extern"].contains(&&*word.to_string()),
        _ => false,
    };
    tokens.next_if(is_name).map(|token| token.to_string())
}

fn take_colons(tokens: &mut Peekable<IntoIter>) -> bool {
    let mut after = tokens.clone();
    let is_colon = |token| matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    let is_path = is_colon(after.next())
        && is_colon(after.next())
        && matches!(after.next(), Some(TokenTree::Ident(_)));
    if is_path {
        tokens.next();
        tokens.next();
    }
    is_path
}

fn until_semicolon(tokens: &mut Peekable<IntoIter>) -> Vec<TokenTree> {
    tokens
        .take_while(|token| !matches!(token, TokenTree::Punct(mark) if mark.as_char() == ';'))
        .collect()
}

fn split_at_commas(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut trees = vec![Vec::new()];
    for token in tokens {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == ',' => trees.push(Vec::new()),
            token => trees.last_mut().unwrap().push(token),
        }
    }
    trees.retain(|tree| !tree.is_empty());
    trees
}

/// Whether a group is the `[cfg(test)]` of an attribute.
fn is_test(group: &proc_macro2::Group) -> bool {
    group.delimiter() == Delimiter::Bracket
        && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// Skips the item after an attribute, up to its body or semicolon.
fn skip_item(tokens: &mut Peekable<IntoIter>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(mark) if [';', ','].contains(&mark.as_char()) => return,
            _ => {}
        }
    }
}

mod the_rule_can_fail {
    use super::*;

    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files.iter().map(|(path, text)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        });
        circles(&sources.collect::<Vec<_>>())
    }

    /// A module whose root has one item of its own and re-exports two others, each of which uses the third file.
    fn module(one: &str, two: &str) -> Vec<String> {
        circles_of(&[
            ("lib.rs", "mod module;"),
            (
                "module/mod.rs",
                "mod one; mod two; mod owner;\npub use one::One; pub use two::Two; pub use owner::Owner;\npub struct Root;",
            ),
            ("module/owner.rs", "pub struct Owner;"),
            ("module/one.rs", one),
            ("module/two.rs", two),
        ])
    }

    #[test]
    fn a_circle_of_three_files_is_found_however_it_is_written() {
        for back in [
            "use super::Root; pub struct Two;",
            "use crate::{module::{Owner, Root as R}}; pub struct Two;",
            "pub struct Two(super::Root);",
            "use crate::module; pub fn two() { drop(module::Root) } pub struct Two;",
            "pub struct Two; impl super::Root { fn new() {} }",
            "pub struct Two; fn f() { assert!(matches!(x, crate::module::Root)); }",
            "#[derive(A)] #[a(schema(super::Root))] pub struct Two;",
        ] {
            let found = module("use super::Two; pub struct One;", back);
            assert_eq!(found.len(), 1, "{back}: {found:?}");
            for line in [
                "3 files",
                "module/mod.rs uses module/one.rs: one::One",
                "module/one.rs uses module/two.rs: super::Two",
                "module/two.rs uses module/mod.rs: ",
            ] {
                assert!(found[0].contains(line), "{back}: {found:?}");
            }
        }
    }

    #[test]
    fn two_files_may_use_each_other() {
        let found = module("use super::Root; pub struct One;", "pub struct Two;");
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_re_export_is_a_use_of_the_file_that_defines_the_item() {
        let found = module(
            "use super::Owner; pub struct One;",
            "use super::{Owner, One}; pub struct Two;",
        );
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn tests_and_other_crates_make_no_circle() {
        let found = module(
            "use super::Two; pub struct One;",
            "use http::Root; pub struct Two(&'static str);\n#[cfg(test)]\nmod tests { use super::super::Root; }\n#[cfg(test)]\nuse super::One;",
        );
        assert!(found.is_empty(), "{found:?}");
    }
}
