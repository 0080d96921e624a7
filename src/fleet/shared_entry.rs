//! An entry as it lies in Redis: JSON, whose times are those of the server's clock.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    avatar::{Entry, LastAttempt, Proof},
    clock::Timestamp,
};

/// The format of entries. A replica leaves entries of another format alone. Members may be added without a new format:
/// a replica keeps those that it does not know.
pub(super) const FORMAT: u32 = 1;

/// An entry of the fleet, without the bytes of its picture, and its times on this replica's clock.
#[derive(Clone, Debug)]
pub struct SharedEntry {
    /// Its version.
    pub version: u64,
    /// The last attempt.
    pub last: LastAttempt,
    /// The picture, if it has one.
    pub picture: Option<SharedPicture>,
    /// The members that this version does not know.
    pub(super) unknown: Map<String, Value>,
}

/// A picture of the fleet, without its bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SharedPicture {
    /// The identity of its link.
    pub link_id: Option<String>,
    /// When its bytes were first seen.
    pub changed_at: Timestamp,
    /// When the vendor last confirmed it.
    pub confirmed_at: Timestamp,
    /// The instance that it is from, where that is another one.
    #[serde(default)]
    pub from: Option<String>,
    /// The proof that its bytes are compared with.
    pub proof: Proof,
}

/// How far the server's clock is ahead of this replica's, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offset(pub(super) i64);

#[derive(Serialize, Deserialize)]
struct Record {
    last: LastAttempt,
    picture: Option<SharedPicture>,
}

impl SharedEntry {
    /// The text of `entry` for Redis. `unknown` are the members of the entry that it replaces that this version does not
    /// know.
    pub(super) fn encode(entry: &Entry, unknown: &Map<String, Value>, offset: Offset) -> String {
        let record = Record {
            last: entry.last,
            picture: entry.picture.as_ref().map(|stored| SharedPicture {
                link_id: stored.link_id.clone(),
                changed_at: stored.changed_at,
                confirmed_at: stored.confirmed_at,
                from: stored.from.as_deref().map(str::to_owned),
                proof: stored.picture.proof(),
            }),
        };
        let mut members = members(&record.shifted(|time| offset.to_server(time)));
        add_missing(&mut members, unknown);
        // Text of these types always has a JSON form. The scripts read the format at its beginning.
        let text = serde_json::to_string(&members).unwrap_or_default();
        format!(
            "{{\"format\":{FORMAT},{}",
            text.get(1..).unwrap_or_default()
        )
    }

    /// The entry of a text from Redis. `None` if it has another format.
    pub(super) fn decode(version: u64, text: &str, offset: Offset) -> Option<Self> {
        let mut unknown: Map<String, Value> = serde_json::from_str(text).ok()?;
        if unknown.remove("format")?.as_u64() != Some(u64::from(FORMAT)) {
            return None;
        }
        let record: Record = serde_json::from_str(text).ok()?;
        remove_known(&mut unknown, &members(&record));
        let Record { last, picture } = record.shifted(|time| offset.to_local(time));
        Some(Self {
            version,
            last,
            picture,
            unknown,
        })
    }
}

/// The members of a record in JSON.
fn members(record: &Record) -> Map<String, Value> {
    match serde_json::to_value(record) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// Removes the members that are in `known`, also those within members.
fn remove_known(unknown: &mut Map<String, Value>, known: &Map<String, Value>) {
    unknown.retain(|name, value| match (value, known.get(name)) {
        (Value::Object(inner), Some(Value::Object(known))) => {
            remove_known(inner, known);
            !inner.is_empty()
        }
        (_, known) => known.is_none(),
    });
}

/// Adds the members of `unknown`, also those within members that are still there.
fn add_missing(members: &mut Map<String, Value>, unknown: &Map<String, Value>) {
    for (name, value) in unknown {
        match (members.get_mut(name), value) {
            (Some(Value::Object(inner)), Value::Object(unknown)) => add_missing(inner, unknown),
            (Some(_), _) => {}
            (None, value) => {
                members.insert(name.clone(), value.clone());
            }
        }
    }
}

impl Record {
    fn shifted(mut self, shift: impl Fn(Timestamp) -> Timestamp) -> Self {
        let last = &mut self.last;
        for time in [
            &mut last.asked_at,
            &mut last.answer_asked_at,
            &mut last.retry_at,
            &mut last.last_strike_at,
        ] {
            *time = shift(*time);
        }
        if let Some(picture) = &mut self.picture {
            picture.changed_at = shift(picture.changed_at);
            picture.confirmed_at = shift(picture.confirmed_at);
        }
        self
    }
}

impl Offset {
    /// The offset of a server whose clock said `server` when this replica's said `local`.
    pub(super) fn between(server: Timestamp, local: Timestamp) -> Self {
        let millis = |time: Timestamp| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self(millis(server).saturating_sub(millis(local)))
    }

    pub(super) fn to_server(self, time: Timestamp) -> Timestamp {
        shift(time, self.0)
    }

    pub(super) fn to_local(self, time: Timestamp) -> Timestamp {
        shift(time, self.0.saturating_neg())
    }
}

/// A time that is zero means none, on every clock.
fn shift(time: Timestamp, by: i64) -> Timestamp {
    match time.as_millis() {
        0 => time,
        millis => Timestamp::from_millis(millis.saturating_add_signed(by).max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry in Redis, as a version with more members would write it.
    fn newer(format: u32) -> String {
        let tombstone = Entry::tombstone(Timestamp::from_secs(5), Timestamp::from_secs(9));
        let text = SharedEntry::encode(&tombstone, &Map::new(), Offset(0));
        let text = text.replace("\"format\":1", &format!("\"format\":{format}"));
        let text = text.replace("\"last\":{", "\"last\":{\"mood\":[1,2],");
        text.replace("\"picture\":null", "\"picture\":null,\"more\":{\"a\":true}")
    }

    #[test]
    fn members_of_a_newer_version_are_kept() {
        let entry = SharedEntry::decode(1, &newer(1), Offset(1000)).unwrap();
        assert_eq!(entry.last.asked_at, Timestamp::from_secs(4));
        let next = Entry {
            picture: None,
            last: entry.last,
        };
        let text = SharedEntry::encode(&next, &entry.unknown, Offset(1000));
        let (text, before): (Value, Value) = (
            serde_json::from_str(&text).unwrap(),
            serde_json::from_str(&newer(1)).unwrap(),
        );
        assert_eq!(text, before);
    }

    #[test]
    fn an_entry_of_another_format_is_none() {
        assert!(SharedEntry::decode(1, &newer(2), Offset(0)).is_none());
        assert!(SharedEntry::decode(1, "{}", Offset(0)).is_none());
    }

    #[test]
    fn the_format_is_where_the_scripts_look_for_it() {
        let tombstone = Entry::tombstone(Timestamp::from_secs(5), Timestamp::from_secs(9));
        let text = SharedEntry::encode(&tombstone, &Map::new(), Offset(0));
        assert!(text.starts_with("{\"format\":1,\"last\""), "{text}");
    }
}
