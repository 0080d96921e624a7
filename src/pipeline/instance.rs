//! A configured account, with its vendor, its HTTP client and its admission control.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use url::Url;

use super::{
    account_identities::AccountIdentities, event_downloads::EventDownloads,
    latest_answers::LatestAnswers, wanted::WantedFaces,
};
use crate::{
    avatar::{StoredPicture, Subject, Trouble},
    clock::Timestamp,
    fleet::SharedAccount,
    limits::Admission,
    store::{AccountNames, Store},
    sync::lock,
    telemetry::AccountLabel,
    upstream::{Account, Client, Description, Question, UnsupportedSubject, VendorCall},
};

/// The shortest time between two reports of answers that were not understood.
const HOUR: Duration = Duration::from_secs(3600);
const DAY: u64 = 24 * 3600;

/// A configured account.
#[derive(Debug)]
pub struct Instance {
    name: Arc<str>,
    label: AccountLabel,
    /// The name of the account's faces in the cache.
    cache_name: Arc<str>,
    /// The names of the faces of accounts that the instance had before.
    earlier_cache_names: Vec<Arc<str>>,
    provider: Arc<Description>,
    account: Account,
    pub(super) client: Arc<Client>,
    admission: Arc<Admission>,
    /// When an answer that was not understood was last logged.
    misunderstood_at: Mutex<Option<Timestamp>>,
    /// When an event was logged that is of no kind that the description has.
    unknown_event_at: Mutex<Option<Timestamp>>,
    wanted: Arc<WantedFaces>,
    answers: Arc<LatestAnswers>,
    identities: Arc<AccountIdentities>,
    fallback: Fallback,
    /// The account as the replicas of a fleet share it.
    shared: Option<Arc<SharedAccount>>,
    pub(super) event_downloads: EventDownloads,
    has_shown_picture: AtomicBool,
    /// Held during a call for the state of the session, and never together with another lock.
    pub(super) session_check: tokio::sync::Mutex<()>,
}

/// The name of an instance, and of its table in the configuration, which may be a pattern.
#[derive(Clone, Copy, Debug)]
pub struct InstanceName<'a> {
    /// The name in URLs.
    pub name: &'a str,
    /// The name of the table.
    pub table: &'a str,
}

/// The state of an account, which a reload keeps.
#[derive(Debug)]
pub struct AccountState {
    /// The admission control.
    pub admission: Arc<Admission>,
    /// The faces that wait for the budget.
    pub wanted: Arc<WantedFaces>,
    /// The latest answers of the vendor.
    pub answers: Arc<LatestAnswers>,
    /// The numbers behind LIDs.
    pub identities: Arc<AccountIdentities>,
}

/// The instances with a table of their own, which others may name as their fallback. The references are weak, because
/// the instances themselves hold this table.
#[derive(Clone, Debug, Default)]
pub struct Neighbors(Arc<OnceLock<HashMap<Arc<str>, Weak<Instance>>>>);

/// The instances that are asked for a person of whom another one has no picture.
#[derive(Clone, Debug, Default)]
pub struct Fallback {
    /// Their names, in the order in which they are asked.
    pub names: Vec<String>,
    /// All instances.
    pub neighbors: Neighbors,
}

impl Neighbors {
    /// Makes the instances known, once all are built.
    pub fn set(&self, instances: &[Arc<Instance>]) {
        let by_name = instances.iter();
        let by_name = by_name.map(|one| (one.name().clone(), Arc::downgrade(one)));
        // Set once for each configuration, so this cannot fail.
        let _ = self.0.set(by_name.collect());
    }
}

impl Fallback {
    pub(super) fn instances(&self) -> Vec<Arc<Instance>> {
        let Some(known) = self.neighbors.0.get().filter(|_| !self.names.is_empty()) else {
            return Vec::new();
        };
        let names = self.names.iter();
        names
            .filter_map(|name| known.get(name.as_str())?.upgrade())
            .collect()
    }
}

