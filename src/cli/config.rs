//! `faceplate config`: every value of the configuration that counts, each with its origin. The output is a
//! configuration itself, but for secrets in plain text, which are left out.

use std::{collections::BTreeMap, fmt::Write};

use super::{config_arg::ConfigArg, output::say};
use crate::config::{EffectiveValue, Origin, SECTIONS, Section, ValueText};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print only the values that are not this program's defaults.
    #[arg(long)]
    changed: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// Values, by the path of their keys.
type Values = BTreeMap<String, EffectiveValue>;

/// The column of the origins.
const COLUMN: usize = 56;

pub(super) fn run(args: &Args) -> Result<(), String> {
    let mut values = args.config.load()?.values;
    if args.changed {
        values.retain(|_, value| value.origin != Origin::Default);
    }
    say!(
        "# {}, with the environment of this process over it",
        args.config.config.display()
    );
    for section in SECTIONS.sections {
        print_section(section, section.name, section.name, &values);
    }
    Ok(())
}

/// Prints a section, and the sections in it. `path` is the path of its keys, `title` the same as TOML.
fn print_section(section: &Section, path: &str, title: &str, values: &Values) {
    let names = match section.sections {
        [inner] if inner.name == "NAME" => inner_names(path, values),
        _ => Vec::new(),
    };
    for name in &names {
        let title = format!("{title}.{}", quote(name));
        let inner = format!("{path}.{name}");
        print_section(&section.sections[0], &inner, &title, values);
    }
    if !names.is_empty() {
        return;
    }
    // The keys of `params` are the gateway's.
    let keys = match section.keys {
        [] => inner_names(path, values),
        keys => keys.iter().map(|key| key.name).collect(),
    };
    let lines: Vec<_> = keys
        .into_iter()
        .filter_map(|name| Some(line(name, values.get(&format!("{path}.{name}"))?)))
        .collect();
    if !lines.is_empty() {
        say!("\n[{title}]\n{}", lines.join("\n"));
    }
    for inner in section.sections {
        let (path, title) = (
            format!("{path}.{}", inner.name),
            format!("{title}.{}", inner.name),
        );
        print_section(inner, &path, &title, values);
    }
}

/// The names below `path` that are followed by more of a path, or by nothing.
fn inner_names<'v>(path: &str, values: &'v Values) -> Vec<&'v str> {
    let below = values.keys().filter_map(|key| {
        let rest = key.strip_prefix(path)?.strip_prefix('.')?;
        rest.split('.').next()
    });
    let mut names: Vec<_> = below.collect();
    names.dedup();
    names
}

fn line(name: &str, value: &EffectiveValue) -> String {
    let mut line = match &value.shown {
        ValueText::Toml(text) => format!("{} = {text}", quote(name)),
        ValueText::Hidden => format!("# {name}: a secret that is written in plain text"),
        ValueText::Absent(meaning) => format!("# {name}: {meaning}"),
    };
    let origin = match &value.origin {
        Origin::File => "file",
        Origin::Variable(name) => name,
        Origin::Gateway => "gateway",
        Origin::Default => "default",
    };
    let padding = COLUMN.saturating_sub(line.len()).max(2);
    // Writing to a string cannot fail.
    let _ = write!(line, "{:padding$}# {origin}", "");
    line
}

/// A key as TOML writes it.
fn quote(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match name.bytes().all(is_bare) {
        true => name.to_owned(),
        false => format!("\"{name}\""),
    }
}
