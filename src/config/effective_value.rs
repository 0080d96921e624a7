//! The value of a key that counts, and where it is from, for `faceplate config`.

use toml::Value;

use super::key::{Key, Kind};

/// A key's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveValue {
    /// The value.
    pub shown: ValueText,
    /// Where it is from.
    pub origin: Origin,
}

/// A value as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueText {
    /// As it is written in the file.
    Toml(String),
    /// A secret in plain text.
    Hidden,
    /// None, which means this.
    Absent(&'static str),
}

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File,
    /// This environment variable.
    Variable(String),
    /// The description of the instance's gateway.
    Gateway,
    /// This program.
    Default,
}

impl ValueText {
    /// The value of a key that the operator set. A secret is shown as a reference alone.
    pub(super) fn of(key: &Key, value: &Value) -> Self {
        let is_secret = matches!(key.kind, Kind::Secret | Kind::List(Kind::Secret));
        let is_url = matches!(key.kind, Kind::Url);
        let has_user = is_url && value.as_str().is_some_and(|url| url.contains('@'));
        if has_user || is_secret && !is_reference(value) {
            return ValueText::Hidden;
        }
        ValueText::Toml(match value {
            Value::String(text) => key.toml(text),
            value => value.to_string(),
        })
    }
}

/// Whether `value` leads to a secret, or to several, and is none.
fn is_reference(value: &Value) -> bool {
    let leads = |text: &str| text.starts_with("env:") || text.starts_with("file:");
    match value {
        Value::String(text) => text.split(',').map(str::trim).all(leads),
        Value::Array(items) => items.iter().all(|item| item.as_str().is_some_and(leads)),
        _ => false,
    }
}
