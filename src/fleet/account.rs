//! An account that the replicas of a fleet share: its entries, its budget and its pause.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use quick_cache::sync::Cache;
use redis::{FromRedisValue, ScriptInvocation};
use tokio::{sync::Notify, time};

use super::{
    answer::{Answer, trouble_text},
    exchange::{Begin, CallKind, Commit, Refusal, Seek},
    face::Face,
    link::EngineFailure,
    member::Member,
    reserve::{self, Reserve, SharedLimits},
    scripts,
    shared_entry::SharedEntry,
};
use crate::{
    avatar::{Entry, Picture, Proof, Subject, Trouble},
    limits::{BudgetLimits, Priority},
    sync::lock,
};

/// An account that the replicas of a fleet share.
#[derive(Debug)]
pub struct SharedAccount {
    pub(super) member: Arc<Member>,
    /// The name of the account in Redis.
    pub(super) name: String,
    budget: Mutex<Division>,
    /// The versions of the entries that this replica has. One that is not here is looked at in Redis.
    versions: Cache<Face, u64>,
    /// The fetches that wait for a sibling's, by face.
    waiters: Mutex<HashMap<Face, Arc<Notify>>>,
}

#[derive(Debug)]
struct Division {
    limits: BudgetLimits,
    shared: SharedLimits,
    reserve: Reserve,
}

/// The right to ask the vendor for a face. Dropping it gives it back.
#[derive(Debug)]
pub struct Lease {
    account: Arc<SharedAccount>,
    subject: Subject,
    token: String,
    base: u64,
}

