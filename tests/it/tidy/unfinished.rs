//! Signs of unfinished work: macros and words that stand for code, text or figures that are still to come.

use super::{Source, source::tracked};

/// Calls that stand for code.
const CALLS: [&str; 4] = ["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// Whole words that stand for anything.
const WORDS: [&str; 7] = ["TODO", "FIXME", "TBD", "XXX", "YYY", "ZZZ", "FIGURE"];

/// Endings of the files that people write.
const WRITTEN: [&str; 11] = [
    ".rs", ".md", ".py", ".sh", ".toml", ".yml", ".yaml", ".html", ".js", ".conf", "Makefile",
];

/// The files of the repository that people write, but for this one.
pub fn written_files() -> Vec<Source> {
    let is_written = |path: &str| {
        !path.ends_with("tidy/unfinished.rs") && WRITTEN.iter().any(|end| path.ends_with(end))
    };
    tracked(is_written)
}

pub fn unfinished(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let word = words.find(|word| WORDS.contains(word));
        let call = CALLS.into_iter().find(|call| line.contains(call));
        if let Some(sign) = word.or(call) {
            found.push(format!("{}:{}: {sign}: finish it", source.path, index + 1));
        }
        let comment = line.trim_start().strip_prefix("// ").unwrap_or_default();
        if source.path.ends_with(".rs") && (comment.ends_with(';') || comment.ends_with(" {")) {
            let place = format!("{}:{}", source.path, index + 1);
            found.push(format!("{place}: code in a comment: remove it"));
        }
    }
    found
}

mod the_rules_can_fail {
    use super::*;

    #[test]
    fn on_a_sign_of_unfinished_work() {
        let count = |path: &str, text: &str| {
            let (path, text) = (path.to_owned(), text.to_owned());
            unfinished(&Source { path, text }).len()
        };
        for (path, text) in [
            ("src/a.rs", "    todo!()"),
            ("src/a.rs", "// let a = 1;"),
            ("src/a.rs", "//! A hit takes XXX µs."),
            ("docs/a.md", "| 4 KB | YYY |"),
            ("docs/a.md", "It saves FIGURE % of a hit."),
            ("tests/a.py", "# FIXME"),
        ] {
            assert_eq!(count(path, text), 1, "{text}");
        }
        for (path, text) in [
            ("docs/a.md", "YYYY-MM-DD"),
            ("tests/a.sh", "mktemp -p . XXXXXX"),
            ("src/a.rs", "// A figure, to do with figures"),
        ] {
            assert_eq!(count(path, text), 0, "{text}");
        }
    }
}
