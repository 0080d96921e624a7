//! The types that a key's value can have, and how each is read. Environment variables are always text, so
//! every type can be read from text too, a list with commas between its items.

use std::{fmt::Debug, num::NonZeroU32, path::PathBuf, str::FromStr, time::Duration};

use ipnet::IpNet;
use toml::Value;

use super::{key::Kind, units};
use crate::{
    avatar::{Jid, OnHidden},
    http::ClientHeader,
    public::Mode,
    server::Address,
    telemetry::log,
    upstream::HostPattern,
};

/// The type of a key's value.
pub(super) trait Setting: Sized + Debug + 'static {
    /// The type's name for people.
    const KIND: Kind;

    /// Reads `value`. The error is the remedy.
    fn read(value: &Value) -> Result<Self, String>;

    /// The number that a range is compared with, for types that have one.
    fn magnitude(&self) -> Option<u64> {
        None
    }
}

/// A type with a few values, each with a name.
pub(super) trait Choice: Copy + Debug + 'static {
    /// All values with their names.
    fn choices() -> Vec<(&'static str, Self)>;
}

/// A size in bytes.
#[derive(Debug)]
pub(super) struct Size(pub(super) u64);

/// A time of day, from midnight.
#[derive(Debug)]
pub(super) struct TimeOfDay(pub(super) Duration);

/// A URL that is not checked yet: each key has its own rules.
#[derive(Debug)]
pub(super) struct UrlText(pub(super) String);

/// Where a secret is: `env:NAME` or `file:PATH`. May be the secret itself, so its `Debug` shows nothing.
pub(super) struct SecretReference(pub(super) String);

/// Where a fleet has the bytes of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PictureEngine {
    S3,
    Redis,
}

/// Which pictures of a face are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retain {
    Newest,
    Forever,
}

impl Setting for TimeOfDay {
    const KIND: Kind = Kind::TimeOfDay;

    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        let number = |part: &str, below: u64| {
            let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            let number = part.parse().ok().filter(|_| is_number);
            number.filter(|number: &u64| *number < below)
        };
        text.split_once(':')
            .and_then(|(hour, minute)| Some((number(hour, 24)?, number(minute, 60)?)))
            .map(|(hour, minute)| TimeOfDay(Duration::from_secs(hour * 3600 + minute * 60)))
            .ok_or_else(|| wrong(value, "a time of day in UTC such as \"03:00\""))
    }
}

impl Setting for String {
    const KIND: Kind = Kind::Text;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(wrong_type(other, "a text in quotes")),
        }
    }
}

impl Setting for bool {
    const KIND: Kind = Kind::Flag;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Boolean(flag) => Ok(*flag),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            other => Err(wrong(other, "true or false")),
        }
    }
}

impl Setting for NonZeroU32 {
    const KIND: Kind = Kind::Number;

    fn read(value: &Value) -> Result<Self, String> {
        let number = match value {
            Value::Integer(number) => u32::try_from(*number).ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number
            .and_then(NonZeroU32::new)
            .ok_or_else(|| wrong(value, "a whole number from 1"))
    }

    fn magnitude(&self) -> Option<u64> {
        Some(u64::from(self.get()))
    }
}

impl Setting for Duration {
    const KIND: Kind = Kind::Duration;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => units::duration(text),
            other => Err(wrong(other, "a duration such as \"24h\"")),
        }
    }

    fn magnitude(&self) -> Option<u64> {
        u64::try_from(self.as_millis()).ok()
    }
}

impl Setting for Size {
    const KIND: Kind = Kind::Size;

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => units::bytes(text).map(Size),
            other => Err(wrong(other, "a size such as \"256MiB\"")),
        }
    }

    fn magnitude(&self) -> Option<u64> {
        Some(self.0)
    }
}

impl Setting for PathBuf {
    const KIND: Kind = Kind::Path;

    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        if text.is_empty() {
            Err("is empty; write a path".into())
        } else {
            Ok(text.into())
        }
    }
}

impl Setting for IpNet {
    const KIND: Kind = Kind::Network;

    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        text.parse().map_err(|_| {
            format!("{text:?} is not a network in CIDR form; write for example 172.16.0.0/12")
        })
    }
}

impl Setting for UrlText {
    const KIND: Kind = Kind::Url;

    fn read(value: &Value) -> Result<Self, String> {
        String::read(value).map(UrlText)
    }
}

impl Setting for SecretReference {
    const KIND: Kind = Kind::Secret;

    fn read(value: &Value) -> Result<Self, String> {
        String::read(value).map(SecretReference)
    }
}

impl Debug for SecretReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretReference(redacted)")
    }
}

