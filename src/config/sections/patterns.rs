//! Reads the tables of instances whose name is a pattern, such as `[instances."shop-*"]`.

use std::{num::NonZeroU32, time::Duration};

use super::instances::is_same_gateway;
use crate::{
    config::{Instance, InstancePattern, key::Key, reader::Reader},
    pipeline::{NamePattern, winner},
};

pub(super) const MAX_NAMES: Key = Key::new::<NonZeroU32>(
    "max_names",
    "1000",
    "Where the name has a `*`: how many names are in memory at once. Clients of `access.mode = \"open\"` without a credential fill half of them at most; there, a name without a picture yields to one of another client.",
)
.within("1", "100000");

pub(super) const IDLE: Key = Key::new::<Duration>(
    "idle",
    "24h",
    "Where the name has a `*`: how long a name without requests stays in memory. Its faces and its budget stay on disk.",
)
.at_least("1m");

/// The placeholder of the instance's name in `account`.
const INSTANCE: &str = "{instance}";

/// The keys that only a pattern has.
pub(super) struct PatternKeys {
    names: NamePattern,
    max_names: usize,
    idle: Duration,
}

/// The account where none is written.
pub(super) fn default_account(name: &str) -> String {
    match NamePattern::parse(name) {
        Some(_) => INSTANCE.to_owned(),
        None => name.to_owned(),
    }
}

/// The keys of a pattern. `None` for an instance with a name of its own, which cannot have them.
pub(super) fn read(reader: &Reader<'_>, name: &str) -> Option<PatternKeys> {
    let max_names = reader.get::<NonZeroU32>(MAX_NAMES.name).get() as usize;
    let idle = reader.get(IDLE.name);
    let names = NamePattern::parse(name);
    if names.is_none() {
        for key in [MAX_NAMES.name, IDLE.name] {
            reader.omit_value(key);
            if reader.has(key) {
                reader.problem(
                    key,
                    "is for a name with a *, such as [instances.\"shop-*\"]; leave it out".into(),
                );
            }
        }
    }
    Some(PatternKeys {
        names: names?,
        max_names,
        idle,
    })
}

impl PatternKeys {
    /// Joins the keys with those that every instance has.
    pub(super) fn complete(
        self,
        reader: &Reader<'_>,
        template: Instance,
    ) -> Option<InstancePattern> {
        if template.pass_through {
            reader.problem(
                "pass_through",
                "needs an instance with a name of its own; add one for the gateway, and set it there".into(),
            );
        }
        if template.account.own.is_some() {
            reader.problem(
                "own_jid",
                "is one account's, and a pattern has many; leave it out".into(),
            );
        }
        if !template.provider.is_push() && !template.provider.uses_account() {
            reader.problem(
                "account",
                "this gateway tells its accounts apart by their tokens alone, so each needs a table of its own".into(),
            );
        }
        let Some(account) = NamePattern::split(&template.account.name, INSTANCE) else {
            reader.problem(
                "account",
                "has to have {instance} in it once, which stands for the instance's name; otherwise all names would be one account".into(),
            );
            return None;
        };
        Some(InstancePattern {
            names: self.names,
            account,
            template,
            max_names: self.max_names,
            idle: self.idle,
        })
    }
}

/// Reports pairs of patterns that match one name equally well, and accounts that would have two names and so two
/// budgets.
pub(super) fn check(
    reader: &Reader<'_>,
    instances: &[Instance],
    patterns: &[InstancePattern],
    are_strangers_allowed: bool,
) {
    let at_one_gateway =
        |one: &InstancePattern, other: &Instance| is_same_gateway(&one.template, other);
    for (index, pattern) in patterns.iter().enumerate() {
        let key = format!("\"{}\".account", pattern.names);
        if are_strangers_allowed {
            reader.warning(
                &format!("\"{}\"", pattern.names),
                "with access.mode = \"open\", every client that reaches the listener can cause calls for any matching account; sign the URLs, or list the names",
            );
        }
        for other in &patterns[..index] {
            let is_tied = pattern.names.literals() == other.names.literals();
            if is_tied && pattern.names.overlaps(&other.names) {
                reader.problem(
                    &format!("\"{}\"", pattern.names),
                    format!(
                        "has as many letters beside its * as [instances.\"{}\"], and a name can match both; write a longer one, which counts before a shorter one",
                        other.names
                    ),
                );
            }
            let accounts = pattern.names.within(&pattern.account);
            let others = other.names.within(&other.account);
            if at_one_gateway(pattern, &other.template)
                && pattern.account != other.account
                && accounts.overlaps(&others)
            {
                reader.problem(
                    &key,
                    format!(
                        "can be the account of a name of [instances.\"{}\"], too, and would get a second budget; write {{instance}} into both in the same way",
                        other.names
                    ),
                );
            }
        }
        for instance in instances {
            if !at_one_gateway(pattern, instance) {
                continue;
            }
            let Some(name) = pattern.account.capture(&instance.account.name) else {
                continue;
            };
            let is_exact = instances.iter().any(|other| other.name == name);
            let counts = winner(patterns, |pattern| &pattern.names, name);
            if !is_exact && counts.is_some_and(|counts| counts.names == pattern.names) {
                reader.problem(
                    &format!("{}.account", instance.name),
                    format!(
                        "is the account of {name}, a name of [instances.\"{}\"], too, and would get a second budget; call this instance {name}",
                        pattern.names
                    ),
                );
            }
        }
    }
}
