//! Hears of the siblings' changes: a blocking read of the accounts' logs.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncCommands, FromRedisValue, RedisResult,
    aio::MultiplexedConnection,
    streams::{StreamId, StreamReadOptions, StreamReadReply},
};
use tokio::time;

use super::{
    account::SharedAccount,
    answer::{text, trouble},
    entries::observation,
    link::EngineFailure,
    membership::Fleet,
    reading::Position,
};
use crate::{
    avatar::{Jid, Subject, Trouble},
    clock::Timestamp,
    limits::Observation,
};

/// Reads the siblings' changes.
#[derive(Debug)]
pub struct ChangeLog {
    fleet: Fleet,
    connection: Option<LogConnection>,
}

/// The way to the logs.
#[derive(Debug)]
enum LogConnection {
    /// A connection of its own, on which a read waits for changes.
    Waiting(MultiplexedConnection),
    /// The nodes of a cluster, which are asked again and again.
    Cluster,
}

/// The result of reading the logs.
#[derive(Debug)]
pub enum LogEvent {
    /// There is a new connection. Each account has to catch up, because its log may have been cut or lost meanwhile.
    Connected,
    /// The logs that have new lines.
    Lines(Vec<NewLines>),
    /// Redis does not answer.
    Failed,
}

/// New lines of an account's log, which do not count as read yet.
#[derive(Debug)]
pub struct NewLines {
    account: Arc<SharedAccount>,
    lines: Vec<StreamId>,
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
    /// There is a newer entry of a face, at this version. If it came from an answer of the vendor to a sibling, that counts
    /// for the detector of soft throttling.
    Committed(Subject, u64, Option<Observation>),
    /// A face was forgotten, for this long from now.
    Forgotten(Subject, Duration),
    /// The entry of a face was removed, at this version.
    Removed(Subject, u64),
    /// All faces were purged, in this mode.
    Purged(String),
    /// The account pauses, for this long from now.
    Paused(Duration, Trouble),
    /// The pause was lifted. That ends a pause that began until this time of the server's clock.
    LiftedPause(Timestamp),
    /// The number behind a LID.
    Number(Jid, Jid),
}

/// How long a read waits for a change.
const WAIT: Duration = Duration::from_secs(2);
/// A read that takes longer means that the connection is gone.
const LIMIT: Duration = Duration::from_secs(5);
/// How often the logs of a cluster are read: while a fetch waits for a sibling's, and else.
const SHORT_POLL: Duration = Duration::from_millis(20);
const POLL: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_secs(1);
/// The most changes of a read.
const BATCH: usize = 256;
/// The most changes that an account reads one after the other when it catches up.
const MOST_BEHIND: usize = 1000;

impl ChangeLog {
    /// A reader that has no connection yet.
    pub fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            connection: None,
        }
    }

    /// The next lines; none if nothing changes for two seconds.
    pub async fn next(&mut self) -> LogEvent {
        let event = time::timeout(LIMIT, self.try_next()).await;
        match event {
            Ok(Some(event)) => event,
            Ok(None) | Err(_) => {
                self.connection = None;
                time::sleep(PAUSE).await;
                LogEvent::Failed
            }
        }
    }

    async fn try_next(&mut self) -> Option<LogEvent> {
        let connection = match &mut self.connection {
            Some(LogConnection::Waiting(connection)) => connection,
            Some(LogConnection::Cluster) => return self.poll().await,
            None => {
                let connection = self.fleet.member.link.open_waiting().await.ok()?;
                self.connection = Some(match connection {
                    Some(connection) => LogConnection::Waiting(connection),
                    None => LogConnection::Cluster,
                });
                return Some(LogEvent::Connected);
            }
        };
        let accounts = self.fleet.accounts().into_iter();
        let read = accounts.filter_map(|account| {
            let position = account.reading.position()?;
            Some((account, position.to_string()))
        });
        let (accounts, ids): (Vec<_>, Vec<_>) = read.unzip();
        let keys = accounts.iter().map(|account| account.key("log"));
        let keys: Vec<_> = keys.chain([self.fleet.member.wake_key()]).collect();
        let ids: Vec<_> = ids.into_iter().chain(["$".to_owned()]).collect();
        let options = StreamReadOptions::default()
            .block(usize::try_from(WAIT.as_millis()).unwrap_or_default())
            .count(BATCH);
        let reply: RedisResult<Option<StreamReadReply>> =
            connection.xread_options(&keys, &ids, &options).await;
        let mut new = Vec::new();
        for stream in reply.ok()?.unwrap_or_default().keys {
            let at = keys.iter().position(|key| *key == stream.key);
            // Else it is the stream that only ends the wait.
            if let Some(account) = at.and_then(|at| accounts.get(at)) {
                new.push(NewLines::of(account, stream.ids));
            }
        }
        Some(LogEvent::Lines(new))
    }

    /// Reads the logs in a cluster, where no command can wait for changes of several accounts.
    async fn poll(&self) -> Option<LogEvent> {
        let accounts = self.fleet.accounts();
        let has_waiters = accounts.iter().any(|account| account.waiters.are_there());
        let mut new: Vec<NewLines> = Vec::new();
        for account in &accounts {
            let Some(position) = account.reading.position() else {
                continue;
            };
            match account.lines_after(position).await {
                Ok(Some(lines)) if lines.is_empty() => {}
                Ok(Some(lines)) => new.push(NewLines::of(account, lines)),
                Ok(None) => account.reading.fall_behind(),
                // The lines that were read before have to be applied.
                Err(EngineFailure) if new.is_empty() => return None,
                Err(EngineFailure) => break,
            }
        }
        if new.is_empty() {
            time::sleep(if has_waiters { SHORT_POLL } else { POLL }).await;
        }
        Some(LogEvent::Lines(new))
    }
}

