//! `faceplate providers`: the gateways that can be used, and their descriptions.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    config_arg::ConfigArg,
    output::{self, note, say},
};
use crate::upstream::{Catalog, Description, SampleReport, Source, load};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArg,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the description of one gateway.
    Show {
        /// The gateway's name.
        name: String,
    },
    /// Check a description's file and run its samples, without a configuration.
    Check {
        /// The file.
        file: PathBuf,
    },
}

pub(super) fn run(args: &Args) -> Result<(), String> {
    match &args.command {
        None => list(&args.config.catalog()?),
        Some(Command::Show { name }) => show(&args.config.catalog()?, name),
        Some(Command::Check { file }) => check(file, &args.config.catalog()?),
    }
}

fn list(catalog: &Catalog) -> Result<(), String> {
    let mut problems = Vec::new();
    for name in catalog.names() {
        let description = match find(catalog, name) {
            Ok(description) => description,
            Err(lines) => {
                problems.push(lines);
                continue;
            }
        };
        let own = if catalog.is_own(name) { " (own)" } else { "" };
        say!(
            "{name:14} {}{own}: account = {}",
            description.title,
            description.account
        );
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.join("\n")),
    }
}

fn show(catalog: &Catalog, name: &str) -> Result<(), String> {
    let text = catalog.text(name).ok_or_else(|| unknown(catalog, name))?;
    output::print(format_args!("{text}"));
    Ok(())
}

fn check(file: &Path, catalog: &Catalog) -> Result<(), String> {
    let description = load_file(file, catalog)?;
    say!("{}", samples(&description)?);
    Ok(())
}

/// The description in a file, or of a name.
pub(super) fn find_or_load(catalog: &Catalog, given: &str) -> Result<Arc<Description>, String> {
    let file = Path::new(given);
    match file.extension().is_some_and(|it| it == "toml") {
        true => load_file(file, catalog).map(Arc::new),
        false => find(catalog, given),
    }
}

fn load_file(file: &Path, catalog: &Catalog) -> Result<Description, String> {
    let shown = file.display().to_string();
    let text =
        fs::read_to_string(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let source = Source {
        file: &shown,
        text: &text,
        has_lines: true,
        name: file.file_stem().and_then(|stem| stem.to_str()),
    };
    load(source, |base| catalog.load(base)?.ok()).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

/// Runs a description's samples. Prints hints, and returns a line about the result.
pub(super) fn samples(description: &Description) -> Result<String, String> {
    let SampleReport {
        count,
        failures,
        hints,
    } = description.check_samples();
    let name = &description.name;
    for hint in &hints {
        note!("faceplate: hint: {name}: {hint}");
    }
    if failures.is_empty() {
        return Ok(format!(
            "{name}: {count} sample(s), all come out as they say"
        ));
    }
    let lines: Vec<_> = failures
        .iter()
        .map(|line| format!("{name}: {line}"))
        .collect();
    Err(lines.join("\n"))
}

/// The description called `name`.
pub(super) fn find(catalog: &Catalog, name: &str) -> Result<Arc<Description>, String> {
    match catalog.load(name) {
        Some(Ok(description)) => Ok(description),
        Some(Err(problems)) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Err(lines.join("\n"))
        }
        None => Err(unknown(catalog, name)),
    }
}

fn unknown(catalog: &Catalog, name: &str) -> String {
    let hint = match catalog.nearest(name) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known are {}", catalog.names().join(", ")),
    };
    format!("{name} is not a known provider; {hint}")
}
