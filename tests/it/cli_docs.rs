//! `docs/cli.md`, the manual pages and the shells' completions are written from the command line's definition. After a
//! change, `make man` writes them again.

use std::{collections::BTreeSet, fs, path::Path};

use clap_complete::Shell;
use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

use crate::support::docs;

#[test]
fn the_page_about_the_command_line_is_what_help_says() {
    let options = MarkdownOptions::new()
        .title("The command line".to_owned())
        .show_footer(false);
    let page = help_markdown_command_custom(&faceplate::cli::command(), &options).replace(
        "This document contains the help content for the `faceplate` command-line program.",
        "For operators. This page is written from the program's `--help`.",
    );
    docs::assert_current("cli.md", &page);
}

#[test]
fn the_manual_pages_are_what_help_says() {
    let folder = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(faceplate::cli::command(), folder.path()).unwrap();
    let names = |folder: &Path| -> BTreeSet<String> {
        let items = fs::read_dir(folder).unwrap();
        let names = items.map(|item| item.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    };
    let written = names(folder.path());
    assert!(written.contains("faceplate-cache-forget.1"), "{written:?}");
    for name in &written {
        let page = fs::read_to_string(folder.path().join(name)).unwrap();
        docs::assert_current(&format!("../deploy/man/{name}"), &page);
    }
    let there = names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/man"));
    assert_eq!(there, written, "remove the pages of former commands");
}

#[test]
fn the_completions_are_those_of_the_command_line() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut script = Vec::new();
        let mut command = faceplate::cli::command();
        clap_complete::generate(shell, &mut command, "faceplate", &mut script);
        let name = format!("../deploy/completions/faceplate.{shell}");
        docs::assert_current(&name, &String::from_utf8(script).unwrap());
    }
}
