//! `docs/cli.md` is written from the command line's definition. After a change,
//! `FACEPLATE_WRITE_DOCS=1 cargo test --test it cli_docs::` writes the page again.

use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

use crate::support::docs;

#[test]
fn the_page_about_the_command_line_is_what_help_says() {
    let options = MarkdownOptions::new()
        .title("The command line".to_owned())
        .show_footer(false);
    let page = help_markdown_command_custom(&faceplate::cli::command(), &options).replace(
        "This document contains the help content for the `faceplate` command-line program.",
        "This page is written from the program's `--help`.",
    );
    docs::assert_current("cli.md", &page);
}
