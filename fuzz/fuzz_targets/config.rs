//! A configuration is right, or every problem has a key and a remedy; and no problem tells a secret.
#![no_main]

use faceplate::config;
use libfuzzer_sys::fuzz_target;
use toml::{Table, Value};

const SECRET: &str = "a-secret-that-nobody-may-see";

fuzz_target!(|text: &str| {
    // A file's content is the file's, not the fuzzer's, and some files never end. And what the
    // fuzzer found out and wrote somewhere is no secret there.
    if ["file:", ".pem", SECRET].iter().any(|no| text.contains(no)) {
        return;
    }
    // Written in the open, of whatever type, it is nobody's business either.
    if let Ok(table) = text.parse::<Table>() {
        for secret in in_the_open() {
            let misplaced = with_secrets(table.clone(), &secret).to_string();
            check(&misplaced, &[]);
        }
    }
    check(
        text,
        &[("VENDOR_TOKEN", SECRET), ("FACEPLATE_SIGNING_KEY", SECRET)],
    );
});

fn check(text: &str, env: &[(&str, &str)]) {
    if let Err(problems) = config::from_text("fuzzed", text, env.iter().copied()) {
        assert!(!problems.0.is_empty());
        for problem in &problems.0 {
            assert!(!problem.remedy.is_empty());
        }
        assert!(!problems.to_string().contains(SECRET), "{problems}");
    }
}

/// The secret as a text, and as what no secret can be.
fn in_the_open() -> [Value; 4] {
    let text = Value::String(SECRET.into());
    [
        text.clone(),
        Value::Array(vec![text.clone()]),
        Value::Array(vec![Value::Array(vec![text.clone()])]),
        Value::Table(Table::from_iter([("a".to_owned(), text)])),
    ]
}

/// The same words with `secret` wherever secrets stand, and nowhere else: what is written in
/// another place is quoted back, so that its writer finds it.
fn with_secrets(mut table: Table, secret: &Value) -> Table {
    let places = [
        ("admin", &["token"][..]),
        ("access", &["signing_keys", "bearer_tokens"]),
    ];
    for (section, keys) in places {
        let section = table.get_mut(section).and_then(Value::as_table_mut);
        put(section, keys, secret);
    }
    let instances = table.get_mut("instances").and_then(Value::as_table_mut);
    for (_, instance) in instances.into_iter().flatten() {
        put(instance.as_table_mut(), &["token"], secret);
    }
    table
}

fn put(section: Option<&mut Table>, keys: &[&str], secret: &Value) {
    if let Some(section) = section {
        for key in keys {
            section.insert((*key).to_owned(), secret.clone());
        }
    }
}