impl Instance {
    /// Joins the parts of an instance.
    pub fn new(
        name: InstanceName<'_>,
        names: &AccountNames,
        provider: Arc<Description>,
        account: Account,
        client: Arc<Client>,
        state: AccountState,
        fallback: Fallback,
    ) -> Self {
        Self {
            name: name.name.into(),
            label: AccountLabel {
                instance: name.table.into(),
                provider: provider.name.clone(),
            },
            cache_name: names.current().into(),
            earlier_cache_names: names.earlier().map(Arc::from).collect(),
            provider,
            account,
            client,
            admission: state.admission,
            misunderstood_at: Mutex::default(),
            unknown_event_at: Mutex::default(),
            wanted: state.wanted,
            answers: state.answers,
            identities: state.identities,
            fallback,
            shared: None,
            event_downloads: EventDownloads::default(),
            has_shown_picture: AtomicBool::new(false),
            session_check: tokio::sync::Mutex::default(),
        }
    }

    /// The same instance, whose account the replicas of a fleet share.
    pub fn shared_by(mut self, account: Option<Arc<SharedAccount>>) -> Self {
        self.shared = account;
        self
    }

    /// The account as the replicas of a fleet share it.
    pub fn shared(&self) -> Option<&Arc<SharedAccount>> {
        self.shared.as_ref()
    }

