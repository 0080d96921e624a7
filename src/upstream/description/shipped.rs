//! The descriptions in this program.

use std::sync::Arc;

use super::{
    Description,
    parse::{Source, load},
};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../descriptions/", $name, ".toml")))),*]
    };
}

/// Their names and texts, the most used gateways first.
pub const SHIPPED: [(&str, &str); 22] = files![
    "evolution",
    "evolution-v1",
    "waha",
    "wuzapi",
    "wppconnect",
    "gowa",
    "z-api",
    "green-api",
    "uazapi",
    "wwebjs-api",
    "evolution-go",
    "whapi",
    "wasenderapi",
    "quepasa",
    "ultramsg",
    "codechat",
    "baileys-api",
    "openwa",
    "wachat",
    "wawp",
    "hypersender",
    "wappfy",
];

/// The shipped description of this name.
pub fn shipped(name: &str) -> Option<Arc<Description>> {
    let (name, text) = SHIPPED.iter().find(|(known, _)| *known == name)?;
    let source = Source {
        file: name,
        text,
        has_lines: true,
    };
    let loaded = load(source, shipped);
    Some(Arc::new(
        loaded.expect("a test loads every shipped description"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_description_loads_and_its_samples_come_out_as_they_say() {
        let mut failures = Vec::new();
        let mut count = 0;
        for (name, text) in SHIPPED {
            let source = Source {
                file: name,
                text,
                has_lines: true,
            };
            match load(source, shipped) {
                Ok(description) => {
                    assert_eq!(*description.name, *name);
                    let report = description.check_samples();
                    count += report.count;
                    let lines = report.failures.iter().chain(&report.hints);
                    failures.extend(lines.map(|line| format!("{name}: {line}")));
                }
                Err(problems) => failures.extend(problems.iter().map(ToString::to_string)),
            }
        }
        assert!(failures.is_empty(), "\n{}", failures.join("\n"));
        assert!(count >= 245, "{count} samples");
    }
}
