//! An account that the replicas of a fleet share: its leases, its budget, and the versions that this replica has.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use redis::ScriptInvocation;

use super::{
    answer::Answer,
    entries::Base,
    exchange::{Begin, CallKind, Commit, Refusal, Seek, Take},
    face::Face,
    link::EngineFailure,
    member::Member,
    pictures::PictureName,
    reading::Reading,
    reserve::{self, Reserve, SharedLimits},
    scripts,
    shared_entry::{FORMAT, SharedEntry},
    versions::Versions,
    waiters::Waiters,
};
use crate::{
    avatar::{Entry, Subject},
    limits::{BudgetLimits, Observation, Priority, UnspentCall},
    sync::lock,
};

/// An account that the replicas of a fleet share.
#[derive(Debug)]
pub struct SharedAccount {
    pub(super) member: Arc<Member>,
    /// The name of the account in Redis.
    pub(super) name: String,
    budget: Mutex<Division>,
    /// The entries that this replica has.
    pub(super) versions: Versions,
    /// How far this replica has read the log.
    pub(super) reading: Reading,
    /// The fetches that wait for a sibling's.
    pub(super) waiters: Waiters,
}

#[derive(Debug)]
struct Division {
    limits: BudgetLimits,
    shared: SharedLimits,
    reserve: Reserve,
}

/// The right of one fetch to ask the vendor for a face, which [`SharedAccount::begin`] takes. Dropping it gives it back.
#[derive(Debug)]
pub struct Lease {
    account: Arc<SharedAccount>,
    subject: Subject,
    /// The same for all attempts of the fetch: one whose answer came too late may have succeeded.
    token: String,
    /// Whether this replica has heard that the lease is held.
    is_granted: bool,
    /// Whether Redis may have the lease.
    may_be_held: bool,
    /// The version of the entry or of its removal that the vendor's answer is based on.
    base: u64,
    /// Whether the fleet has an entry of another format, which stays.
    is_foreign: bool,
}

/// A call of the shared budget, or of the reserve, that is not made yet.
#[derive(Debug)]
struct SharedCall {
    account: Arc<SharedAccount>,
    kind: CallKind,
    is_from_reserve: bool,
}

/// Another replica has another budget for the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherBudget {
    /// That of this replica.
    pub own: String,
    /// That of the others.
    pub other: String,
}

impl SharedAccount {
    pub(super) fn new(member: Arc<Member>, name: String, limits: BudgetLimits) -> Self {
        let budget = Mutex::new(Division::of(&member, limits));
        Self {
            member,
            name,
            budget,
            versions: Versions::default(),
            reading: Reading::default(),
            waiters: Waiters::default(),
        }
    }

    /// Goes by other limits from the next call on. Returns whether they differ.
    pub(super) fn set_limits(&self, limits: BudgetLimits) -> bool {
        let mut budget = lock(&self.budget);
        if budget.limits == limits {
            return false;
        }
        let before = budget.reserve;
        *budget = Division::of(&self.member, limits);
        budget.reserve = before.resized(budget.reserve);
        true
    }

    /// The lease of a fetch that has not begun yet.
    pub fn lease(self: &Arc<Self>, subject: Subject) -> Lease {
        Lease {
            account: self.clone(),
            subject,
            token: self.member.token(),
            is_granted: false,
            may_be_held: false,
            base: self.known_version(&subject),
            is_foreign: false,
        }
    }

    /// Begins a fetch, for which `kind` is there if this replica's own budget has a call. `time` is how long the fetch may
    /// take.
    pub async fn begin(
        &self,
        lease: &mut Lease,
        seek: Seek,
        kind: Option<CallKind>,
        time: Duration,
    ) -> Result<Begin, EngineFailure> {
        let face = self.face(&lease.subject);
        // A Redis that failed over may not know of the last purge.
        let purged = self.reading.purged().max(self.versions.removed_at(&face));
        let known = match seek {
            Seek::Any => purged,
            Seek::Newer => self.versions.of(&face).max(purged),
            Seek::After(version) => version.max(purged),
        };
        let mut script = scripts::BEGIN.prepare_invoke();
        script
            .key(self.key("account"))
            .key(self.face_key("entry", &face))
            .key(self.face_key("lease", &face))
            .key(self.key("forgotten"))
            .arg(face.member())
            .arg(known)
            .arg(&lease.token)
            .arg(millis(time))
            .arg(u8::from(kind.is_some()));
        self.add_kind(&mut script, kind);
        script.arg(FORMAT);
        // Until the answer says otherwise, also if it never comes.
        let was_held = mem::replace(&mut lease.may_be_held, true);
        let answer = self.member.run("begin", &script).await?;
        lease.may_be_held = match answer.name.as_str() {
            "go" => true,
            "held" => false,
            _ => was_held,
        };
        Ok(match answer.name.as_str() {
            "go" => {
                lease.is_granted = true;
                lease.base = answer.number(0);
                lease.is_foreign = answer.number(1) == 1;
                Begin::Go
            }
            "entry" => Begin::Entry(self.decode(&answer)?),
            "held" => Begin::Held(answer.millis(0)),
            "forgotten" => Begin::Forgotten(answer.millis(0)),
            "no_call" => Begin::NoCall,
            _ => Begin::Refused(Refusal::read(&answer)?),
        })
    }

