//! The membership of this replica in its fleet, and the accounts that it shares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::time;

use super::{
    account::SharedAccount,
    member::{Member, Replica, new_id},
    settings::Settings,
};
use crate::{limits::BudgetLimits, sync::lock};

/// The fleet, as this replica is a member of it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(super) member: Arc<Member>,
    accounts: Arc<Mutex<HashMap<String, Weak<SharedAccount>>>>,
}

/// Why a replica cannot be a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The URL is wrong.
    #[error(
        "fleet.redis is not the URL of a Redis server; write redis://user:password@host:6379/0"
    )]
    Url,
    /// The password is wrong, or the user lacks a right.
    #[error("Redis refuses the credential in fleet.redis; check its user and password")]
    Credential,
    /// The fleet has another secret.
    #[error(
        "the fleet {0} has another fleet.secret on this Redis; give all its replicas the same one, or this one another fleet.name"
    )]
    OtherSecret(String),
}

/// How often a start tries to become a member.
const ATTEMPTS: usize = 3;
/// How often the membership is renewed.
const RENEWAL: Duration = Duration::from_secs(10);

impl Fleet {
    /// A name for a replica that has none yet.
    pub fn new_replica() -> String {
        new_id().to_string()
    }

    /// Becomes a member. A Redis that cannot be reached is no error: the replica tries again and serves its own faces.
    pub async fn join(settings: &Settings, replica: Replica) -> Result<Self, FleetError> {
        let member = Member::new(settings, replica).map_err(|_| FleetError::Url)?;
        let fleet = Self {
            member: Arc::new(member),
            accounts: Arc::default(),
        };
        if let Err(why) = fleet.member.link.connect().await {
            if why.contains("NOAUTH") || why.contains("WRONGPASS") || why.contains("Authentication")
            {
                return Err(FleetError::Credential);
            }
            tracing::warn!(
                why,
                "Redis cannot be reached; this replica serves what it has until it can"
            );
        }
        // The first script takes longer: Redis does not have it yet.
        for _ in 0..ATTEMPTS {
            match fleet.member.renew().await {
                Ok(Err(_)) => return Err(FleetError::OtherSecret(settings.name.clone())),
                Ok(Ok(())) => break,
                Err(_) => {}
            }
        }
        Ok(fleet)
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
            known.set_limits(limits);
            return known;
        }
        let account = SharedAccount::new(self.member.clone(), name.clone(), limits);
        let account = Arc::new(account);
        accounts.insert(name, Arc::downgrade(&account));
        account
    }

    /// All accounts that instances have.
    pub fn accounts(&self) -> Vec<Arc<SharedAccount>> {
        let mut accounts = lock(&self.accounts);
        accounts.retain(|_, account| account.strong_count() > 0);
        accounts.values().filter_map(Weak::upgrade).collect()
    }

    /// Whether Redis answers.
    pub fn is_up(&self) -> bool {
        self.member.link.is_up()
    }

    /// Renews the membership for ever.
    pub async fn stay(&self) {
        loop {
            time::sleep(RENEWAL).await;
            // The next command reports the trouble.
            let _ = self.member.link.connect().await;
            let _ = self.member.renew().await;
        }
    }

    /// Ends the membership.
    pub async fn leave(&self) {
        self.member.leave().await;
    }
}
