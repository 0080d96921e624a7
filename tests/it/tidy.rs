//! The style rules that a machine can check. Each failure names the place and the remedy.

mod circles;
mod file_lists;
mod prose;
mod source;
mod unfinished;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use faceplate::config::SECTIONS;
use source::{Source, assert_none, everything, sources, tracked};

/// The top-level modules and their floors. A module may use modules on lower floors, and itself.
const FLOORS: [(&str, u8); 27] = [
    ("clock", 0),
    ("hex", 0),
    ("sync", 0),
    ("telemetry", 1),
    ("avatar", 1),
    ("in_flight", 1),
    ("store", 2),
    ("upstream", 2),
    ("limits", 2),
    ("images", 2),
    ("server", 2),
    ("fleet", 3),
    ("pipeline", 4),
    ("http", 4),
    ("representation", 5),
    ("public", 6),
    ("compat", 6),
    ("admin", 6),
    ("hooks", 6),
    ("pass_through", 6),
    ("front", 7),
    ("config", 8),
    ("emulator", 8),
    ("app", 9),
    ("fuzz", 9),
    ("cli", 10),
    ("main", 11),
];

/// Names that only some files may use, and the reasons.
const OWNERS: [(&str, &[&str], &str); 8] = [
    (
        "cacache::",
        &["store/cacache_adapter.rs"],
        "the crate and its pitfalls are known to one file",
    ),
    ("governor::", &["limits/"], "budgets are kept in limits/"),
    (
        "std::env",
        &["config/", "cli/"],
        "the environment is the operator's word, and read in config/",
    ),
    (
        "hickory_resolver",
        &["upstream/resolver.rs", "telemetry/log.rs"],
        "names are resolved in one place",
    ),
    (
        "client::legacy",
        &["upstream/client.rs", "upstream/dial.rs"],
        "one outbound client, behind the guard",
    ),
    (
        "SystemTime::now",
        &["clock.rs"],
        "time is injected: take a Clock",
    ),
    (
        "TcpStream::connect",
        &[
            "upstream/dial.rs",
            "cli/admin_client.rs",
            "emulator/webhooks.rs",
        ],
        "only guarded addresses are dialed",
    ),
    ("println!", &["cli/"], "a library reports through tracing"),
];

/// Names that some modules must not use, and the reasons.
const STRANGERS: [(&str, &[&str], &str); 3] = [
    (
        "hyper",
        &["store/", "avatar/", "limits/", "images/"],
        "these modules know nothing of HTTP",
    ),
    (
        "http::",
        &["store/", "avatar/", "limits/", "images/"],
        "these modules know nothing of HTTP",
    ),
    (
        "Instant::now",
        &["store/", "avatar/", "limits/", "images/"],
        "these modules get the time as an argument",
    ),
];

/// The longest file, without its tests.
const LONGEST: usize = 450;

fn floor(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

/// The modules that a text names after `crate::`, grouped imports included.
fn named_modules(text: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => modules.extend(first_names(group)),
            None => modules.extend(name_at(rest)),
        }
    }
    modules
}

/// The first name of each path in a group such as `avatar::{Key, Jid}, clock::Clock}`.
fn first_names(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut is_start) = (Vec::new(), 0, true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_start = true,
            _ if is_start && depth == 0 && !character.is_whitespace() => {
                names.extend(name_at(&group[at..]));
                is_start = false;
            }
            _ => {}
        }
    }
    names
}

fn name_at(text: &str) -> Option<String> {
    let end = text
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(text.len());
    // Macros and items at the root of the crate are no modules.
    (end > 0).then(|| text[..end].to_owned())
}

