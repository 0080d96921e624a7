//! The membership of this replica in its fleet, and the accounts that it shares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time};

use super::{
    account::{OtherBudget, SharedAccount},
    link::ConnectError,
    member::{Member, Purpose, Renewal, Replica, new_id},
    s3::{S3Pictures, S3Problem, S3Settings},
    settings::Settings,
};
use crate::{limits::BudgetLimits, sync::lock};

/// The fleet, as this replica is a member of it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(super) member: Arc<Member>,
    accounts: Arc<Mutex<HashMap<String, Weak<SharedAccount>>>>,
    /// The accounts that were added and have not caught up yet.
    added: Arc<NewAccounts>,
}

#[derive(Debug, Default)]
struct NewAccounts {
    accounts: Mutex<Vec<Arc<SharedAccount>>>,
    are_there: Notify,
}

/// Why a replica cannot be a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The URL is wrong.
    #[error("fleet.redis {0}")]
    Url(String),
    /// The password is wrong, or the user lacks a right.
    #[error(
        "Redis refuses the credential in fleet.redis; check its user, its password and its rights: docs/fleet.md has them"
    )]
    Credential,
    /// The store of pictures cannot be used.
    #[error(transparent)]
    Pictures(#[from] S3Problem),
    /// The fleet has another secret.
    #[error(
        "the fleet {0} has another fleet.secret on this Redis; give all its replicas the same one, or this one another fleet.name"
    )]
    OtherSecret(String),
    /// The live replicas divide the budgets otherwise.
    #[error(
        "the replicas of the fleet {fleet} have {theirs}, and this one {own}; give all of them the same fleet.replicas and fleet.reserve, or stop the others first"
    )]
    OtherDivision {
        /// The name of the fleet.
        fleet: String,
        /// That of this replica.
        own: String,
        /// That of the others.
        theirs: String,
    },
    /// As many replicas are live as there are shares of the reserve.
    #[error(
        "the fleet {fleet} has {replicas} replicas already, which is fleet.replicas; raise it on all of them, also for the one more that a rolling update starts"
    )]
    Full {
        /// The name of the fleet.
        fleet: String,
        /// The most replicas.
        replicas: u32,
    },
    /// The live replicas have another budget for an account.
    #[error(
        "the replicas of the fleet {fleet} have {} for the account of {instance}, and this one {}; give all of them the same budget: reload the others with it, or stop them, before this one starts", budgets.other, budgets.own
    )]
    OtherBudget {
        /// The name of the fleet.
        fleet: String,
        /// The instance.
        instance: String,
        /// The budgets.
        budgets: OtherBudget,
    },
}

/// How often a start tries to become a member.
const ATTEMPTS: usize = 3;
/// The seconds after which the membership is renewed.
const RENEWAL: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
/// Why a member has no number.
const NO_NUMBER: &str = "every number of the fleet is taken by replicas that live or ended without a proper stop, so this one has no reserve for up to 12 hours; raise fleet.replicas on all of them if that happens often";

impl Fleet {
    /// A name for a replica that has none yet.
    pub fn new_replica() -> String {
        new_id().to_string()
    }

    /// Becomes a member. A Redis that cannot be reached is no error: the replica tries again and serves its own faces.
    pub async fn join(settings: &Settings, replica: Replica) -> Result<Self, FleetError> {
        let s3 = match &settings.s3 {
            Some(s3) => Some(open_pictures(s3, &replica).await?),
            None => None,
        };
        let member = Member::new(settings, replica, s3).map_err(FleetError::Url)?;
        let fleet = Self {
            member: Arc::new(member),
            accounts: Arc::default(),
            added: Arc::default(),
        };
        match fleet.member.link.connect().await {
            Ok(()) => {}
            Err(ConnectError::Credential) => return Err(FleetError::Credential),
            Err(ConnectError::Unreachable(why)) => tracing::warn!(
                why,
                "Redis cannot be reached; this replica serves what it has until it can"
            ),
        }
        // The first script takes longer: Redis does not have it yet.
        for _ in 0..ATTEMPTS {
            if let Ok(renewal) = fleet.member.renew(Purpose::Join).await {
                fleet.accept(renewal.clone())?;
                fleet.report(&Renewal::Member, renewal);
                break;
            }
            if fleet.member.link.is_refused() {
                return Err(FleetError::Credential);
            }
        }
        Ok(fleet)
    }

    fn accept(&self, renewal: Renewal) -> Result<(), FleetError> {
        let (fleet, replicas) = (self.member.fleet.clone(), self.member.replicas);
        match renewal {
            Renewal::Member | Renewal::WithoutNumber => Ok(()),
            Renewal::OtherSecret => Err(FleetError::OtherSecret(fleet)),
            Renewal::OtherDivision(theirs) => Err(FleetError::OtherDivision {
                fleet,
                own: self.member.division(),
                theirs,
            }),
            Renewal::Full => Err(FleetError::Full { fleet, replicas }),
        }
    }

