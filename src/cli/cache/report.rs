//! The output of `faceplate cache`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::{Value, json};

use super::export::ExportCounts;
use crate::{
    cli::output::say,
    cli::progress::rough_duration,
    clock::Timestamp,
    store::{ContentCount, Damage, InspectedEntry},
};

/// The figures of the cache directory.
pub(super) struct Stats<'a> {
    pub(super) dir: &'a Path,
    pub(super) rows: &'a [InspectedEntry],
    pub(super) damage: &'a [Damage],
    pub(super) contents: ContentCount,
    /// The names of the configured instances' faces.
    pub(super) names_in_use: BTreeSet<String>,
}

pub(super) fn stats(stats: &Stats<'_>, as_json: bool) {
    let Stats { rows, contents, .. } = stats;
    let bytes: u64 = rows.iter().filter_map(|row| row.picture).sum();
    let pictures = rows.iter().filter(|row| row.picture.is_some()).count();
    let outcomes = counted(rows.iter().map(|row| row.outcome.as_str()));
    let instances = counted(rows.iter().map(|row| row.instance.as_str()));
    let is_unused = |name: &str| !stats.names_in_use.contains(name);
    let unused: BTreeMap<_, _> = instances
        .iter()
        .filter(|(name, _)| is_unused(name))
        .collect();
    if as_json {
        let stats = json!({
            "dir": stats.dir, "entries": rows.len(), "pictures": pictures, "picture_bytes": bytes,
            "files": contents.all, "orphans": contents.unreferenced, "damaged": stats.damage.len(),
            "outcomes": outcomes, "instances": instances, "unused": unused,
        });
        say!("{stats}");
        return;
    }
    say!("{}", stats.dir.display());
    say!(
        "  {} entries, {pictures} with a picture, {bytes} bytes of pictures",
        rows.len()
    );
    say!(
        "  {} picture files, {} of them without an entry, {} entries damaged",
        contents.all,
        contents.unreferenced,
        stats.damage.len()
    );
    let unused_entries: u64 = unused.values().copied().sum();
    if unused_entries > 0 {
        say!(
            "  {unused_entries} entries of accounts that are not configured; faceplate cache rename gives them to an instance"
        );
    }
    say!("  by last outcome:");
    for (name, count) in outcomes {
        say!("    {count:>8} {name}");
    }
    say!("  by instance:");
    for (name, count) in &instances {
        let note = if is_unused(name) {
            " (not configured)"
        } else {
            ""
        };
        say!("    {count:>8} {name}{note}");
    }
}

pub(super) fn list(rows: &[InspectedEntry], now: Timestamp, show_jids: bool, as_json: bool) {
    if !as_json {
        say!(
            "{}",
            columns("KEY", "INSTANCE", "JID", "OUTCOME", "BYTES", "AGE")
        );
    }
    for row in rows {
        let subject = if show_jids {
            row.subject.clone()
        } else {
            masked(&row.subject)
        };
        let age = now.since(row.written).as_secs();
        if as_json {
            let line = json!({
                "key": row.key, "instance": row.instance, "jid": subject, "outcome": row.outcome,
                "bytes": row.picture, "age_seconds": age,
            });
            say!("{line}");
        } else {
            let bytes = row
                .picture
                .map_or("-".to_owned(), |bytes| bytes.to_string());
            let (outcome, age) = (row.outcome.as_str(), rough_duration(age));
            say!(
                "{}",
                columns(&row.key, &row.instance, &subject, outcome, &bytes, &age)
            );
        }
    }
}

/// A line of the list.
fn columns(
    key: &str,
    instance: &str,
    subject: &str,
    outcome: &str,
    bytes: &str,
    age: &str,
) -> String {
    format!("{key:<32} {instance:<16} {subject:<28} {outcome:<14} {bytes:>9} {age:>8}")
}

pub(super) fn verify(good: usize, damage: &[Damage], as_json: bool) {
    let kinds = counted(damage.iter().map(|damage| match damage {
        Damage::Index => "index",
        Damage::Missing => "missing",
        Damage::Content => "content",
    }));
    if as_json {
        say!(
            "{}",
            json!({ "good": good, "damaged": damage.len(), "kinds": kinds })
        );
    } else {
        say!("{good} entries are good, {} damaged", damage.len());
        for (kind, count) in kinds {
            say!("  {count:>8} {kind}");
        }
    }
}

pub(super) fn renamed(counts: &Value, as_json: bool) {
    if as_json {
        say!("{counts}");
    } else {
        say!(
            "{} faces renamed; {} had the new name already",
            counts["renamed"],
            counts["known"]
        );
    }
}

pub(super) fn exported(exported: &ExportCounts, as_json: bool) {
    if as_json {
        say!("{}", json!(exported));
    } else {
        say!(
            "{} pictures exported, {} damaged",
            exported.pictures,
            exported.damaged
        );
    }
}

pub(super) fn health(entries: u64, bytes: u64, evicted: u64) -> Value {
    json!({ "entries": entries, "bytes": bytes, "evicted": evicted })
}

pub(super) fn maintained(health: &Value, as_json: bool) {
    if as_json {
        say!("{health}");
    } else {
        say!(
            "{} entries in {} bytes on disk; {} evicted since the start",
            health["entries"],
            health["bytes"],
            health["evicted"]
        );
    }
}

fn counted<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}

/// `628123456789@c.us` becomes `628…789@c.us`.
fn masked(subject: &str) -> String {
    match subject.split_once('@') {
        Some((user, server)) if user.len() > 6 && user.is_ascii() => {
            format!("{}…{}@{server}", &user[..3], &user[user.len() - 3..])
        }
        Some((_, server)) => format!("…@{server}"),
        None => subject.to_owned(),
    }
}
