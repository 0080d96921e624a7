//! Catches up with the log of an account: at the start, and after each new connection with Redis.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use redis::FromRedisValue;

use super::{
    account::SharedAccount,
    answer::trouble,
    change_log::{Change, ChangeKind, read_lines, wake_waiters},
    link::EngineFailure,
    reading::{Phase, Position},
    scripts,
};
use crate::{avatar::Subject, clock::Timestamp};

/// How long a look-up waits for the first catch-up of its account, which begins when the account is added.
const START_LIMIT: Duration = Duration::from_secs(2);
/// The most forgotten faces that one command reads. Each takes some 200 bytes.
const PART: usize = 1000;

/// The changes that this replica has not applied yet.
#[derive(Debug)]
pub struct CatchUp {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// Whether others are lost, so that this replica's entries have to be compared with Redis.
    pub has_gap: bool,
}

impl SharedAccount {
    /// Whether the forgotten faces are known, or Redis did not answer, so that faces can be served from the cache.
    pub fn has_begun(&self) -> bool {
        self.reading.phase() != Phase::Starting
    }

    /// Waits until faces can be served from the cache, at most `limit` and at most two seconds.
    pub async fn wait_for_begin(&self, limit: Duration) {
        if !self.has_begun() {
            self.reading.wait_for_start(limit.min(START_LIMIT)).await;
        }
    }

    /// Whether the account has to catch up: it could not before, or the log has lost the change that this replica has read
    /// last, because Redis was flushed or another server took over without it.
    pub async fn has_to_catch_up(&self) -> Result<bool, EngineFailure> {
        let Some(position) = self
            .reading
            .position()
            .filter(|_| !self.reading.is_behind())
        else {
            return Ok(true);
        };
        if self.noted_since().await? != Some(self.reading.since()) {
            return Ok(true);
        }
        Ok(self.lines_after(position).await?.is_none())
    }

    /// Whether this replica's entry of a face counts as fresh for as long as it says. It does not if changes were missed
    /// and it was not compared with Redis since.
    pub fn counts_as_fresh(&self, subject: &Subject) -> bool {
        match self.reading.phase() {
            Phase::Current | Phase::Alone => true,
            Phase::Starting | Phase::Comparing => self.versions.is_compared(&self.face(subject)),
        }
    }

    /// Waits for another catch-up of the account to end, and for changes to be applied.
    pub async fn begin_catch_up(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.reading.catching_up.lock().await
    }

    /// The changes that this replica has missed, among them every forgotten face.
    pub async fn catch_up(self: &Arc<Self>) -> Result<CatchUp, EngineFailure> {
        let position = self.reading.position();
        let mut script = scripts::CATCH_UP.prepare_invoke();
        script
            .key(self.key("account"))
            .key(self.key("log"))
            .key(self.key("readers"))
            .arg(&self.member.id)
            .arg(
                position
                    .map(|position| position.to_string())
                    .unwrap_or_default(),
            )
            .arg(self.reading.since());
        let answer = self.member.run("catch_up", &script).await?;
        let mut has_gap = answer.name == "gap";
        let mut position = Position::parse(&answer.text(0)).ok_or(EngineFailure)?;
        let forgotten = self.forgotten().await?;
        let is_new = |kind| Change {
            account: self.clone(),
            kind,
        };
        // Forgotten faces come first, because they are shown until then.
        let mut changes: Vec<_> = forgotten.into_iter().map(is_new).collect();
        if !has_gap {
            match self.lines_after(position).await? {
                // From here on nothing fails, so that no change is lost.
                Some(lines) => {
                    wake_waiters(self, &lines);
                    changes.extend(read_lines(self, &lines));
                }
                None => {
                    has_gap = true;
                    position = self.newest().await?.unwrap_or(position);
                }
            }
        }
        if has_gap || self.reading.position().is_none() {
            self.reading.set_position(position);
        }
        let purged = answer.number(5);
        let has_heard_purge = purged <= self.reading.purged();
        self.reading.record_purge(purged);
        self.reading.set_since(answer.number(6));
        let has_missed = has_gap;
        has_gap |= self.reading.has_to_compare();
        if has_missed && answer.number(1) == 1 && !has_heard_purge {
            changes.push(is_new(ChangeKind::Purged(answer.text(2))));
        }
        let lifted_at = answer.number(7);
        if has_missed && lifted_at > 0 {
            // Before the pause that is in force, if there is one.
            let lifted_at = Timestamp::from_millis(lifted_at);
            changes.push(is_new(ChangeKind::LiftedPause(lifted_at)));
        }
        let pause = answer.millis(3);
        if !pause.is_zero() {
            changes.push(is_new(ChangeKind::Paused(pause, trouble(&answer.text(4)))));
        }
        Ok(CatchUp { changes, has_gap })
    }

