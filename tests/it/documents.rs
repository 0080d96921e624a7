//! What the documents name exists: files and anchors behind links, paths, functions and tests, commands, and keys of the
//! configuration; and each page says who it is for. Each failure names the place.

mod markdown;
mod tree;

use std::{collections::BTreeSet, fs, path::Path};

use faceplate::config::SECTIONS;
use markdown::{Document, documents};
use tree::{Tree, normal};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Applies a rule to each document. Panics with all that it finds.
#[track_caller]
fn check(rule: impl Fn(&Document) -> Vec<(usize, String)>) {
    let mut wrong = Vec::new();
    for document in documents() {
        let found = rule(&document).into_iter();
        wrong.extend(found.map(|(line, text)| format!("{}:{line}: {text}", document.path)));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn links_in_documents_lead_to_files_and_headings() {
    let all = documents();
    check(|document| broken_links(document, &all));
}

fn broken_links(document: &Document, all: &[Document]) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    for (line, link) in document.links().filter(|(_, link)| !link.contains("://")) {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = match file {
            "" => document.path.clone(),
            file => normal(&document.folder().join(file)),
        };
        let has_anchor =
            |other: &Document| other.path == target && other.anchors().contains(anchor);
        if !root().join(&target).exists() {
            broken.push((line, format!("{link}: there is no such file")));
        } else if !anchor.is_empty() && !all.iter().any(has_anchor) {
            broken.push((line, format!("{link}: there is no such heading")));
        }
    }
    broken
}

#[test]
fn each_page_opens_with_who_it_is_for() {
    check(|document| match document.path.starts_with("docs/") {
        true => without_readers(document),
        false => Vec::new(),
    });
}

/// The first line below the heading, unless it says who the page is for.
fn without_readers(document: &Document) -> Vec<(usize, String)> {
    let mut lines = (1..).zip(document.text.lines());
    let below = lines.find(|(line, text)| *line > 1 && !text.is_empty());
    match below {
        Some((_, text)) if text.starts_with("For ") => Vec::new(),
        Some((line, text)) => vec![(line, format!("{text}: it does not begin with `For …`"))],
        None => vec![(1, "it is empty".to_owned())],
    }
}

#[test]
fn paths_functions_and_tests_that_documents_name_exist() {
    let tree = Tree::read();
    check(|document| missing_names(document, &tree));
}

fn missing_names(document: &Document, tree: &Tree) -> Vec<(usize, String)> {
    let spans = document.spans().map(|(line, span)| (line, span, true));
    let code = document.code().map(|(line, code)| (line, code, false));
    let mut missing = Vec::new();
    for (line, text, is_span) in spans.chain(code) {
        for word in text.split_whitespace() {
            let word = word.trim_matches(|c| ",;()".contains(c));
            let is_there = match word.split_once("::") {
                None => !tree.is_path(word, is_span) || !tree.find(word, document).is_empty(),
                Some((path, item)) if path.ends_with(".rs") => {
                    tree.defines(&tree.find(path, document), item)
                }
                Some((room, item)) if tree.is_module(room) => tree.module_has(room, item),
                Some(_) => true,
            };
            if !is_there {
                missing.push((line, format!("{word}: it is not in the repository")));
            }
        }
    }
    missing
}

#[test]
fn commands_in_documents_are_commands_of_the_program_or_of_make() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    check(|document| unknown_commands(document, &makefile));
}

/// The unknown commands and options among `make TARGET`, `faceplate COMMAND --option` and `cargo test --test NAME`.
fn unknown_commands(document: &Document, makefile: &str) -> Vec<(usize, String)> {
    let mut unknown = Vec::new();
    for (line, text) in document.spans().chain(document.code()) {
        let words: Vec<_> = text.split_whitespace().collect();
        let wrong = match words.as_slice() {
            ["make", targets @ ..] => unknown_targets(targets, makefile),
            ["cargo", "test" | "bench", options @ ..] => unknown_programs(options),
            [program, words @ ..] if program.rsplit('/').next() == Some("faceplate") => {
                unknown_words(words)
            }
            _ => Vec::new(),
        };
        unknown.extend(
            wrong
                .iter()
                .map(|word| (line, format!("{text}: there is no {word}"))),
        );
    }
    unknown
}

