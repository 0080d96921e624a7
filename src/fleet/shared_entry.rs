//! An entry as it lies in Redis: JSON, whose times are those of the server's clock.

use serde::{Deserialize, Serialize};

use crate::{
    avatar::{Entry, LastAttempt, Proof},
    clock::Timestamp,
};

/// The format of entries. A replica leaves entries of another format alone.
const FORMAT: u32 = 1;

/// An entry of the fleet, without the bytes of its picture, and its times on this replica's clock.
#[derive(Clone, Debug)]
pub struct SharedEntry {
    /// Its version.
    pub version: u64,
    /// The last attempt.
    pub last: LastAttempt,
    /// The picture, if it has one.
    pub picture: Option<SharedPicture>,
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
    format: u32,
    last: LastAttempt,
    picture: Option<SharedPicture>,
}

impl SharedEntry {
    /// The text of `entry` for Redis.
    pub(super) fn encode(entry: &Entry, offset: Offset) -> String {
        let record = Record {
            format: FORMAT,
            last: entry.last,
            picture: entry.picture.as_ref().map(|stored| SharedPicture {
                link_id: stored.link_id.clone(),
                changed_at: stored.changed_at,
                confirmed_at: stored.confirmed_at,
                from: stored.from.as_deref().map(str::to_owned),
                proof: stored.picture.proof(),
            }),
        };
        // Text of these types always has a JSON form.
        serde_json::to_string(&record.shifted(|time| offset.to_server(time))).unwrap_or_default()
    }

    /// The entry of a text from Redis. `None` if it has another format.
    pub(super) fn decode(version: u64, text: &str, offset: Offset) -> Option<Self> {
        let record: Record = serde_json::from_str(text).ok()?;
        (record.format == FORMAT).then(|| {
            let Record { last, picture, .. } = record.shifted(|time| offset.to_local(time));
            Self {
                version,
                last,
                picture,
            }
        })
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
