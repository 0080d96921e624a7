//! `faceplate init`: the configuration that it prints for each gateway.

use crate::support::program::{Program, errors};
use faceplate::{config::SECTIONS, upstream::SHIPPED};

/// The configuration that `init` prints.
fn init(args: &[&str]) -> String {
    let args: Vec<_> = ["init"].iter().chain(args).copied().collect();
    let output = Program::with("").run(&args);
    assert!(output.status.success(), "{args:?}: {}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The output and the errors of a command with the configuration `text`, and with each variable that it names.
fn run(command: &str, text: &str) -> (String, String) {
    let program = Program::with(text);
    let mut command = program.command(&[command]);
    for (at, _) in text.match_indices("\"env:") {
        let name = text[at + 5..].split('"').next().unwrap();
        command.env(name, "a secret for tests");
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (said, errors(&output))
}

#[test]
fn the_configuration_for_each_gateway_is_complete_with_the_account() {
    for (gateway, _) in SHIPPED {
        let text = init(&[gateway, "--account", "shop"]);
        let (said, errors) = run("check", &text);
        assert_eq!(errors, "", "{gateway}:\n{text}");
        assert!(
            said.contains(&format!("{gateway}: {gateway} at http")),
            "{said}"
        );
    }
    let (said, errors) = run("check", &init(&["push", "--name", "inbox"]));
    assert_eq!(errors, "");
    assert!(said.contains("inbox: push"), "{said}");
}

#[test]
fn the_printed_configuration_names_every_key_of_the_program() {
    let text = init(&["waha"]);
    let names = |line: &str, key: &str| {
        let line = line.trim_start_matches("# ");
        line.starts_with(&format!("{key} = ")) || line.contains(&format!(" {key} = "))
    };
    for (path, key) in SECTIONS.all_keys() {
        let is_of_patterns =
            path.starts_with("instances.") && matches!(key.name, "max_names" | "idle");
        let is_named = text.lines().any(|line| names(line, key.name));
        assert_ne!(is_named, is_of_patterns, "{path} in:\n{text}");
    }
}

#[test]
fn a_default_that_is_uncommented_changes_nothing() {
    for gateway in ["waha", "z-api", "wawp"] {
        let text = init(&[gateway, "--account", "shop"]);
        let is_key = |line: &str| {
            let name = line.split(" = ").next().unwrap();
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        // Whether the table is commented out as a whole.
        let mut is_off = false;
        let mut uncommented = String::new();
        for line in text.lines() {
            is_off = line.starts_with("# [") || is_off && !line.is_empty();
            uncommented.push_str(match line.strip_prefix("# ").filter(|_| !is_off) {
                Some(rest) if rest.contains(" = ") && is_key(rest) && !rest.contains('<') => rest,
                _ => line,
            });
            uncommented.push('\n');
        }
        assert!(uncommented.contains("\nttl = \"24h\"\n"), "{uncommented}");
        let values = |text: &str| -> Vec<String> {
            let (values, errors) = run("config", text);
            assert_eq!(errors, "", "{text}");
            let lines = values.lines().filter(|line| !line.starts_with('#'));
            let lines = lines.map(|line| line.split("  # ").next().unwrap().trim_end());
            lines.map(str::to_owned).collect()
        };
        assert_eq!(values(&uncommented), values(&text), "{gateway}");
    }
}

#[test]
fn an_account_that_is_not_written_yet_is_a_problem() {
    let (_, errors) = run("check", &init(&["waha"]));
    assert!(
        errors.contains("instances.waha.account: is not written yet; it is the session"),
        "{errors}"
    );
}

#[test]
fn the_network_of_a_gateway_on_a_private_address_is_allowed() {
    for (url, network) in [
        ("http://127.0.0.1:3000", "127.0.0.0/8"),
        ("http://172.18.0.4:3000/", "172.16.0.0/12"),
        ("http://[fd00::1]:3000", "fc00::/7"),
    ] {
        let text = init(&["waha", "--account", "shop", "--base-url", url]);
        assert!(
            text.contains(&format!("\nallow_private = [\"{network}\"]\n")),
            "{text}"
        );
        let (_, errors) = run("check", &text);
        assert_eq!(errors, "");
    }
}

#[test]
fn init_names_the_gateway_that_was_probably_meant() {
    let output = Program::with("").run(&["init", "wahaa"]);
    assert!(!output.status.success());
    assert!(
        errors(&output).contains("did you mean waha?"),
        "{}",
        errors(&output)
    );
}

#[test]
fn secrets_can_be_files_of_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["signing-key", "vendor-token"] {
        std::fs::write(folder.path().join(name), "a secret for tests").unwrap();
    }
    let dir = folder.path().to_str().unwrap();
    let text = init(&["waha", "--account", "shop", "--secrets", dir]);
    assert!(!text.contains("= \"env:"), "{text}");
    let (_, errors) = run("check", &text);
    assert_eq!(errors, "");
}
