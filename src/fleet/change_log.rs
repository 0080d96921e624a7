//! Hears of the siblings' changes: a blocking read of the accounts' logs, and after each new connection the list of
//! forgotten faces, because the log may have been cut or lost meanwhile.

use std::{collections::HashMap, sync::Arc, time::Duration};

use redis::{
    AsyncCommands, RedisResult,
    aio::MultiplexedConnection,
    streams::{StreamId, StreamRangeReply, StreamReadOptions, StreamReadReply},
};
use tokio::time;

use super::{
    account::SharedAccount,
    answer::{text, trouble},
    membership::Fleet,
};
use crate::{
    avatar::{Subject, Trouble},
    clock::Timestamp,
};

/// Reads the siblings' changes.
#[derive(Debug)]
pub struct ChangeLog {
    fleet: Fleet,
    connection: Option<MultiplexedConnection>,
    /// The last change that was read, by account.
    positions: HashMap<String, Position>,
}

/// A change that a sibling made.
#[derive(Debug)]
pub struct Change {
    /// The account.
    pub account: Arc<SharedAccount>,
    /// The kind of change.
    pub kind: ChangeKind,
}

/// The kind of a sibling's change.
#[derive(Debug)]
pub enum ChangeKind {
    /// There is a newer entry of a face.
    Committed(Subject),
    /// A face was forgotten, for this long from now.
    Forgotten(Subject, Duration),
    /// The entry of a face was removed.
    Removed(Subject),
    /// All faces were purged, in this mode.
    Purged(String),
    /// The account pauses, for this long from now.
    Paused(Duration, Trouble),
    /// The pause was lifted.
    LiftedPause,
}

/// A position in a log: milliseconds and a number.
type Position = (u64, u64);

/// How long a read waits for a change.
const WAIT: Duration = Duration::from_secs(2);
/// A read that takes longer means that the connection is gone.
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
/// The most changes of a read.
const BATCH: usize = 256;

impl ChangeLog {
    /// A reader that has read nothing yet.
    pub fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            connection: None,
            positions: HashMap::new(),
        }
    }

    /// The next changes; none if nothing changes for two seconds, or while Redis does not answer.
    pub async fn next(&mut self) -> Vec<Change> {
        let changes = time::timeout(LIMIT, self.try_next()).await;
        match changes {
            Ok(Some(changes)) => changes,
            Ok(None) | Err(_) => {
                self.connection = None;
                time::sleep(PAUSE).await;
                Vec::new()
            }
        }
    }

    async fn try_next(&mut self) -> Option<Vec<Change>> {
        let accounts = self.fleet.accounts();
        let is_new = self.connection.is_none();
        if is_new {
            self.connection = Some(self.fleet.member.link.open_waiting().await.ok()?);
        }
        let mut changes = Vec::new();
        for account in &accounts {
            if is_new || !self.positions.contains_key(&account.name) {
                changes.extend(self.catch_up(account).await.ok()?);
            }
        }
        if is_new || !changes.is_empty() {
            return Some(changes);
        }
        if accounts.is_empty() {
            time::sleep(WAIT).await;
            return Some(changes);
        }
        let keys: Vec<_> = accounts.iter().map(|account| account.key("log")).collect();
        let ids: Vec<_> = accounts
            .iter()
            .map(|account| {
                self.positions
                    .get(&account.name)
                    .copied()
                    .unwrap_or_default()
            })
            .map(|(millis, number)| format!("{millis}-{number}"))
            .collect();
        let options = StreamReadOptions::default()
            .block(usize::try_from(WAIT.as_millis()).unwrap_or_default())
            .count(BATCH);
        let connection = self.connection.as_mut()?;
        let reply: RedisResult<Option<StreamReadReply>> =
            connection.xread_options(&keys, &ids, &options).await;
        for stream in reply.ok()?.unwrap_or_default().keys {
            let mut accounts = accounts.iter();
            let Some(account) = accounts.find(|account| account.key("log") == stream.key) else {
                continue;
            };
            for id in stream.ids {
                if let Some(position) = position(&id.id) {
                    self.positions.insert(account.name.clone(), position);
                }
                changes.extend(read(account, &id));
            }
        }
        Some(changes)
    }

    /// The forgotten faces of an account, and the position from which its log is read.
    async fn catch_up(&mut self, account: &Arc<SharedAccount>) -> RedisResult<Vec<Change>> {
        let Some(connection) = self.connection.as_mut() else {
            return Ok(Vec::new());
        };
        let newest: StreamRangeReply = connection
            .xrevrange_count(account.key("log"), "+", "-", 1)
            .await?;
        let newest = newest
            .ids
            .first()
            .and_then(|id| position(&id.id))
            .unwrap_or_default();
        let before = self.positions.get(&account.name).copied();
        // A log that is behind is that of another life of the server.
        let from = before.filter(|before| *before <= newest).unwrap_or(newest);
        self.positions.insert(account.name.clone(), from);
        let now = account.member.server_time();
        let key = account.key("forgotten");
        let forgotten: Vec<(String, f64)> = connection
            .zrangebyscore_withscores(key, now.as_millis(), "+inf")
            .await?;
        let changes = forgotten.into_iter().filter_map(|(member, until)| {
            let (_, subject) = account.open(&member)?;
            let left = Timestamp::from_millis(until as u64).since(now);
            Some(Change {
                account: account.clone(),
                kind: ChangeKind::Forgotten(subject, left),
            })
        });
        Ok(changes.collect())
    }
}

/// The change that a line of the log says, if it is a sibling's. Wakes the fetches that wait for the face.
fn read(account: &Arc<SharedAccount>, line: &StreamId) -> Option<Change> {
    let field = |name: &str| line.map.get(name).map(text).unwrap_or_default();
    let opened = account.open(&field("face"));
    if let Some((face, _)) = &opened {
        account.wake(face);
    }
    if field("from") == account.member.id {
        return None;
    }
    let subject = opened.map(|(_, subject)| subject);
    let until = Timestamp::from_millis(field("value").parse().unwrap_or_default());
    let left = until.since(account.member.server_time());
    let kind = match field("kind").as_str() {
        "commit" => ChangeKind::Committed(subject?),
        "forget" => ChangeKind::Forgotten(subject?, left),
        "remove" => ChangeKind::Removed(subject?),
        "purge" => ChangeKind::Purged(field("text")),
        "pause" => ChangeKind::Paused(left, trouble(&field("text"))),
        "lift" => ChangeKind::LiftedPause,
        // The end of a lease, or a change of a newer version.
        _ => return None,
    };
    Some(Change {
        account: account.clone(),
        kind,
    })
}

fn position(id: &str) -> Option<Position> {
    let (millis, number) = id.split_once('-')?;
    Some((millis.parse().ok()?, number.parse().ok()?))
}