fn unknown_targets<'a>(targets: &[&'a str], makefile: &str) -> Vec<&'a str> {
    let is_target = |name: &str| {
        makefile
            .lines()
            .any(|line| line.starts_with(&format!("{name}:")))
    };
    targets
        .iter()
        .copied()
        .filter(|name| !is_target(name))
        .collect()
}

/// The programs of `--test` and `--bench` that do not exist.
fn unknown_programs<'a>(options: &[&'a str]) -> Vec<&'a str> {
    let is_program = |option: &str, name: &str| match option {
        "--test" => ["tests/NAME.rs", "tests/NAME/main.rs"]
            .iter()
            .any(|path| root().join(path.replace("NAME", name)).exists()),
        "--bench" => root().join(format!("benches/{name}.rs")).exists(),
        _ => true,
    };
    let pairs = options
        .windows(2)
        .filter(|pair| !is_program(pair[0], pair[1]));
    pairs.map(|pair| pair[1]).collect()
}

/// The subcommands and options that the program does not have.
fn unknown_words<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut root = faceplate::cli::command();
    // Gives each subcommand the options that all have.
    root.build();
    let mut command = &root;
    let mut unknown = Vec::new();
    for word in words
        .iter()
        .take_while(|word| !["&&", "|", ">", ";"].contains(word))
    {
        if let Some(option) = word.strip_prefix("--") {
            let name = option.split('=').next();
            let is_known = command
                .get_arguments()
                .any(|argument| argument.get_long() == name)
                || name == Some("help");
            if !is_known {
                unknown.push(*word);
            }
        } else if let Some(found) = command.find_subcommand(word) {
            command = found;
        } else if command.has_subcommands() && word.bytes().all(|byte| byte.is_ascii_lowercase()) {
            unknown.push(*word);
        }
    }
    unknown
}

#[test]
fn keys_of_the_configuration_that_documents_name_exist() {
    let keys = known_keys();
    check(|document| unknown_keys(document, &keys));
}

/// The paths of all keys and sections, such as `cache.negative.empty`. An instance or provider is named NAME.
fn known_keys() -> BTreeSet<String> {
    // A provider's table is a description, and `params` has the names of one: neither has keys of the configuration.
    let mut known = BTreeSet::from(["providers.NAME", "instances.NAME.params"].map(str::to_owned));
    for (path, key) in SECTIONS.all_keys() {
        let (section, _) = path.rsplit_once('.').unwrap_or(("", &path));
        known.extend(key.old_name.map(|old| format!("{section}.{old}")));
        known.extend(path.match_indices('.').map(|(at, _)| path[..at].to_owned()));
        known.insert(path);
    }
    known
}

fn unknown_keys(document: &Document, known: &BTreeSet<String>) -> Vec<(usize, String)> {
    let is_section = |name: &str| {
        known
            .iter()
            .any(|path| path.split('.').next() == Some(name))
    };
    let mut unknown = Vec::new();
    for (line, text) in document.spans().chain(document.code()) {
        for word in text.split_whitespace() {
            if let Some(path) = key_of(word)
                && let Some((section, _)) = path.split_once('.')
                && is_section(section)
                && !known.contains(&path)
            {
                unknown.push((line, format!("{word}: there is no key {path}")));
            }
        }
    }
    unknown
}

/// The path of the key that a word names: `cache.ttl`, `[instances.sales]`, or `FACEPLATE_CACHE__TTL=12h`.
fn key_of(word: &str) -> Option<String> {
    let word = word.split('=').next()?.trim_matches(['[', ']', ',']);
    let path = match word.strip_prefix("FACEPLATE_") {
        Some(name) if name.contains("__") => name.to_lowercase().replace("__", "."),
        Some(_) => return None,
        None => word.to_owned(),
    };
    let mut parts: Vec<_> = path.split('.').collect();
    let are_names = parts.iter().all(|part| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
    });
    match parts.as_mut_slice() {
        ["instances", name, ..] => *name = "NAME",
        ["providers", name] if *name != "dir" => *name = "NAME",
        _ => {}
    }
    (are_names && path != "section.key").then(|| parts.join("."))
}