fn layer_violations(source: &Source) -> Vec<String> {
    let text: String = source.code().flat_map(|(_, line)| [line, "\n"]).collect();
    let module = source.module();
    if module == "lib" {
        return Vec::new();
    }
    let Some(own) = floor(module) else {
        return vec![format!(
            "src/{}: the module {module} has no floor; put it on one in tests/it/tidy.rs",
            source.path
        )];
    };
    named_modules(&text)
        .into_iter()
        .filter(|other| other != module)
        .filter_map(|other| match floor(&other) {
            Some(floor) if floor < own => None,
            _ => Some(format!("src/{}: {module} (floor {own}) uses {other}; use lower floors only, or move what is shared down", source.path)),
        })
        .collect()
}

#[test]
fn modules_use_only_modules_on_lower_floors() {
    assert_none(sources("src").iter().flat_map(layer_violations).collect());
}

#[test]
fn no_more_than_two_files_use_each_other_in_a_circle() {
    assert_none(circles::circles(&sources("src")));
}

#[test]
fn modules_of_eight_files_or_more_list_each_file() {
    assert_none(file_lists::wrong_lists(&sources("src")));
}

#[test]
fn the_tables_of_modules_have_each_module_on_its_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (file, names) in [
        ("ARCHITECTURE.md", ["`NAME/`", "`NAME.rs`"]),
        ("src/lib.rs", ["[`NAME`]", "[`NAME`]"]),
    ] {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let is_row = |line: &str, module: &str, floor: u8| {
            line.contains(&format!("| {floor} | "))
                && names
                    .iter()
                    .any(|name| line.contains(&name.replace("NAME", module)))
        };
        // The program's entry and the fuzz targets are no part of the library.
        let modules = FLOORS
            .iter()
            .filter(|(module, _)| !["main", "fuzz"].contains(module));
        for (module, floor) in modules {
            if !text.lines().any(|line| is_row(line, module, *floor)) {
                missing.push(format!("{file}: no row has {module} on floor {floor}"));
            }
        }
    }
    assert_none(missing);
}

#[test]
fn comments_name_their_nouns() {
    assert_none(prose::vague(&everything()));
}

#[test]
fn no_type_or_function_has_a_former_name() {
    let sources = sources("src");
    assert_none(sources.iter().flat_map(prose::former_names).collect());
}

#[test]
fn the_emulator_shares_no_parser_with_the_proxy() {
    let shared = sources("src").into_iter().filter(|source| {
        source.module() == "emulator" && source.code().any(|(_, line)| line.contains("upstream"))
    });
    assert_none(
        shared
            .map(|source| {
                format!(
                    "src/{}: a mock that shares the parser agrees with the bug",
                    source.path
                )
            })
            .collect(),
    );
}

#[test]
fn every_file_opens_with_a_module_doc() {
    let silent = everything()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"));
    assert_none(
        silent
            .map(|source| format!("{}: open it with a //! sentence", source.path))
            .collect(),
    );
}

#[test]
fn no_file_is_longer_than_450_lines_without_tests() {
    let long = sources("src").into_iter().filter_map(|source| {
        let lines = source.code().last().map_or(0, |(line, _)| line);
        (lines > LONGEST).then(|| {
            format!(
                "src/{}: {lines} lines without tests; cut it by idea (at most {LONGEST})",
                source.path
            )
        })
    });
    assert_none(long.collect());
}

#[test]
fn no_unfinished_work_is_left() {
    let files = unfinished::written_files();
    assert_none(files.iter().flat_map(unfinished::unfinished).collect());
}

#[test]
fn names_with_one_owner_are_used_nowhere_else() {
    let mut strays = Vec::new();
    for source in sources("src")
        .iter()
        .filter(|source| source.path != "lib.rs")
    {
        for (line, text) in source.code() {
            for (name, owners, why) in OWNERS {
                if text.contains(name) && !owners.iter().any(|owner| source.path.starts_with(owner))
                {
                    strays.push(format!(
                        "src/{}:{line}: {name} belongs to {owners:?}: {why}",
                        source.path
                    ));
                }
            }
        }
    }
    assert_none(strays);
}

