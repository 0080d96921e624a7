//! Publishes this replica's changes that are not fetches, such as a purge, in the account's log, which its siblings read.

use std::{collections::HashMap, time::Duration};

use redis::FromRedisValue;
use tokio::time::{self, Instant};

use super::{
    account::{SharedAccount, millis},
    answer::trouble_text,
    face::Face,
    link::EngineFailure,
    reading::Position,
    scripts,
};
use crate::{
    avatar::{Jid, Subject, Trouble},
    clock::Timestamp,
};

/// How many of the live replicas have forgotten a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Those that have applied it.
    pub applied: usize,
    /// All live replicas.
    pub of: usize,
}

/// A change in the log that siblings are about to apply.
#[derive(Clone, Copy, Debug)]
pub struct LoggedChange(Position);

/// For this long after the first note, a replica without one may have the account.
const NEW: Duration = Duration::from_secs(30);
/// A pause that began so soon after it was lifted ends, too: a replica does not know the server's clock exactly.
const LIFT_SLACK: Duration = Duration::from_secs(1);
/// How often the siblings' positions are looked at.
const LOOK: Duration = Duration::from_millis(20);

impl SharedAccount {
    /// Forgets a face everywhere.
    pub async fn forget(
        &self,
        subject: &Subject,
        time: Duration,
    ) -> Result<LoggedChange, EngineFailure> {
        let (_, change) = self
            .change("forget", Some(subject), millis(time), "")
            .await?;
        let face = self.face(subject);
        self.member
            .pictures
            .forget(&self.picture_name(&face))
            .await?;
        change.ok_or(EngineFailure)
    }

    /// Removes the entry of a face everywhere.
    pub async fn remove(&self, subject: &Subject) -> Result<(), EngineFailure> {
        let (version, _) = self.change("remove", Some(subject), 0, "").await?;
        self.record_removed(subject, version);
        let name = self.picture_name(&self.face(subject));
        // What is not deleted is no entry's any more. Made again, the change would remove newer entries, too.
        let _ = self.member.pictures.delete_all(&name).await;
        Ok(())
    }

    /// Purges all faces of the account. `mode` is for the siblings.
    pub async fn purge(&self, mode: &str) -> Result<(), EngineFailure> {
        let (version, _) = self.change("purge", None, 0, mode).await?;
        self.reading.record_purge(version);
        Ok(())
    }

    /// Pauses the account for all.
    pub async fn pause(&self, time: Duration, why: Trouble) -> Result<(), EngineFailure> {
        let text = trouble_text(why);
        self.change("pause", None, millis(time), &text)
            .await
            .map(|_| ())
    }

    /// Ends the pause of the account for all, unless it began after `lifted_at` on the server's clock.
    pub async fn lift_pause(&self, lifted_at: Timestamp) -> Result<(), EngineFailure> {
        let until = lifted_at + LIFT_SLACK;
        self.change("lift", None, until.as_millis(), "")
            .await
            .map(|_| ())
    }

    /// The time of the server's clock, as far as it is known.
    pub fn server_time(&self) -> Timestamp {
        self.member.server_time()
    }

    /// Tells all the number behind a LID.
    pub async fn share_number(&self, lid: Jid, number: Jid) -> Result<(), EngineFailure> {
        let number = self.face(&Subject::Chat(number));
        let lid = Subject::Chat(lid);
        self.change("lid", Some(&lid), 0, number.member())
            .await
            .map(|_| ())
    }

    /// The number behind a LID, as a sibling has learned it.
    pub async fn number(&self, lid: Jid) -> Result<Option<Jid>, EngineFailure> {
        let face = self.face(&Subject::Chat(lid));
        let command = redis::cmd("HGET")
            .arg(self.key("lids"))
            .arg(face.member())
            .take();
        let value = self.member.link.send("get", &command).await?;
        let sealed = Option::<String>::from_redis_value(value).ok().flatten();
        let opened = sealed.and_then(|sealed| self.open(&sealed));
        Ok(match opened {
            Some((_, Subject::Chat(number))) => Some(number),
            _ => None,
        })
    }