impl NewLines {
    /// Wakes the fetches that wait for a face in these lines.
    fn of(account: &Arc<SharedAccount>, lines: Vec<StreamId>) -> Self {
        wake_waiters(account, &lines);
        let account = account.clone();
        Self { account, lines }
    }

    /// The account.
    pub fn account(&self) -> Arc<SharedAccount> {
        self.account.clone()
    }

    /// The changes, in order. They count as read from now on, so the caller has to apply them, and lets no
    /// catch-up of the account run meanwhile: that would tell Redis that they are applied.
    pub fn read(self) -> Vec<Change> {
        read_lines(&self.account, &self.lines)
    }
}

impl SharedAccount {
    /// The lines of the log after a position. `None` if they are too many to apply one after the other, or the line at the
    /// position is gone, so that there may have been others.
    pub(super) async fn lines_after(
        &self,
        position: Position,
    ) -> Result<Option<Vec<StreamId>>, EngineFailure> {
        let command = redis::cmd("XRANGE")
            .arg(self.key("log"))
            .arg(position.to_string())
            .arg("+")
            .arg("COUNT")
            .arg(MOST_BEHIND + 2)
            .take();
        let value = self.member.link.send("log", &command).await?;
        let lines = redis::streams::StreamRangeReply::from_redis_value(value);
        let mut lines = lines.map_err(|_| EngineFailure)?.ids;
        if position != Position::START {
            let is_there = lines
                .first()
                .is_some_and(|line| line.id == position.to_string());
            if !is_there {
                return Ok(None);
            }
            lines.remove(0);
        }
        Ok(Some(lines).filter(|lines| lines.len() <= MOST_BEHIND))
    }
}

/// The changes in these lines. The account's position moves behind them.
pub(super) fn read_lines(account: &Arc<SharedAccount>, lines: &[StreamId]) -> Vec<Change> {
    let (mut changes, now) = (Vec::new(), account.member.server_time());
    for line in lines {
        if let Some(position) = Position::parse(&line.id) {
            account.reading.set_position(position);
            let lag = now.since(Timestamp::from_millis(position.0));
            account.reading.set_lag(lag);
            account.member.metrics.fleet().set_lag(lag);
        }
        changes.extend(read(account, line, now));
    }
    changes
}

/// Wakes the fetches that wait for a face in these lines.
pub(super) fn wake_waiters(account: &SharedAccount, lines: &[StreamId]) {
    if !account.waiters.are_there() {
        return;
    }
    let field = |line: &StreamId, name: &str| line.map.get(name).map(text).unwrap_or_default();
    for line in lines.iter().filter(|line| field(line, "kind") != "lid") {
        if let Some((face, _)) = account.open(&field(line, "face")) {
            account.waiters.wake(&face);
        }
    }
}

/// The change that a line of the log says, if this replica may not have applied it.
fn read(account: &Arc<SharedAccount>, line: &StreamId, now: Timestamp) -> Option<Change> {
    let field = |name: &str| line.map.get(name).map(text).unwrap_or_default();
    let opened = account.open(&field("face"));
    let (kind, value) = (field("kind"), field("value"));
    let value: u64 = value.parse().unwrap_or_default();
    if kind == "purge" {
        account.reading.record_purge(value);
    }
    let subject = opened.map(|(_, subject)| subject);
    if field("from") == account.member.id {
        // This replica may not have stored its own entry: if the answer to the commit came too late, or the process ended.
        return (kind == "commit").then_some(Change {
            account: account.clone(),
            kind: ChangeKind::Committed(subject?, value, None),
        });
    }
    let left = Timestamp::from_millis(value).since(now);
    let kind = match kind.as_str() {
        "commit" => ChangeKind::Committed(subject?, value, observation(&field("text"))),
        "forget" => ChangeKind::Forgotten(subject?, left),
        "remove" => ChangeKind::Removed(subject?, value),
        "purge" => ChangeKind::Purged(field("text")),
        "pause" => ChangeKind::Paused(left, trouble(&field("text"))),
        "lift" => ChangeKind::LiftedPause(Timestamp::from_millis(value)),
        "lid" => match (subject?, account.open(&field("text"))?.1) {
            (Subject::Chat(lid), Subject::Chat(number)) => ChangeKind::Number(lid, number),
            _ => return None,
        },
        // The end of a lease, or a change of a newer version.
        _ => return None,
    };
    Some(Change {
        account: account.clone(),
        kind,
    })
}
