//! From a TOML value to what it means. Environment variables are always text, so everything can be
//! read from text too, a list with commas between its items.

use std::{num::NonZeroU32, path::PathBuf, str::FromStr, time::Duration};

use ipnet::IpNet;
use toml::Value;

use super::units;

/// Something that can be configured.
pub(super) trait Setting: Sized {
    /// Reads it, or says what to write instead.
    fn read(value: &Value) -> Result<Self, String>;
}

/// Anything that is read from text by its own rules.
pub(super) struct Parsed<T>(pub(super) T);

/// A size in bytes.
pub(super) struct Size(pub(super) u64);

/// A time of day, from midnight.
pub(super) struct TimeOfDay(pub(super) Duration);

impl Setting for TimeOfDay {
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
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(wrong_kind(other, "a text in quotes")),
        }
    }
}

impl Setting for bool {
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
}

impl Setting for Duration {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => units::duration(text),
            other => Err(wrong(other, "a duration such as \"24h\"")),
        }
    }
}

impl Setting for Size {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => units::bytes(text).map(Size),
            other => Err(wrong(other, "a size such as \"256MiB\"")),
        }
    }
}

impl Setting for PathBuf {
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
    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        text.parse().map_err(|_| {
            format!("{text:?} is not a network in CIDR form; write for example 172.16.0.0/12")
        })
    }
}

impl<T> Setting for Parsed<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    fn read(value: &Value) -> Result<Self, String> {
        let text = String::read(value)?;
        text.parse()
            .map(Parsed)
            .map_err(|error: T::Err| error.to_string())
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(items) => items.iter().map(T::read).collect(),
            Value::String(text) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| T::read(&Value::String(item.to_owned())))
                .collect(),
            other => Err(wrong_kind(other, "a list in brackets")),
        }
    }
}

/// Quotes the value, so that it is found again. A list or a table may hold anything, even a secret
/// that belongs elsewhere.
fn wrong(value: &Value, wanted: &str) -> String {
    match value {
        Value::Array(_) | Value::Table(_) => wrong_kind(value, wanted),
        scalar => format!("{scalar} is not right here; write {wanted}"),
    }
}

/// The same where the value may be a secret, or somebody's number.
fn wrong_kind(value: &Value, wanted: &str) -> String {
    format!(
        "a value of type {} is not right here; write {wanted}",
        value.type_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about `text` where a single word belongs.
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
    fn what_holds_other_values_is_told_by_its_type_alone() {
        for text in ["[\"hunter2\"]", "{ a = \"hunter2\" }", "[[\"hunter2\"]]"] {
            let complaints = complaints(text);
            assert_eq!(complaints.len(), 7, "{text}: {complaints:?}");
            for complaint in complaints {
                assert!(!complaint.contains("hunter2"), "{complaint}");
            }
        }
    }

    #[test]
    fn a_word_that_is_wrong_is_quoted_back() {
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
