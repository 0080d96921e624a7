//! Reads `fallback` of an instance: the other instances that are asked for a person without a picture here.

use crate::config::{Instance, InstancePattern, key::Key, reader::Reader};

pub(super) const FALLBACK: Key = Key::new::<Vec<String>>(
    "fallback",
    "",
    "The names of [other instances](operations.md#fallback) that are asked for a person if this one has no picture, or its vendor no call.",
);

/// The most instances in a list.
const MAX: usize = 8;

/// Reports names that no instance has, and circles.
pub(super) fn check(reader: &Reader<'_>, instances: &[Instance], patterns: &[InstancePattern]) {
    let templates = patterns.iter().map(|pattern| &pattern.template);
    for instance in instances.iter().chain(templates) {
        let is_pattern = instance.name.contains('*');
        let key = match is_pattern {
            true => format!("\"{}\".fallback", instance.name),
            false => format!("{}.fallback", instance.name),
        };
        if instance.fallback.len() > MAX {
            reader.problem(&key, format!("has more than {MAX} names; drop some"));
        }
        for name in &instance.fallback {
            if !instances.iter().any(|other| other.name == *name) {
                reader.problem(
                    &key,
                    format!(
                        "has {name:?}, which is no instance with a table of its own; write the name of one"
                    ),
                );
            }
        }
        if !is_pattern && reaches(instances, instance, &instance.name) {
            reader.problem(
                &key,
                "leads back to this instance; each would wait for the other, so leave one of them out".into(),
            );
        }
    }
}

/// Whether the fallbacks of `from`, or theirs, name the instance `wanted`.
fn reaches(instances: &[Instance], from: &Instance, wanted: &str) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut next: Vec<&str> = from.fallback.iter().map(String::as_str).collect();
    while let Some(name) = next.pop() {
        if name == wanted {
            return true;
        }
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let found = instances.iter().find(|instance| instance.name == name);
        next.extend(
            found
                .iter()
                .flat_map(|found| &found.fallback)
                .map(String::as_str),
        );
    }
    false
}
