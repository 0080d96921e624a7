//! `faceplate config`: the values that count, with their origins and without secrets.

use crate::support::program::{Program, errors};
use faceplate::config::{DefaultValue, SECTIONS};

const CONFIG: &str = r#"
[admin]
token = "written in plain text"
[access]
signing_keys = ["env:SIGNING_KEY"]
bearer_tokens = ["env:SIGNING_KEY", "in plain text as well"]
[cache]
dir = "DIR/cache"
ttl = "12h"
tend_files_per_second = 7
[fleet]
name = "crm"
redis = "env:REDIS_URL"
secret = "env:SIGNING_KEY"
pictures = "s3"
[fleet.s3]
bucket = "faces"
endpoint = "http://127.0.0.1:3900"
access_key = "env:SIGNING_KEY"
secret_key = "env:SIGNING_KEY"
[traces]
endpoint = "http://user:in-the-url@127.0.0.1:4318"
[instances.sales]
provider = "z-api"
account = "123456789"
token = "env:TOKEN"
params = { client_token = "in the parameters" }
[instances."shop-*"]
provider = "waha"
account = "{instance}"
token = "env:TOKEN"
base_url = "https://waha.example"
warm = { at = "03:00" }
lookups = { per_minute = 12, burst = 3 }
"#;

/// The output of `faceplate config` with `args`.
fn values(program: &Program, args: &[&str]) -> String {
    let args: Vec<_> = ["config"].iter().chain(args).copied().collect();
    let mut command = program.command(&args);
    command.env("FACEPLATE_CACHE__MEMORY", "77MiB");
    command.env("FACEPLATE_CACHE__MAX_ENTRIES", "12");
    command.env("REDIS_URL", "redis://127.0.0.1:6379/0");
    command.env(
        "FACEPLATE_SERVER__TRUSTED_PROXIES",
        "10.0.0.0/8, 172.16.0.0/12",
    );
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The line about `key` in `[section]`, with one space in place of many.
fn line(values: &str, section: &str, key: &str) -> String {
    let (_, rest) = values
        .split_once(&format!("\n[{section}]\n"))
        .unwrap_or_else(|| panic!("no [{section}] in {values}"));
    let section = rest.split("\n\n").next().unwrap();
    let mut lines = section.lines();
    let line = lines.find(|line| {
        let line = line.trim_start_matches("# ");
        line.split([' ', ':']).next() == Some(key)
    });
    let line = line.unwrap_or_else(|| panic!("no {key} in {section}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn config_shows_each_value_with_its_origin() {
    let values = values(&Program::with(CONFIG), &[]);
    for (section, key, expected) in [
        ("cache", "ttl", "ttl = \"12h\" # file"),
        (
            "cache",
            "gc_files_per_second",
            "gc_files_per_second = 7 # file",
        ),
        (
            "cache",
            "memory",
            "memory = \"77MiB\" # FACEPLATE_CACHE__MEMORY",
        ),
        (
            "cache",
            "max_entries",
            "max_entries = 12 # FACEPLATE_CACHE__MAX_ENTRIES",
        ),
        (
            "server",
            "trusted_proxies",
            "trusted_proxies = [\"10.0.0.0/8\", \"172.16.0.0/12\"] # FACEPLATE_SERVER__TRUSTED_PROXIES",
        ),
        ("cache", "first_paint", "first_paint = \"2s\" # default"),
        ("server", "certificate", "# certificate: no TLS # default"),
        (
            "access",
            "signing_keys",
            "signing_keys = [\"env:SIGNING_KEY\"] # file",
        ),
        (
            "instances.sales",
            "base_url",
            "base_url = \"https://api.z-api.io\" # gateway",
        ),
        (
            "instances.\"shop-*\"",
            "max_names",
            "max_names = 1000 # default",
        ),
        ("instances.\"shop-*\".lookups", "burst", "burst = 3 # file"),
        ("instances.\"shop-*\".warm", "top", "top = 50 # default"),
    ] {
        assert_eq!(line(&values, section, key), expected);
    }
    let sales = values.split("[instances.sales]").nth(1).unwrap();
    let sales = sales.split("[instances.\"shop-*\"]").next().unwrap();
    assert!(!sales.contains("max_names"), "{sales}");
}

#[test]
fn config_hides_secrets_that_are_written_in_plain_text() {
    let values = values(&Program::with(CONFIG), &[]);
    for (section, key) in [
        ("admin", "token"),
        ("access", "bearer_tokens"),
        ("traces", "endpoint"),
        ("instances.sales.params", "client_token"),
    ] {
        let expected = format!("# {key}: a secret that is written in plain text # file");
        assert_eq!(line(&values, section, key), expected);
    }
    for secret in [
        "written in plain text\"",
        "as well",
        "in-the-url",
        "in the parameters",
    ] {
        assert!(!values.contains(secret), "{secret} is in {values}");
    }
}

#[test]
fn every_key_of_the_table_is_shown_or_has_no_value_here() {
    let values = values(&Program::with(CONFIG), &[]);
    for (path, key) in SECTIONS.all_keys() {
        let is_required = matches!(key.default, DefaultValue::Required(_));
        let (section, name) = path.rsplit_once('.').unwrap();
        let section = section.replace("NAME", "\"shop-*\"");
        assert!(
            is_required || !line(&values, &section, name).is_empty(),
            "{path}"
        );
    }
}

#[test]
fn the_output_of_config_is_a_configuration_with_the_same_values() {
    let without_plain_text: String = CONFIG
        .lines()
        .filter(|line| !line.contains("plain text") && !line.contains("in-the-url"))
        .map(|line| {
            format!(
                "{}\n",
                line.replace("\"in the parameters\"", "\"env:TOKEN\"")
            )
        })
        .collect();
    let first = values(&Program::with(&without_plain_text), &[]);
    let second = values(&Program::with(&first), &[]);
    let without_comments = |values: &str| -> Vec<String> {
        let lines = values.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.map(|line| line.split("  # ").next().unwrap().trim_end());
        lines.map(str::to_owned).collect()
    };
    assert_eq!(without_comments(&first), without_comments(&second));
    assert!(second.contains("[instances.\"shop-*\".warm]"), "{second}");
}

#[test]
fn config_with_changed_shows_no_defaults() {
    let values = values(&Program::with(CONFIG), &["--changed"]);
    assert!(values.contains("ttl = \"12h\""), "{values}");
    assert!(values.contains("# gateway"), "{values}");
    for absent in ["# default", "first_paint", "[live]"] {
        assert!(!values.contains(absent), "{absent} is in {values}");
    }
}

#[test]
fn every_secret_that_the_operator_makes_has_the_same_shortest_length() {
    let program = Program::with(
        r#"
        [admin]
        token = "env:MADE"
        [access]
        signing_keys = ["env:MADE"]
        bearer_tokens = ["env:MADE"]
        [cache]
        dir = "DIR/cache"
        [fleet]
        name = "crm"
        redis = "env:REDIS_URL"
        secret = "env:MADE"
        [hooks]
        listen = "127.0.0.1:0"
        [instances.shop]
        provider = "waha"
        account = "shop"
        token = "env:TOKEN"
        base_url = "https://waha.example"
        hook = { secret = "env:MADE", hmac_key = "env:MADE" }
        "#,
    );
    let said = |command: &str, secret: &str| {
        let mut command = program.command(&[command]);
        command.env("REDIS_URL", "redis://127.0.0.1:6379/0");
        let output = command.env("MADE", secret).output().unwrap();
        (output.status.success(), errors(&output))
    };
    let (is_ok, refused) = said("check", "fifteen-letters");
    assert!(!is_ok, "{refused}");
    let keys = [
        "admin.token",
        "access.signing_keys",
        "access.bearer_tokens",
        "fleet.secret",
        "instances.shop.hook.secret",
        "instances.shop.hook.hmac_key",
    ];
    for key in keys {
        let words = format!("faceplate.toml: {key}: a secret is shorter than 16 characters; ");
        assert!(refused.contains(&words), "{key}: {refused}");
    }
    assert_eq!(refused.lines().count(), keys.len(), "{refused}");
    // `check` would ask Redis, too.
    assert_eq!(said("config", "sixteen-letters."), (true, String::new()));
}
