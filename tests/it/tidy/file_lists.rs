//! The rule that a larger module lists its files, each with its purpose, in the documentation of its `mod.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::Source;

/// The number of files, `mod.rs` included, from which on a module has a list.
const LARGE: usize = 8;

/// The start of a line of a list: `` //! * `name`: purpose ``, or `` `name/` `` for a folder.
const BULLET: &str = "//! * `";

/// The files that are missing in the list of their module, and the listed ones that do not exist.
pub fn wrong_lists(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (folder, files) in modules(sources) {
        let path = format!("{folder}/mod.rs");
        let Some(source) = sources.iter().find(|source| source.path == path) else {
            continue;
        };
        let listed = listed(&source.text);
        let unique: BTreeSet<_> = listed.iter().map(String::as_str).collect();
        let files: BTreeSet<_> = files.iter().map(String::as_str).collect();
        if files.len() + 1 < LARGE {
            continue;
        }
        for file in files.difference(&unique) {
            wrong.push(format!(
                "src/{path}: list `{file}` as //! * `{file}`: and its purpose"
            ));
        }
        for file in unique.difference(&files) {
            wrong.push(format!(
                "src/{path}: `{file}` is listed and there is no such file"
            ));
        }
        if listed.len() > unique.len() {
            wrong.push(format!("src/{path}: a file is listed twice"));
        }
    }
    wrong
}

/// The files of each folder by the names of their modules; a folder with a `mod.rs` of its own ends in a slash.
fn modules(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let mut modules: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for source in sources {
        let mut path = source.path.as_str();
        let mut ending = "";
        if let Some(folder) = path.strip_suffix("/mod.rs") {
            (path, ending) = (folder, "/");
        }
        if let Some((folder, name)) = path.rsplit_once('/') {
            let name = name.strip_suffix(".rs").unwrap_or(name);
            let files = modules.entry(folder.to_owned()).or_default();
            files.push(format!("{name}{ending}"));
        }
    }
    modules
}

/// The names in the list of a module.
fn listed(text: &str) -> Vec<String> {
    let bullets = text.lines().filter_map(|line| line.strip_prefix(BULLET));
    bullets
        .filter_map(|bullet| bullet.split_once("`: "))
        .map(|(name, _)| name.to_owned())
        .collect()
}

mod the_rules_can_fail {
    use super::*;

    fn module(list: &str) -> Vec<Source> {
        let file = |path: &str, text: &str| Source {
            path: path.into(),
            text: text.into(),
        };
        let mut sources = vec![
            file("room/mod.rs", &format!("//! A room.\n{list}")),
            file("room/inner/mod.rs", "//! x"),
            file("room/inner/part.rs", "//! x"),
        ];
        sources.extend(
            ["a", "b", "c", "d", "e", "f"].map(|name| file(&format!("room/{name}.rs"), "//! x")),
        );
        sources
    }

    #[test]
    fn on_a_file_that_is_missing_unknown_or_listed_twice() {
        let whole = ["a", "b", "c", "d", "e", "f", "inner/"];
        let list = |names: &[&str]| -> String {
            let lines = names.iter().map(|name| format!("{BULLET}{name}`: x\n"));
            lines.collect()
        };
        assert_eq!(wrong_lists(&module(&list(&whole))), Vec::<String>::new());
        assert_eq!(wrong_lists(&module(&list(&whole[1..]))).len(), 1);
        assert_eq!(wrong_lists(&module("")).len(), whole.len());
        let twice = list(&whole) + &list(&["a"]);
        assert_eq!(wrong_lists(&module(&twice)).len(), 1);
        let unknown = list(&whole) + &list(&["g"]);
        assert_eq!(wrong_lists(&module(&unknown)).len(), 1);
    }

    #[test]
    fn not_on_a_small_module() {
        let sources: Vec<_> = module("").into_iter().take(5).collect();
        assert_eq!(wrong_lists(&sources), Vec::<String>::new());
    }
}