#[test]
fn lower_modules_do_not_use_http_or_the_system_s_clock() {
    let mut known = Vec::new();
    for source in sources("src") {
        for (line, text) in source.code() {
            for (name, modules, why) in STRANGERS {
                if text.contains(name)
                    && modules.iter().any(|module| source.path.starts_with(module))
                {
                    known.push(format!("src/{}:{line}: {name}: {why}", source.path));
                }
            }
        }
    }
    assert_none(known);
}

#[test]
fn the_sample_configuration_has_every_key_with_its_default_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = fs::read_to_string(root.join("config/faceplate.toml")).unwrap();
    let (sample, commented) = (tables(&sample, false), tables(&sample, true));
    let keys: BTreeMap<_, _> = SECTIONS.all_keys().into_iter().collect();
    let mut wrong = Vec::new();
    for (path, key) in &keys {
        let default = key.default_toml().filter(|text| text != "[]");
        match (commented.get(path), default) {
            (None, _) if !sample.contains_key(path) => wrong.push(format!("{path} is missing")),
            (Some(shown), Some(default)) if *shown != default => {
                wrong.push(format!("{path} shows {shown}; the default is {default}"));
            }
            _ => {}
        }
    }
    for path in sample.keys().chain(commented.keys()) {
        if !keys.contains_key(path) {
            wrong.push(format!("{path} is not a key"));
        }
    }
    let wrong = wrong.into_iter();
    assert_none(
        wrong
            .map(|words| format!("config/faceplate.toml: {words}"))
            .collect(),
    );
}

/// The keys of the sample with their values: those that are set, or those that are commented out.
fn tables(sample: &str, are_commented: bool) -> BTreeMap<String, String> {
    let is_key = |line: &str| {
        let key = line.split_once(" = ").map(|(key, _)| key);
        key.is_some_and(|key| {
            key.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
    };
    let lines = sample
        .lines()
        .filter_map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_key(rest) || rest.starts_with('[') => are_commented.then_some(rest),
            _ if is_key(line) => (!are_commented).then_some(line),
            _ => Some(line),
        });
    let text: Vec<_> = lines.collect();
    let table: toml::Table = text.join("\n").parse().unwrap();
    let mut found = BTreeMap::new();
    flatten("", &table, &mut found);
    found
}

fn flatten(path: &str, table: &toml::Table, found: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let name = if path == "instances" { "NAME" } else { name };
        let path = [path, name].join(".");
        let path = path.trim_start_matches('.');
        match value {
            toml::Value::Table(table) => flatten(path, table, found),
            value => {
                found.insert(path.to_owned(), value.to_string());
            }
        }
    }
}

#[test]
fn no_path_of_a_developer_s_machine_is_in_the_tree() {
    // Put together here, so that this file does not find itself.
    let needles = [
        ["/wo", "rk/"].concat(),
        ["/ho", "me/"].concat(),
        ["/fa", "rm"].concat(),
    ];
    let mut found = Vec::new();
    for source in tracked(|_| true) {
        for (index, line) in source.text.lines().enumerate() {
            if needles.iter().any(|needle| line.contains(needle)) {
                let place = format!("{}:{}", source.path, index + 1);
                found.push(format!("{place}: a path of one machine"));
            }
        }
    }
    assert_none(found);
}

mod the_rules_can_fail {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn on_an_import_from_above_or_beside() {
        for text in [
            "//! x\nuse crate::http::Front;",
            "//! x\nuse crate::{\n    avatar::{Key, Jid},\n    limits::Admission,\n};",
            "//! x\nfn f() -> crate::pipeline::ServedFace {}",
        ] {
            assert_eq!(
                layer_violations(&source("store/mod.rs", text)).len(),
                1,
                "{text}"
            );
        }
        let fine =
            "//! x\nuse crate::{avatar::{Key, Jid}, clock::Clock};\n// crate::http is not for us";
        assert!(layer_violations(&source("store/mod.rs", fine)).is_empty());
    }

    #[test]
    fn on_a_module_without_a_floor() {
        assert_eq!(
            layer_violations(&source("helpers/mod.rs", "//! x")).len(),
            1
        );
    }
}