    /// Lets the budget fill from now on, if no replica has used it yet: an unknown one is empty. Returns another budget
    /// of the others, which stays, unless this replica `may_replace` it.
    pub async fn refill(&self, may_replace: bool) -> Result<Option<OtherBudget>, EngineFailure> {
        let own = lock(&self.budget).limits.to_string();
        let mut script = self.call_script(None, 0);
        script.arg(&own).arg(u8::from(may_replace));
        let answer = self.member.run("call", &script).await?;
        let other = (answer.name == "other_budget").then(|| answer.text(1));
        Ok(other.map(|other| OtherBudget { own, other }))
    }

    /// Takes calls that are about no single face.
    pub async fn take(&self, kind: CallKind, count: usize) -> Result<Take, EngineFailure> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let script = self.call_script(Some(kind), count);
        let answer = self.member.run("call", &script).await?;
        Ok(match answer.name.as_str() {
            "go" => Take::Go,
            _ => Take::Refused(Refusal::read(&answer)?),
        })
    }

    /// The call that [`SharedAccount::begin`] or [`SharedAccount::take`] took, for the permit that is to refund it.
    pub fn call(self: &Arc<Self>, kind: CallKind) -> Box<dyn UnspentCall> {
        Box::new(SharedCall {
            account: self.clone(),
            kind,
            is_from_reserve: false,
        })
    }

    /// A call from this replica's reserve, because Redis does not answer.
    pub fn take_from_reserve(self: &Arc<Self>, kind: CallKind) -> Option<Box<dyn UnspentCall>> {
        let (at, now) = (self.member.clock.moment(), self.member.server_time());
        let may = kind.priority != Priority::Background && self.member.has_number(at);
        if !may || !lock(&self.budget).reserve.take(kind.with_refresh, at, now) {
            return None;
        }
        self.member.metrics.fleet().record_reserve_call();
        Some(Box::new(SharedCall {
            account: self.clone(),
            kind,
            is_from_reserve: true,
        }))
    }

    /// The most calls that the shared budget grants at once.
    pub fn burst(&self) -> u64 {
        lock(&self.budget).shared.burst()
    }

    /// Waits for the end of a sibling's fetch of a face, at most `left` and at most a second.
    pub async fn wait_for_sibling(&self, subject: &Subject, left: Duration) {
        self.waiters.wait(self.face(subject), left).await;
    }

    pub(super) fn open(&self, member: &str) -> Option<(Face, Subject)> {
        self.member.secrets.open(&self.name, member)
    }

    pub(super) fn key(&self, part: &str) -> String {
        format!("fp:{}:{{{}}}:{part}", self.member.fleet, self.name)
    }

    pub(super) fn face_key(&self, part: &str, face: &Face) -> String {
        self.key(&format!("{part}:{}", face.id()))
    }

    pub(super) fn face(&self, subject: &Subject) -> Face {
        self.member.secrets.face(&self.name, subject)
    }

    pub(super) fn picture_name(&self, face: &Face) -> PictureName {
        PictureName {
            account: self.name.clone(),
            face: face.id().to_owned(),
        }
    }

    pub(super) fn decode(&self, answer: &Answer) -> Result<SharedEntry, EngineFailure> {
        let (version, text) = (answer.number(0), answer.text(1));
        SharedEntry::decode(version, &text, self.member.offset()).ok_or(EngineFailure)
    }

    fn call_script(&self, kind: Option<CallKind>, count: i64) -> ScriptInvocation<'static> {
        let mut script = scripts::CALL.prepare_invoke();
        script.key(self.key("account"));
        self.add_kind(&mut script, kind);
        script.arg(count);
        script
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
}

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
    /// Stores the entry that the vendor's answer led to, and ends the lease. `seen` is how the answer counts for the
    /// detector of soft throttling.
    pub async fn commit(
        &mut self,
        entry: &Entry,
        is_new_picture: bool,
        seen: Option<Observation>,
    ) -> Result<Commit, EngineFailure> {
        if self.is_foreign {
            return Ok(Commit::Foreign);
        }
        let (account, token) = (self.account.clone(), self.token.clone());
        let base = match self.is_granted {
            true => Base {
                version: self.base,
                purges: self.base,
            },
            // The call is one of the reserve.
            false => account.base_without_lease(self.base, entry),
        };
        let commit = account.commit_on(&self.subject, base, &token, entry, is_new_picture, seen);
        let commit = commit.await?;
        match &commit {
            Commit::Conflict(entry) => self.base = entry.version,
            Commit::Removed(version) => self.base = *version,
            Commit::Stored => self.may_be_held = false,
            Commit::Forgotten(_) | Commit::Foreign | Commit::PictureMissing => {}
        }
        Ok(commit)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.may_be_held {
            return;
        }
        let token = mem::take(&mut self.token);
        let (account, subject) = (self.account.clone(), self.subject);
        spawn(async move {
            // Else it ends by itself.
            let _ = account.release(&subject, &token).await;
        });
    }
}

// === impl SharedCall ===

impl UnspentCall for SharedCall {
    fn refund(self: Box<Self>) {
        let Self { account, kind, .. } = *self;
        if self.is_from_reserve {
            lock(&account.budget).reserve.refund(kind.with_refresh);
            return;
        }
        spawn(async move {
            let script = account.call_script(Some(kind), -1);
            // Else one call less is made.
            let _ = account.member.run("call", &script).await;
        });
    }
}

fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