mod the_rules_can_fail {
    use super::*;

    fn document(text: &str) -> Document {
        Document {
            path: "docs/page.md".into(),
            text: text.into(),
        }
    }

    #[test]
    fn on_a_link_to_a_file_or_a_heading_that_is_not_there() {
        let broken =
            |text: &str| broken_links(&document(text), &[document("# A heading, *here*")]).len();
        for text in [
            "[a](none.md)",
            "[a](../docs/none.png)",
            "![a](README.md#heading)",
            "[a](#heading)",
        ] {
            let page = format!("# A heading\n{text}");
            assert_eq!(broken(&page), 1, "{text}");
        }
        for text in [
            "[a](../README.md)",
            "[a](https://example.org/none)",
            "```\n[a](none.md)\n```",
        ] {
            assert_eq!(broken(text), 0, "{text}");
        }
    }

    #[test]
    fn on_a_page_that_does_not_say_who_it_is_for() {
        let wrong = |text: &str| without_readers(&document(text)).len();
        for text in ["", "# A page\n", "# A page\n\nWritten by a test.\n"] {
            assert_eq!(wrong(text), 1, "{text}");
        }
        assert_eq!(wrong("# A page\n\nFor operators. More.\n"), 0);
    }

    #[test]
    fn on_a_path_an_item_or_a_test_that_is_not_there() {
        let missing = |text: &str| missing_names(&document(text), &Tree::read());
        for text in [
            "`store/none.rs`",
            "`src/none/`",
            "`none.rs`",
            "`tests/it/none.rs`",
            "`avatar/decide.rs::none`",
            "`avatar::None`",
            "`documents::none`",
            "`none/NAME.md`",
            "```\ncp deploy/none /etc\n```",
        ] {
            assert_eq!(missing(text).len(), 1, "{text}");
        }
        for text in [
            "`store/mod.rs`",
            "`store/`",
            "`docs/benchmarks*.md`",
            "`src/upstream/descriptions/NAME.toml`",
            "`avatar/decide.rs::decide`",
            "`avatar::Entry`",
            "`documents::the_rules_can_fail`",
            "`/var/none.toml`",
            "store/none.rs",
        ] {
            assert_eq!(missing(text), [], "{text}");
        }
    }

    #[test]
    fn on_a_command_that_is_not_there() {
        let unknown = |text: &str| unknown_commands(&document(text), "test: build\n").len();
        for text in [
            "`make none`",
            "`faceplate none`",
            "`faceplate cache none`",
            "`faceplate cache list --none`",
            "`cargo test --test none`",
            "```sh\ntarget/release/faceplate none   # a comment\n```",
        ] {
            assert_eq!(unknown(text), 1, "{text}");
        }
        for text in [
            "`make test`",
            "`faceplate sign sales 628123@c.us`",
            "`faceplate cache list --config x`",
            "`cargo test --test it x::`",
        ] {
            assert_eq!(unknown(text), 0, "{text}");
        }
    }

    #[test]
    fn on_a_key_that_is_not_there() {
        let unknown = |text: &str| unknown_keys(&document(text), &known_keys()).len();
        for text in [
            "`cache.none`",
            "`[cache.none]`",
            "`instances.sales.none = 1`",
            "`FACEPLATE_CACHE__NONE=1`",
        ] {
            assert_eq!(unknown(text), 1, "{text}");
        }
        for text in [
            "`cache.ttl`",
            "`[instances.sales]`",
            "`cache.negative.empty`",
            "`FACEPLATE_INSTANCES__SALES__TOKEN`",
            "`engine.event`",
        ] {
            assert_eq!(unknown(text), 0, "{text}");
        }
    }
}