impl Setting for Address {
    const KIND: Kind = Kind::Address;

    fn read(value: &Value) -> Result<Self, String> {
        parse(value)
    }
}

impl Setting for HostPattern {
    const KIND: Kind = Kind::Host;

    fn read(value: &Value) -> Result<Self, String> {
        parse(value)
    }
}

impl Setting for Jid {
    const KIND: Kind = Kind::Jid;

    fn read(value: &Value) -> Result<Self, String> {
        parse(value)
    }
}

impl<T: Choice> Setting for T {
    const KIND: Kind = Kind::Choice(names::<T>);

    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        let choices = T::choices().into_iter();
        let mut found = choices.filter(|(name, _)| *name == text);
        found
            .next()
            .map(|(_, value)| value)
            .ok_or_else(|| format!("{text:?} is not a choice here; write {}", Self::KIND))
    }
}

impl<T: Setting> Setting for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);

    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(items) => items.iter().map(T::read).collect(),
            Value::String(text) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| T::read(&Value::String(item.to_owned())))
                .collect(),
            other => Err(wrong_type(other, "a list in brackets")),
        }
    }
}

impl Choice for Mode {
    fn choices() -> Vec<(&'static str, Self)> {
        vec![("signed", Mode::Signed), ("open", Mode::Open)]
    }
}

impl Choice for ClientHeader {
    fn choices() -> Vec<(&'static str, Self)> {
        vec![
            ("x-forwarded-for", ClientHeader::XForwardedFor),
            ("forwarded", ClientHeader::Forwarded),
        ]
    }
}

impl Choice for OnHidden {
    fn choices() -> Vec<(&'static str, Self)> {
        vec![("keep", OnHidden::Keep), ("drop", OnHidden::Drop)]
    }
}

impl Choice for PictureEngine {
    fn choices() -> Vec<(&'static str, Self)> {
        vec![("s3", PictureEngine::S3), ("redis", PictureEngine::Redis)]
    }
}

impl Choice for Retain {
    fn choices() -> Vec<(&'static str, Self)> {
        vec![("newest", Retain::Newest), ("forever", Retain::Forever)]
    }
}

impl Choice for log::Format {
    fn choices() -> Vec<(&'static str, Self)> {
        vec![("text", log::Format::Text), ("json", log::Format::Json)]
    }
}

fn names<T: Choice>() -> Vec<&'static str> {
    T::choices().into_iter().map(|(name, _)| name).collect()
}

fn parse<T: FromStr<Err: std::fmt::Display>>(value: &Value) -> Result<T, String> {
    let text = String::read(value)?;
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Quotes the value, so that the operator finds it. A list or a table may hold a secret that belongs
/// elsewhere, so its type alone is named.
fn wrong(value: &Value, wanted: &str) -> String {
    match value {
        Value::Array(_) | Value::Table(_) => wrong_type(value, wanted),
        scalar => format!("{scalar} is not right here; write {wanted}"),
    }
}

/// Names the type alone, where the value may be a secret or a phone number.
fn wrong_type(value: &Value, wanted: &str) -> String {
    format!(
        "a value of type {} is not right here; write {wanted}",
        value.type_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The errors of every type of single values about `text`.
    fn complaints(text: &str) -> Vec<String> {
        let table: toml::Table = format!("key = {text}").parse().expect("TOML");
        let value = &table["key"];
        [
            bool::read(value).err(),
            NonZeroU32::read(value).err(),
            Duration::read(value).err(),
            Size::read(value).err(),
            TimeOfDay::read(value).err(),
            PathBuf::read(value).err(),
            IpNet::read(value).err(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    #[test]
    fn an_error_about_a_list_or_a_table_names_its_type_and_not_its_values() {
        for text in ["[\"hunter2\"]", "{ a = \"hunter2\" }", "[[\"hunter2\"]]"] {
            let complaints = complaints(text);
            assert_eq!(complaints.len(), 7, "{text}: {complaints:?}");
            for complaint in complaints {
                assert!(!complaint.contains("hunter2"), "{complaint}");
            }
        }
    }

    #[test]
    fn an_error_about_a_single_value_quotes_it() {
        for complaint in [
            bool::read(&Value::String("maybe".into())).err(),
            NonZeroU32::read(&Value::String("maybe".into())).err(),
            Duration::read(&Value::String("maybe".into())).err(),
            IpNet::read(&Value::String("maybe".into())).err(),
            Vec::<IpNet>::read(&Value::Array(vec!["maybe".into()])).err(),
        ] {
            assert!(complaint.is_some_and(|complaint| complaint.contains("\"maybe\"")));
        }
    }
}
