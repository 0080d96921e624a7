//! The descriptions in this program.

use std::sync::Arc;

use super::{
    Defaults, Description,
    jid_forms::JidForms,
    parse::{Source, load},
};

/// The name of the provider without a gateway.
pub(super) const PUSH: &str = "push";
/// What is shown instead of a description.
pub(super) const PUSH_TEXT: &str = "\
# No gateway: programs that have a WhatsApp library inside push the pictures,
# with PUT /v1/avatars/{instance}/{jid} on the admin listener. No call is ever made.
";

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
        name: None,
    };
    let loaded = load(source, shipped);
    Some(Arc::new(
        loaded.expect("a test loads every shipped description"),
    ))
}

/// The provider without a gateway, and so without a call.
pub(super) fn push() -> Description {
    Description {
        name: PUSH.into(),
        is_shipped: true,
        title: "Pictures that programs push".to_owned(),
        docs: Vec::new(),
        // Nothing is ever sent there (RFC 6761).
        base_url: Some("https://push.invalid".to_owned()),
        account: "anything; the instance's name if it is left out".to_owned(),
        token: "nothing".to_owned(),
        params: Vec::new(),
        defaults: Defaults::default(),
        keeps_answers: false,
        headers: Vec::new(),
        query: Vec::new(),
        jid: JidForms::default(),
        pictures: Vec::new(),
        rules: Vec::new(),
        chats: None,
        session: None,
        lid: None,
        hook: None,
        answers: Vec::new(),
        samples: Vec::new(),
        written: Vec::new(),
    }
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
                name: None,
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