/// Above every version, and exact as a number of Lua's.
const NEVER: u64 = 1 << 52;
/// Versions in memory, some 10 MB at most.
const VERSIONS: usize = 50_000;
/// A fetch that missed the end of a sibling's looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl SharedAccount {
    pub(super) fn new(member: Arc<Member>, name: String, limits: BudgetLimits) -> Self {
        let budget = Mutex::new(Division::of(&member, limits));
        Self {
            member,
            name,
            budget,
            versions: Cache::new(VERSIONS),
            waiters: Mutex::default(),
        }
    }

    /// Goes by other limits from the next call on.
    pub(super) fn set_limits(&self, limits: BudgetLimits) {
        let mut budget = lock(&self.budget);
        if budget.limits != limits {
            let before = budget.reserve;
            *budget = Division::of(&self.member, limits);
            budget.reserve = before.resized(budget.reserve);
        }
    }

    /// Begins a fetch, for which `kind` is there if this replica's own budget has a call. `lease` is how long the fetch
    /// may take.
    pub async fn begin(
        self: &Arc<Self>,
        subject: Subject,
        seek: Seek,
        kind: Option<CallKind>,
        lease: Duration,
    ) -> Result<Begin, EngineFailure> {
        let face = self.face(&subject);
        let known = match seek {
            Seek::Any => 0,
            Seek::Newer => self.versions.get(&face).unwrap_or(0),
            Seek::Nothing => NEVER,
        };
        let token = self.member.token();
        let mut script = scripts::BEGIN.prepare_invoke();
        script
            .key(self.key("account"))
            .key(self.face_key("entry", &face))
            .key(self.face_key("lease", &face))
            .key(self.key("forgotten"))
            .arg(face.member())
            .arg(known)
            .arg(&token)
            .arg(millis(lease))
            .arg(u8::from(kind.is_some()));
        self.add_kind(&mut script, kind);
        let answer = self.member.run("begin", &script).await?;
        Ok(match answer.name.as_str() {
            "go" => Begin::Go(Lease {
                account: self.clone(),
                subject,
                token,
                base: answer.number(0),
            }),
            "entry" => Begin::Entry(self.decode(&answer)?),
            "held" => Begin::Held(answer.millis(0)),
            "forgotten" => Begin::Forgotten(answer.millis(0)),
            "no_call" => Begin::NoCall,
            _ => Begin::Refused(Refusal::read(&answer)?),
        })
    }

    /// Lets the budget fill from now on, if no replica has used it yet: an unknown one is empty.
    pub async fn refill(&self) -> Result<(), EngineFailure> {
        self.run_call(None, 0).await.map(|_| ())
    }

    /// Takes calls that are about no single face, or none.
    pub async fn take(
        &self,
        kind: CallKind,
        count: usize,
    ) -> Result<Result<(), Refusal>, EngineFailure> {
        let answer = self.run_call(Some(kind), count).await?;
        match answer.name.as_str() {
            "go" => Ok(Ok(())),
            _ => Ok(Err(Refusal::read(&answer)?)),
        }
    }

    /// The most calls that the shared budget grants at once.
    pub fn burst(&self) -> u64 {
        lock(&self.budget).shared.burst()
    }

    /// Takes a call from this replica's reserve, because Redis does not answer.
    pub fn take_from_reserve(&self, kind: CallKind) -> bool {
        let (at, now) = (self.member.clock.moment(), self.member.server_time());
        let may = kind.priority != Priority::Background && self.member.has_number(at);
        let taken = may && lock(&self.budget).reserve.take(kind.with_refresh, at, now);
        if taken {
            self.member.metrics.fleet().record_reserve_call();
        }
        taken
    }

    /// Stores an entry that no lease was needed for.
    pub async fn commit(
        &self,
        subject: &Subject,
        entry: &Entry,
        is_new_picture: bool,
    ) -> Result<Commit, EngineFailure> {
        let base = self.versions.get(&self.face(subject)).unwrap_or(0);
        self.commit_on(subject, base, "", entry, is_new_picture)
            .await
    }

    /// The entry of a face, if there is one.
    pub async fn entry(&self, subject: &Subject) -> Result<Option<SharedEntry>, EngineFailure> {
        let face = self.face(subject);
        let command = redis::cmd("GET").arg(self.face_key("entry", &face)).take();
        let value = self.member.send("get", &command).await?;
        let Ok(Some(text)) = Option::<String>::from_redis_value(value) else {
            return Ok(None);
        };
        let parts = text.split_at_checked(14);
        let version = parts.and_then(|(version, _)| u64::from_str_radix(version, 16).ok());
        let (Some((_, text)), Some(version)) = (parts, version) else {
            return Ok(None);
        };
        Ok(SharedEntry::decode(version, text, self.member.offset()))
    }

    /// The picture of a face, if it is the one of `proof`.
    pub async fn picture(
        &self,
        subject: &Subject,
        proof: &Proof,
    ) -> Result<Option<Picture>, EngineFailure> {
        let face = self.face(subject);
        let command = redis::cmd("GET")
            .arg(self.face_key("picture", &face))
            .take();
        let value = self.member.send("picture", &command).await?;
        let bytes = Bytes::from(Vec::<u8>::from_redis_value(value).unwrap_or_default());
        Ok((bytes.len() > DIGEST)
            .then(|| bytes.slice(DIGEST..))
            .and_then(|bytes| Picture::from_proof(bytes, proof)))
    }

    /// Records that this replica has a version of the entry.
    pub fn know(&self, subject: &Subject, version: u64) {
        self.versions.insert(self.face(subject), version);
    }

    /// Forgets a face everywhere.
    pub async fn forget(&self, subject: &Subject, time: Duration) -> Result<(), EngineFailure> {
        self.change("forget", Some(subject), millis(time), "").await
    }

    /// Removes the entry of a face everywhere.
    pub async fn remove(&self, subject: &Subject) -> Result<(), EngineFailure> {
        self.versions.remove(&self.face(subject));
        self.change("remove", Some(subject), 0, "").await
    }

    /// Purges all faces of the account. `mode` is for the siblings.
    pub async fn purge(&self, mode: &str) -> Result<(), EngineFailure> {
        self.change("purge", None, 0, mode).await
    }

    /// Pauses the account for all.
    pub async fn pause(&self, time: Duration, why: Trouble) -> Result<(), EngineFailure> {
        self.change("pause", None, millis(time), &trouble_text(why))
            .await
    }

    /// Ends the pause of the account for all.
    pub async fn lift_pause(&self) -> Result<(), EngineFailure> {
        self.change("lift", None, 0, "").await
    }

    /// Waits for the end of a sibling's fetch of a face, at most `left` and at most a second.
    pub async fn wait_for_sibling(&self, subject: &Subject, left: Duration) {
        let notify = {
            let mut waiters = lock(&self.waiters);
            // Those of faces that no fetch waits for any more.
            waiters.retain(|_, notify| Arc::strong_count(notify) > 1);
            waiters.entry(self.face(subject)).or_default().clone()
        };
        let _ = time::timeout(left.min(LOOK_AGAIN), notify.notified()).await;
    }

    /// Wakes the fetches that wait for a face.
    pub(super) fn wake(&self, face: &Face) {
        if let Some(notify) = lock(&self.waiters).remove(face) {
            // A fetch that is only about to wait gets one of these, too.
            notify.notify_waiters();
            notify.notify_one();
        }
    }

    pub(super) fn open(&self, member: &str) -> Option<(Face, Subject)> {
        self.member.secrets.open(&self.name, member)
    }

    pub(super) fn key(&self, part: &str) -> String {
        format!("fp:{}:{{{}}}:{part}", self.member.fleet, self.name)
    }

    fn face_key(&self, part: &str, face: &Face) -> String {
        self.key(&format!("{part}:{}", face.id()))
    }

    fn face(&self, subject: &Subject) -> Face {
        self.member.secrets.face(&self.name, subject)
    }

    async fn run_call(
        &self,
        kind: Option<CallKind>,
        count: usize,
    ) -> Result<Answer, EngineFailure> {
        let mut script = scripts::CALL.prepare_invoke();
        script.key(self.key("account"));
        self.add_kind(&mut script, kind);
        script.arg(count);
        self.member.run("call", &script).await
    }

    fn add_kind(&self, script: &mut ScriptInvocation<'_>, kind: Option<CallKind>) {
        let is_background = kind.is_some_and(|kind| kind.priority == Priority::Background);
        let with_refresh = kind.is_some_and(|kind| kind.with_refresh);
        let limits = serde_json::to_string(&lock(&self.budget).shared);
        script
            .arg(u8::from(is_background))
            .arg(u8::from(with_refresh))
            .arg(limits.unwrap_or_default());
    }

    async fn commit_on(
        &self,
        subject: &Subject,
        base: u64,
        token: &str,
        entry: &Entry,
        is_new_picture: bool,
    ) -> Result<Commit, EngineFailure> {
        let face = self.face(subject);
        let picture = entry.picture.as_ref().map(|stored| &stored.picture);
        let digest = picture.map(|picture| picture.digest().short());
        let bytes = picture.filter(|_| is_new_picture);
        let bytes = bytes.map(|picture| &picture.bytes()[..]);
        let mut script = scripts::COMMIT.prepare_invoke();
        script
            .key(self.key("account"))
            .key(self.face_key("entry", &face))
            .key(self.face_key("lease", &face))
            .key(self.key("forgotten"))
            .key(self.key("log"))
            .key(self.face_key("picture", &face))
            .arg(face.member())
            .arg(base)
            .arg(token)
            .arg(SharedEntry::encode(entry, self.member.offset()))
            .arg(millis(self.member.keep_entries))
            .arg(digest.as_deref().unwrap_or_default())
            .arg(bytes.unwrap_or_default())
            .arg(&self.member.id);
        let answer = self.member.run("commit", &script).await?;
        let is_missing = answer.number(1) == 1;
        match answer.name.as_str() {
            "stored" => {
                let version = answer.number(0);
                self.versions.insert(face, version);
                if is_missing && !is_new_picture {
                    // The picture that the entry confirms has gone.
                    let again = self.commit_on(subject, version, token, entry, true);
                    return Box::pin(again).await;
                }
                Ok(Commit::Stored)
            }
            "conflict" => {
                self.member.metrics.fleet().record_conflict();
                Ok(Commit::Conflict(self.decode(&answer)?))
            }
            _ => Ok(Commit::Forgotten(answer.millis(0))),
        }
    }

    async fn change(
        &self,
        kind: &str,
        subject: Option<&Subject>,
        value: u64,
        text: &str,
    ) -> Result<(), EngineFailure> {
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
            .arg(kind)
            .arg(face.as_ref().map_or("", Face::member))
            .arg(value)
            .arg(text)
            .arg(&self.member.id);
        self.member.run("change", &script).await.map(|_| ())
    }

    fn decode(&self, answer: &Answer) -> Result<SharedEntry, EngineFailure> {
        let (version, text) = (answer.number(0), answer.text(1));
        // An entry of another format is another version's. This replica does without the fleet for that face.
        SharedEntry::decode(version, &text, self.member.offset()).ok_or(EngineFailure)
    }
}

/// The digits of a digest before the bytes of a picture.
const DIGEST: usize = 32;

impl Division {
    fn of(member: &Member, limits: BudgetLimits) -> Self {
        let now = member.clock.moment();
        let (shared, reserve) = reserve::divide(&limits, member.reserve, member.replicas, now);
        Self {
            limits,
            shared,
            reserve,
        }
    }
}

// === impl Lease ===

impl Lease {
    /// Stores the entry that the vendor's answer led to, and ends the lease.
    pub async fn commit(
        &mut self,
        entry: &Entry,
        is_new_picture: bool,
    ) -> Result<Commit, EngineFailure> {
        let account = self.account.clone();
        let commit =
            account.commit_on(&self.subject, self.base, &self.token, entry, is_new_picture);
        let commit = commit.await?;
        match &commit {
            Commit::Conflict(entry) => self.base = entry.version,
            Commit::Stored | Commit::Forgotten(_) => self.token.clear(),
        }
        Ok(commit)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let token = mem::take(&mut self.token);
        if token.is_empty() {
            return;
        }
        let (account, subject) = (self.account.clone(), self.subject);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Else it ends by itself.
                let _ = account.change("release", Some(&subject), 0, &token).await;
            });
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