    /// The caller has applied the changes of a catch-up. Returns whether this replica's entries have to be compared with
    /// Redis.
    pub fn finish_catch_up(&self, has_gap: bool) -> bool {
        // It may have been set while the changes were applied.
        let has_gap = has_gap || self.reading.has_to_compare();
        if has_gap {
            self.versions.begin_epoch();
            self.reading.set_phase(Phase::Comparing);
            self.reading.forget_noted();
            self.member.unsent.notify_one();
        }
        self.reading.catch_up(has_gap);
        if self.reading.phase() != Phase::Comparing {
            self.reading.set_phase(Phase::Current);
        }
        self.reading.phase() == Phase::Comparing
    }

    /// Redis does not answer. At the start, this replica's entries are served as they are.
    pub fn go_on_alone(&self) {
        self.reading.fall_behind();
        if self.reading.phase() == Phase::Starting {
            self.reading.set_phase(Phase::Alone);
        }
    }

    /// The number of the epoch: it grows each time that changes were missed.
    pub fn epoch(&self) -> u32 {
        self.versions.epoch()
    }

    /// All entries have to be compared with Redis, because the account was dropped, or an earlier process has ended, with
    /// changes that Redis did not take. The disk says so.
    pub fn compare_from_the_start(&self) {
        if !self.reading.is_saved_as_unsent() {
            self.reading.set_saved_as_unsent(true);
            self.reading.compare_all();
        }
    }

    /// Whether there may be changes that Redis did not take, or changes of siblings that were missed.
    pub fn has_unsent_changes(&self) -> bool {
        let is_comparing = self.reading.phase() == Phase::Comparing;
        is_comparing || self.versions.are_differing() || self.reading.has_to_compare()
    }

    /// Whether the disk says that there are such changes.
    pub fn is_saved_as_unsent(&self) -> bool {
        self.reading.is_saved_as_unsent()
    }

    /// The disk says now whether there are such changes.
    pub fn set_saved_as_unsent(&self, is_unsent: bool) {
        self.reading.set_saved_as_unsent(is_unsent);
    }

    /// Waits until no other comparison of all entries is under way. `None` if another one waits for that already, or the
    /// one that has ended was enough.
    pub async fn begin_comparison(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self
            .reading
            .is_comparison_waiting
            .swap(true, Ordering::AcqRel)
        {
            return None;
        }
        let comparison = self.reading.comparing.lock().await;
        self.reading
            .is_comparison_waiting
            .store(false, Ordering::Release);
        (self.reading.phase() == Phase::Comparing).then_some(comparison)
    }

    /// The comparison has ended early.
    pub fn abort_comparison(&self) {
        self.reading.fall_behind();
    }

    /// All entries were compared with Redis in this epoch.
    pub fn finish_comparison(&self, epoch: u32) {
        if self.epoch() == epoch && self.reading.phase() == Phase::Comparing {
            self.reading.set_phase(Phase::Current);
            self.reading.forget_noted();
        }
    }