    /// Whether `account` is this one's as the replicas of a fleet share it.
    pub fn has_account(&self, account: &Arc<SharedAccount>) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|shared| Arc::ptr_eq(shared, account))
    }

    /// Whether the faces that the fleet has forgotten are known, so that others can be served from the cache.
    pub(super) fn has_begun_in_fleet(&self) -> bool {
        self.shared
            .as_ref()
            .is_none_or(|account| account.has_begun())
    }

    /// Waits until the faces that the fleet has forgotten are known, at most `limit`.
    pub(super) async fn wait_for_fleet(&self, limit: Duration) {
        if let Some(account) = &self.shared {
            account.wait_for_begin(limit).await;
        }
    }

    /// Whether this replica's entry counts as stale, because changes of the fleet were missed.
    pub(super) fn is_outdated_in_fleet(&self, person: &Subject) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|account| !account.counts_as_fresh(person))
    }

    /// Whether the warm-up of this time is this replica's to make: one of the fleet makes it.
    pub(super) async fn may_warm_up(&self, at: Timestamp) -> bool {
        let Some(account) = &self.shared else {
            return true;
        };
        let name = format!("warm:{}", at.as_secs() / DAY);
        // Without Redis, no call is there for it.
        account.take_turn(&name, Duration::from_secs(2 * DAY)).await == Ok(true)
    }

    /// Whether a face of the instance had a picture since it was made.
    pub(super) fn has_shown_picture(&self) -> bool {
        self.has_shown_picture.load(Ordering::Relaxed)
    }

    /// Records that a face has a picture.
    pub(super) fn record_shown_picture(&self) {
        // Hits come here, and most have nothing to write.
        if !self.has_shown_picture() {
            self.has_shown_picture.store(true, Ordering::Relaxed);
        }
    }

    /// The name in the configuration and in URLs.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The account as metrics name it.
    pub fn label(&self) -> &AccountLabel {
        &self.label
    }

    /// The name of the account's faces in the cache.
    pub fn cache_name(&self) -> &Arc<str> {
        &self.cache_name
    }

    /// The names, in the cache, of the faces of accounts that the instance had before. They are not served.
    pub fn earlier_cache_names(&self) -> &[Arc<str>] {
        &self.earlier_cache_names
    }

    /// Whether a stored picture is the gateway's default one.
    pub(super) fn is_default(&self, stored: &StoredPicture) -> bool {
        let is_known = |fingerprint: &str| self.admission.is_default_picture(fingerprint, "");
        let link_id = stored.link_id.as_deref();
        is_known(&stored.picture.digest().short()) || link_id.is_some_and(is_known)
    }

    /// The description of the vendor's API.
    pub fn provider(&self) -> &Arc<Description> {
        &self.provider
    }

    /// The account with the vendor.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The admission control, which decides whether the vendor may be called. A reload keeps it for as long
    /// as the account stays configured, so that fetches in flight report to the same one.
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Records trouble that the vendor reports, and logs that a pause it asks for is capped. Returns the end of the
    /// pause, or `None` for trouble that concerns a single face.
    pub(super) fn record_trouble(
        &self,
        why: Trouble,
        retry_after: Option<Duration>,
    ) -> Option<Timestamp> {
        let longest = self.admission.longest_pause();
        if let Some(asked) = retry_after.filter(|asked| *asked > longest) {
            tracing::warn!(
                instance = %self.name,
                retry_after_seconds = asked.as_secs(),
                capped_seconds = longest.as_secs(),
                "the vendor's Retry-After is longer than negative.rate_limited_longest and is capped"
            );
        }
        self.admission.record_trouble(why, retry_after)
    }

    /// Saves the state of the admission control. This happens before a granted call is made: a crash in between
    /// must not refund the call.
    pub(super) async fn save_admission(&self, store: &Store) {
        let admission = self.admission.clone();
        let state = move || serde_json::to_vec(&admission.save()).unwrap_or_default();
        store.save_state(self.name.clone(), state).await;
    }

    /// Whether an answer that was not understood is to be logged: once an hour.
    pub(super) fn may_log_misunderstanding(&self, now: Timestamp) -> bool {
        is_due(&self.misunderstood_at, now)
    }

    /// Whether an event of an unknown kind is to be logged: once an hour.
    pub(super) fn may_log_unknown_event(&self, now: Timestamp) -> bool {
        is_due(&self.unknown_event_at, now)
    }

    /// The faces that wait for the budget. A reload keeps them as it keeps the admission control.
    pub fn wanted(&self) -> &Arc<WantedFaces> {
        &self.wanted
    }

    /// The latest answers of the vendor. A reload keeps them, too.
    pub fn answers(&self) -> &Arc<LatestAnswers> {
        &self.answers
    }

    /// The numbers behind the account's LIDs. A reload keeps them, too.
    pub fn identities(&self) -> &Arc<AccountIdentities> {
        &self.identities
    }

    /// The instances that are asked for a person of whom this one has no picture.
    pub(super) fn fallback(&self) -> &Fallback {
        &self.fallback
    }

    /// The HTTP client.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Whether this is the account called `name` with `provider` at `base`.
    pub fn is_account(&self, provider: &str, base: &Url, name: &str) -> bool {
        *self.provider.name == *provider
            && self.client.settings().base == *base
            && self.account.name == name
    }

    pub(super) fn call(
        &self,
        subject: Subject,
        refresh: bool,
    ) -> Result<VendorCall, UnsupportedSubject> {
        self.provider()
            .picture_call(&self.account, &Question { subject, refresh })
    }

    /// Replaces `me` by the configured own JID if the vendor has no call for it, so that both share one
    /// entry.
    pub fn resolve_own(&self, subject: Subject) -> Result<Subject, UnsupportedSubject> {
        match subject {
            // A program may push it under either name.
            Subject::Me if self.provider().is_push() => {
                Ok(self.account.own.map_or(Subject::Me, Subject::Chat))
            }
            Subject::Me if !self.provider().has_own_profile() => self
                .account
                .own
                .map(Subject::Chat)
                .ok_or(UnsupportedSubject::OwnUnknown),
            Subject::Faceless(_) => Err(UnsupportedSubject::Faceless),
            subject => Ok(subject),
        }
    }
}

/// Whether an hour has passed since the last time, which is now then.
fn is_due(last: &Mutex<Option<Timestamp>>, now: Timestamp) -> bool {
    let mut last = lock(last);
    let is_due = last.is_none_or(|last| now.is_after(last, HOUR));
    if is_due {
        *last = Some(now);
    }
    is_due
}