    /// What keeps this replica from being a whole member, as the last renewal says.
    pub(super) fn problem(&self) -> Option<String> {
        self.explain(self.member.last_renewal())
    }

    fn explain(&self, renewal: Renewal) -> Option<String> {
        match renewal {
            Renewal::WithoutNumber => Some(NO_NUMBER.to_owned()),
            other => self.accept(other).err().map(|error| error.to_string()),
        }
    }

    /// Logs a renewal that is not like the one before.
    fn report(&self, before: &Renewal, renewal: Renewal) {
        if *before == renewal {
            return;
        }
        match self.explain(renewal) {
            Some(why) => tracing::warn!(why, "this replica is no whole member of the fleet"),
            None => tracing::info!("this replica is a whole member of the fleet again"),
        }
    }

    /// Lets the budget of an account fill from now on. An error if the live replicas have another budget for it.
    pub async fn check_budget(
        &self,
        account: &SharedAccount,
        instance: &str,
    ) -> Result<(), FleetError> {
        let is_alone = self.member.last_living() == 1;
        match account.refill(is_alone).await {
            Ok(Some(budgets)) => Err(FleetError::OtherBudget {
                fleet: self.member.fleet.clone(),
                instance: instance.to_owned(),
                budgets,
            }),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// The account of this provider, base URL and name. One that is known keeps the used part of its reserve.
    pub fn account(
        &self,
        (provider, base, name): (&str, &str, &str),
        limits: BudgetLimits,
    ) -> Arc<SharedAccount> {
        let name = self.member.secrets.account(provider, base, name);
        let mut accounts = lock(&self.accounts);
        if let Some(known) = accounts.get(&name).and_then(Weak::upgrade) {
            if known.set_limits(limits) {
                let account = known.clone();
                // A reload replaces the budget of the whole fleet.
                tokio::spawn(async move { account.refill(true).await });
            }
            return known;
        }
        let account = SharedAccount::new(self.member.clone(), name.clone(), limits);
        let account = Arc::new(account);
        accounts.insert(name, Arc::downgrade(&account));
        lock(&self.added.accounts).push(account.clone());
        self.added.are_there.notify_one();
        account
    }

    /// Waits for accounts that were added, which have to catch up.
    pub async fn added(&self) -> Vec<Arc<SharedAccount>> {
        loop {
            let added = self.take_added();
            if !added.is_empty() {
                return added;
            }
            self.added.are_there.notified().await;
        }
    }

    /// The accounts that were added since the last time.
    pub fn take_added(&self) -> Vec<Arc<SharedAccount>> {
        std::mem::take(&mut lock(&self.added.accounts))
    }

    /// Begins to read the logs of accounts that have caught up.
    pub async fn read_more(&self) {
        self.member.wake().await;
    }

    /// All accounts that instances have.
    pub fn accounts(&self) -> Vec<Arc<SharedAccount>> {
        let mut accounts = lock(&self.accounts);
        accounts.retain(|_, account| account.strong_count() > 0);
        accounts.values().filter_map(Weak::upgrade).collect()
    }

    /// The replicas that lived when that was last looked at, this one among them.
    pub fn living(&self) -> usize {
        usize::try_from(self.member.last_living()).unwrap_or(usize::MAX)
    }

    /// Waits until an account may have changes that Redis did not take, at most `limit`.
    pub async fn wait_for_unsent(&self, limit: Duration) {
        let _ = time::timeout(limit, self.member.unsent.notified()).await;
    }

    /// Whether Redis answers.
    pub fn is_up(&self) -> bool {
        self.member.link.is_up()
    }

    /// Makes a connection, if there is none.
    pub async fn connect(&self) {
        // The next command reports the trouble.
        let _ = self.member.link.connect().await;
    }

    /// Renews the membership for ever.
    pub async fn stay(&self) {
        loop {
            // A connection takes longer than a command may, so none is made for a command alone.
            for _ in 0..RENEWAL {
                time::sleep(SECOND).await;
                self.connect().await;
            }
            let before = self.member.last_renewal();
            if let Ok(renewal) = self.member.renew(Purpose::Stay).await {
                self.report(&before, renewal);
            }
        }
    }

    /// Ends the membership.
    pub async fn leave(&self) {
        self.member.leave().await;
    }
}

/// Opens the store of pictures. One that cannot be reached is no error, as with Redis.
async fn open_pictures(
    settings: &S3Settings,
    replica: &Replica,
) -> Result<Arc<S3Pictures>, S3Problem> {
    let pictures = S3Pictures::new(settings, replica.resolver.clone(), replica.metrics.clone())?;
    match pictures.probe(&replica.id).await {
        Err(problem) if problem.is_lasting() => return Err(problem),
        Err(problem) => {
            tracing::warn!(%problem, "pictures of siblings are fetched from the vendor until it can");
        }
        Ok(()) => {}
    }
    Ok(Arc::new(pictures))
}