    /// Tells Redis how far this replica has applied the log, if it does not know. While changes are applied, that is done
    /// at the end.
    pub async fn note_position(&self) {
        if let Ok(_none) = self.reading.catching_up.try_lock() {
            self.note_applied().await;
        }
    }

    /// The same for a caller that has just applied all that was read, and has kept a catch-up from beginning.
    pub async fn note_applied(&self) {
        let Some(position) = self.reading.unnoted() else {
            return;
        };
        let flag = match self.reading.phase() {
            Phase::Comparing => 2,
            _ => 1,
        };
        let command = self.note(position, flag);
        if self.member.link.send("note", &command).await.is_ok() {
            self.reading.set_noted(position);
        }
    }

    /// `flag` is 0 if this replica has dropped the account, and 2 while it compares its entries.
    fn note(&self, position: Position, flag: u8) -> redis::Cmd {
        let text = format!("{position} {flag} {}", self.reading.purged());
        redis::cmd("HSET")
            .arg(self.key("readers"))
            .arg(&self.member.id)
            .arg(text)
            .take()
    }

    /// Since when Redis has notes of positions.
    pub(super) async fn noted_since(&self) -> Result<Option<u64>, EngineFailure> {
        let command = redis::cmd("HGET")
            .arg(self.key("account"))
            .arg("noted_since")
            .take();
        let value = self.member.link.send("readers", &command).await?;
        FromRedisValue::from_redis_value(value).map_err(|_| EngineFailure)
    }

    /// The last change in the log.
    async fn newest(&self) -> Result<Option<Position>, EngineFailure> {
        let command = redis::cmd("XREVRANGE")
            .arg(self.key("log"))
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1)
            .take();
        let value = self.member.link.send("log", &command).await?;
        let lines = redis::streams::StreamRangeReply::from_redis_value(value);
        let lines = lines.map_err(|_| EngineFailure)?.ids;
        Ok(lines.first().and_then(|line| Position::parse(&line.id)))
    }

    /// The forgotten faces, which are read in parts: all of them may take longer than a command may.
    async fn forgotten(&self) -> Result<Vec<ChangeKind>, EngineFailure> {
        let now = self.member.server_time();
        let change = |(member, until): (String, f64)| {
            let (_, subject) = self.open(&member)?;
            let left = Timestamp::from_millis(until as u64).since(now);
            Some(ChangeKind::Forgotten(subject, left))
        };
        let (mut changes, mut from) = (Vec::new(), now.as_millis().to_string());
        loop {
            let part = self.forgotten_until(&from, "+inf", Some(PART)).await?;
            let last = part.last().map(|(_, until)| until.to_string());
            let last = last.filter(|_| part.len() >= PART);
            changes.extend(part.into_iter().filter_map(change));
            let Some(last) = last else {
                return Ok(changes);
            };
            // The part may end between faces of one millisecond. A face that is in it already is not forgotten twice.
            let rest = self.forgotten_until(&last, &last, None).await?;
            changes.extend(rest.into_iter().filter_map(change));
            from = format!("({last}");
        }
    }

    /// The members of forgotten faces whose times end between these two, and those ends; at most `most`, the earliest
    /// ones.
    async fn forgotten_until(
        &self,
        from: &str,
        to: &str,
        most: Option<usize>,
    ) -> Result<Vec<(String, f64)>, EngineFailure> {
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(self.key("forgotten")).arg(from).arg(to);
        command.arg("WITHSCORES");
        if let Some(most) = most {
            command.arg("LIMIT").arg(0).arg(most);
        }
        let value = self.member.link.send("forgotten", &command).await?;
        FromRedisValue::from_redis_value(value).map_err(|_| EngineFailure)
    }
}

impl Drop for SharedAccount {
    fn drop(&mut self) {
        let Some(position) = self.reading.position() else {
            return;
        };
        let (member, command) = (self.member.clone(), self.note(position, 0));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Else a sibling that forgets a face waits for this replica in vain.
                let _ = member.link.send("note", &command).await;
            });
        }
    }
}