    /// Takes the lease of something that one replica is to do, such as the warm-up of a day. Returns whether this one is
    /// to do it.
    pub async fn take_turn(&self, name: &str, time: Duration) -> Result<bool, EngineFailure> {
        let command = redis::cmd("SET")
            .arg(self.key(name))
            .arg(&self.member.id)
            .arg("NX")
            .arg("PX")
            .arg(millis(time))
            .take();
        let value = self.member.link.send("turn", &command).await?;
        Ok(value != redis::Value::Nil)
    }

    /// Waits until all live replicas have applied a change, at most `limit`.
    pub async fn wait_until_applied(
        &self,
        change: LoggedChange,
        limit: Duration,
    ) -> Result<Spread, EngineFailure> {
        let until = Instant::now() + limit;
        loop {
            let spread = self.spread(change).await?;
            if spread.applied == spread.of || Instant::now() >= until {
                return Ok(spread);
            }
            time::sleep(LOOK).await;
        }
    }

    /// Ends a lease.
    pub(super) async fn release(
        &self,
        subject: &Subject,
        token: &str,
    ) -> Result<(), EngineFailure> {
        self.change("release", Some(subject), 0, token)
            .await
            .map(|_| ())
    }

    async fn spread(&self, change: LoggedChange) -> Result<Spread, EngineFailure> {
        let command = redis::cmd("HGETALL").arg(self.key("readers")).take();
        let value = self.member.link.send("readers", &command).await?;
        let readers: HashMap<String, String> =
            FromRedisValue::from_redis_value(value).unwrap_or_default();
        let since = self.noted_since().await?;
        let now = self.member.server_time();
        // After a flush of Redis, replicas may not have noted yet how far they have applied the log.
        let is_new = since.is_none_or(|since| now.since(Timestamp::from_millis(since)) < NEW);
        let living = self.member.living().await?;
        let mut spread = Spread { applied: 1, of: 1 };
        // This replica has applied its own change.
        for replica in living.iter().filter(|id| **id != self.member.id) {
            let noted = readers.get(replica).map(String::as_str);
            let mut parts = noted.unwrap_or_default().split(' ');
            let position = parts.next().and_then(Position::parse);
            let counts = match (noted, parts.next()) {
                // It has no such account, as far as is known.
                (None, _) => is_new,
                // A replica that has dropped the account catches up before it serves its faces again.
                (_, flag) => flag.is_some_and(|flag| flag != "0"),
            };
            spread.of += usize::from(counts);
            spread.applied += usize::from(counts && position >= Some(change.0));
        }
        let least = self.member.least_living(&living);
        spread.of = spread.of.max(usize::try_from(least).unwrap_or(usize::MAX));
        Ok(spread)
    }

    /// Makes a change. Returns its value, which is the version at which it removes entries, and its place in the log.
    async fn change(
        &self,
        kind: &str,
        subject: Option<&Subject>,
        value: u64,
        text: &str,
    ) -> Result<(u64, Option<LoggedChange>), EngineFailure> {
        let face = subject.map(|subject| self.face(subject));
        let key = |part: &str| match &face {
            Some(face) => self.face_key(part, face),
            None => self.key(part),
        };
        let mut script = scripts::CHANGE.prepare_invoke();
        script
            .key(self.key("account"))
            .key(key("entry"))
            .key(key("lease"))
            .key(self.key("forgotten"))
            .key(self.key("log"))
            .key(key("picture"))
            .key(self.key("lids"))
            .arg(kind)
            .arg(face.as_ref().map_or("", Face::member))
            .arg(value)
            .arg(text)
            .arg(&self.member.id)
            .arg(millis(self.member.keep_entries));
        let answer = self.member.run("change", &script).await?;
        let place = Position::parse(&answer.text(1)).map(LoggedChange);
        Ok((answer.number(0), place))
    }
}
