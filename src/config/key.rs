//! The table of keys as data: each key's name, type, default, range and effect. The reader checks values
//! against it, and `docs/configuration.md` is written from it.

use std::{any::TypeId, fmt};

use toml::Value;

use super::setting::Setting;

/// A table of the configuration file, such as `[cache]`, with its keys and inner tables.
#[derive(Debug)]
pub struct Section {
    /// Its name; `NAME` where the operator chooses it.
    pub name: &'static str,
    /// One sentence about it.
    pub about: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// The tables in it.
    pub sections: &'static [Section],
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in its section.
    pub name: &'static str,
    /// An older name that is still read.
    pub old_name: Option<&'static str>,
    /// The type of its value.
    pub kind: Kind,
    /// The value that counts if the key is left out.
    pub default: DefaultValue,
    /// The values that are allowed, where not all of the type are.
    pub range: Option<Range>,
    /// When a change takes effect.
    pub effect: Effect,
    /// One sentence about it.
    pub about: &'static str,
    rust_type: fn() -> TypeId,
    check: fn(&Key, &Value) -> Result<(), String>,
}

/// The value of a key that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// This value; a list has commas between its items.
    Value(&'static str),
    /// None, which means this.
    Absent(&'static str),
    /// The key cannot be left out; this is the remedy.
    Required(&'static str),
}

/// When a change of a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// With the next reload.
    Reload,
    /// With the next restart.
    Restart,
    /// With the next reload, except for this.
    ReloadExcept(&'static str),
}

/// The lowest and the highest value, both allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The lowest.
    pub lowest: &'static str,
    /// The highest, if there is one.
    pub highest: Option<&'static str>,
}

/// The type of a value, for people.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `"0.0.0.0:8080"` or `"unix:/path"`
    Address,
    /// One of a few words.
    Choice(fn() -> Vec<&'static str>),
    /// `"24h"`
    Duration,
    /// `true` or `false`
    Flag,
    /// `"*.whatsapp.net"`
    Host,
    /// `"628123@c.us"`
    Jid,
    /// `["a", "b"]`
    List(&'static Kind),
    /// `"172.16.0.0/12"`
    Network,
    /// A whole number from 1.
    Number,
    /// A path of a file or a directory.
    Path,
    /// `"env:NAME"` or `"file:PATH"`
    Secret,
    /// `"256MiB"`
    Size,
    /// Any text.
    Text,
    /// `"03:00"`
    TimeOfDay,
    /// `"https://host/path"`
    Url,
}

// === impl Section ===

impl Section {
    /// Every key in this section and the sections in it, each with its path, such as `cache.negative.empty`.
    pub fn all_keys(&self) -> Vec<(String, &'static Key)> {
        let mut found = Vec::new();
        self.collect("", &mut found);
        found
    }

    fn collect(&self, path: &str, found: &mut Vec<(String, &'static Key)>) {
        let below = |name: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        found.extend(self.keys.iter().map(|key| (below(key.name), key)));
        for section in self.sections {
            section.collect(&below(section.name), found);
        }
    }
}

// === impl Key ===

impl Key {
    /// A key with a default.
    pub(super) const fn new<T: Setting>(
        name: &'static str,
        default: &'static str,
        about: &'static str,
    ) -> Self {
        Self::with_default::<T>(name, DefaultValue::Value(default), about)
    }

    /// A key that may be left out, which means `absent`.
    pub(super) const fn optional<T: Setting>(
        name: &'static str,
        absent: &'static str,
        about: &'static str,
    ) -> Self {
        Self::with_default::<T>(name, DefaultValue::Absent(absent), about)
    }

    /// A key that cannot be left out; `remedy` completes "is missing".
    pub(super) const fn required<T: Setting>(
        name: &'static str,
        remedy: &'static str,
        about: &'static str,
    ) -> Self {
        Self::with_default::<T>(name, DefaultValue::Required(remedy), about)
    }

    const fn with_default<T: Setting>(
        name: &'static str,
        default: DefaultValue,
        about: &'static str,
    ) -> Self {
        Self {
            name,
            old_name: None,
            kind: T::KIND,
            default,
            range: None,
            effect: Effect::Reload,
            about,
            rust_type: TypeId::of::<T>,
            check: |key, value| key.read::<T>(value).map(|_| ()),
        }
    }

    /// Allows nothing below `lowest`.
    pub(super) const fn at_least(mut self, lowest: &'static str) -> Self {
        self.range = Some(Range {
            lowest,
            highest: None,
        });
        self
    }

    /// Allows nothing below `lowest` and nothing above `highest`.
    pub(super) const fn within(mut self, lowest: &'static str, highest: &'static str) -> Self {
        self.range = Some(Range {
            lowest,
            highest: Some(highest),
        });
        self
    }

    /// Takes effect with a restart alone.
    pub(super) const fn at_restart(mut self) -> Self {
        self.effect = Effect::Restart;
        self
    }

    /// Takes effect with a reload, except for `part`.
    pub(super) const fn reloads_except(mut self, part: &'static str) -> Self {
        self.effect = Effect::ReloadExcept(part);
        self
    }

    /// Is read under `old_name`, too.
    pub(super) const fn renamed_from(mut self, old_name: &'static str) -> Self {
        self.old_name = Some(old_name);
        self
    }

    /// Checks `value`. The error is the remedy.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        (self.check)(self, value)
    }

    /// The default as it is written in the file; `None` where there is no value.
    pub fn default_toml(&self) -> Option<String> {
        match self.default {
            DefaultValue::Value(text) => Some(self.toml(text)),
            _ => None,
        }
    }

    /// A value from an environment variable, or a default, as it is written in the file.
    pub(super) fn toml(&self, text: &str) -> String {
        let quoted = |text: &str| Value::String(text.to_owned()).to_string();
        match self.kind {
            Kind::Flag | Kind::Number => text.to_owned(),
            Kind::List(_) => {
                let items = text.split(',').map(str::trim);
                let items: Vec<_> = items.filter(|item| !item.is_empty()).map(quoted).collect();
                format!("[{}]", items.join(", "))
            }
            _ => quoted(text),
        }
    }

    /// Whether the table and the reader mean the same type.
    pub(super) fn is_of<T: 'static>(&self) -> bool {
        (self.rust_type)() == TypeId::of::<T>()
    }

    /// Reads `value`. The error is the remedy.
    pub(super) fn read<T: Setting>(&self, value: &Value) -> Result<T, String> {
        let read = T::read(value)?;
        match self.range {
            Some(range) if !range.holds(&read) => Err(format!("must be {range}")),
            _ => Ok(read),
        }
    }
}

// === impl Range ===

impl Range {
    fn holds<T: Setting>(&self, value: &T) -> bool {
        let bound = |text: &str| T::read(&Value::String(text.to_owned())).ok()?.magnitude();
        let is_high_enough = bound(self.lowest) <= value.magnitude();
        let is_low_enough = self
            .highest
            .is_none_or(|highest| value.magnitude() <= bound(highest));
        is_high_enough && is_low_enough
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.highest {
            Some(highest) => write!(f, "from {} to {highest}", self.lowest),
            None => write!(f, "{} or more", self.lowest),
        }
    }
}

// === impl Kind ===

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Address => "address",
            Kind::Choice(choices) => return f.write_str(&any_of(&choices())),
            Kind::Duration => "duration",
            Kind::Flag => "true or false",
            Kind::Host => "host",
            Kind::Jid => "JID",
            Kind::List(item) => return write!(f, "list of {item}s"),
            Kind::Network => "network",
            Kind::Number => "number",
            Kind::Path => "path",
            Kind::Secret => "secret",
            Kind::Size => "size",
            Kind::Text => "text",
            Kind::TimeOfDay => "time of day",
            Kind::Url => "URL",
        })
    }
}

/// `a, b or c`
fn any_of(names: &[&str]) -> String {
    match names {
        [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        names => names.concat(),
    }
}
