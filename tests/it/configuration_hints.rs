//! The hints of `faceplate check`: what a misspelled name was meant to be, and values that are allowed but dangerous.

use crate::support::program::{GOOD, Program, errors};

/// The exit code and the errors of `faceplate check` with `more` behind the good configuration.
fn check(more: &str, env: &[(&str, &str)]) -> (Option<i32>, String) {
    let program = Program::with(&format!("{GOOD}{more}"));
    let mut command = program.command(&["check"]);
    let output = command.envs(env.iter().copied()).output().unwrap();
    (output.status.code(), errors(&output))
}

#[test]
fn a_misspelled_key_section_or_variable_is_reported_with_the_name_that_was_probably_meant() {
    for (more, env, says) in [
        (
            "lokups = { per_minute = 1 }",
            None,
            "instances.sales.lokups: is not a known key; did you mean lookups?",
        ),
        (
            "[cahce]\nttl = \"2h\"",
            None,
            "faceplate.toml: cahce: is not a known key; did you mean cache?",
        ),
        (
            "",
            Some(("FACEPLATE_CAHCE__TTL", "2h")),
            "FACEPLATE_CAHCE__TTL: cahce: is not a known key; did you mean cache?",
        ),
        (
            "",
            Some(("FACEPLATE_CACHE__MEMROY", "2h")),
            "FACEPLATE_CACHE__MEMROY: cache.memroy: is not a known key; did you mean memory?",
        ),
        (
            "",
            Some(("FACEPLATE_INSTANCES__SUPPORT__PROVIDER", "wawp")),
            "FACEPLATE_INSTANCES__SUPPORT__PROVIDER: instances.support.account: is missing",
        ),
        (
            "[zebra]\nttl = \"2h\"",
            None,
            "zebra: is not a known key; the keys here are access, admin",
        ),
    ] {
        let (code, said) = check(more, env.as_slice());
        assert_eq!(code, Some(1), "{more} {env:?}: {said}");
        assert!(said.contains(says), "{more} {env:?}: {said}");
    }
}

#[test]
fn a_variable_with_one_underscore_in_place_of_two_is_named_with_the_right_one() {
    for (variable, meant) in [
        ("FACEPLATE_SERVER_LISTEN", "FACEPLATE_SERVER__LISTEN"),
        (
            "FACEPLATE_CACHE_NEGATIVE_NOT_FOUND",
            "FACEPLATE_CACHE__NEGATIVE__NOT_FOUND",
        ),
        (
            "FACEPLATE_INSTANCES_SALES_ACCOUNT",
            "FACEPLATE_INSTANCES__SALES__ACCOUNT",
        ),
    ] {
        let (code, said) = check("", &[(variable, "1")]);
        assert_eq!(code, Some(0), "{said}");
        let warning = format!("warning: {variable}: sets nothing; did you mean {meant}?");
        assert!(said.contains(&warning), "{said}");
    }
    // A secret may have such a name, and other variables are no business of the configuration.
    let more = "[admin]\ntoken = \"env:FACEPLATE_ADMIN_TOKEN\"";
    let env = [
        ("FACEPLATE_ADMIN_TOKEN", "a token for tests"),
        ("FACEPLATE_PORT", "8080"),
    ];
    assert_eq!(check(more, &env), (Some(0), String::new()));
}

#[test]
fn a_dangerous_value_is_accepted_with_a_warning() {
    for (name, value, says) in [
        (
            "FACEPLATE_INSTANCES__SALES__ALLOW_PRIVATE",
            "10.0.0.0/8,0.0.0.0/0",
            "instances.sales.allow_private: a network of this size",
        ),
        (
            "FACEPLATE_INSTANCES__SALES__ALLOW_PRIVATE",
            "::/0",
            "instances.sales.allow_private: a network of this size",
        ),
        ("FACEPLATE_CACHE__TTL", "0s", "cache.ttl: with less than"),
        ("FACEPLATE_CACHE__TTL", "9999d", "cache.ttl: with more than"),
        (
            "FACEPLATE_CACHE__MAX_BYTES",
            "1KiB",
            "cache.max_bytes: is less than one picture",
        ),
        (
            "FACEPLATE_CACHE__MIN_FREE",
            "9999TiB",
            "cache.min_free: the disk of ",
        ),
    ] {
        let (code, said) = check("", &[(name, value)]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("warning: {name}: {says}")), "{said}");
    }
    let (name, value) = (
        "FACEPLATE_INSTANCES__SALES__ALLOW_PRIVATE",
        "10.0.0.0/8,fc00::/7",
    );
    assert_eq!(check("", &[(name, value)]), (Some(0), String::new()));
}

#[test]
fn the_environment_names_the_configuration_file_unless_an_option_does() {
    let program = Program::with(GOOD);
    let other = program.folder.path().join("missing.toml");
    let check = |args: &[&str], named: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_faceplate"));
        command.arg("check").args(args).env("TOKEN", "a token");
        command.env("SIGNING_KEY", "a signing key for tests");
        let output = command.env("FACEPLATE_CONFIG", named).output().unwrap();
        (output.status.code(), errors(&output))
    };
    assert_eq!(check(&[], &program.config()), (Some(0), String::new()));
    let (code, said) = check(&[], &other);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("missing.toml"), "{said}");
    let config = program.config();
    let option = ["--config", config.to_str().unwrap()];
    assert_eq!(check(&option, &other), (Some(0), String::new()));
}
