//! Looks whether a configuration fits to the fleet. Nothing is changed, but for an object in the S3 store that is deleted
//! again.

use redis::FromRedisValue;

use super::{
    account::OtherBudget,
    link::{ConnectError, EngineFailure},
    member::{Member, Replica},
    membership::FleetError,
    s3::{S3Pictures, S3Problem},
    settings::{PROBE_LIMIT, Settings},
};
use crate::limits::BudgetLimits;

/// An account of the configuration.
#[derive(Clone, Debug)]
pub struct ProbedAccount {
    /// The name of its instance.
    pub instance: String,
    /// Provider, base URL and name at the gateway.
    pub account: (String, String, String),
    /// Its budget.
    pub limits: BudgetLimits,
}

/// The result, if nothing is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The other live replicas.
    pub living: usize,
    /// The keys of the engines that cannot be reached from here, and the reasons.
    pub unreachable: Vec<(&'static str, String)>,
}

/// Why a replica cannot be a member.
enum Misfit {
    /// Redis failed.
    Engine,
    Fleet(FleetError),
}

const REDIS: &str = "fleet.redis";

/// Looks whether a replica with these settings and accounts could be a member now. An engine that cannot be reached is
/// no error, as at a start.
pub async fn probe(
    settings: &Settings,
    replica: Replica,
    accounts: &[ProbedAccount],
) -> Result<Probe, FleetError> {
    let mut probe = Probe::default();
    if let Some(s3) = &settings.s3 {
        let (resolver, metrics) = (replica.resolver.clone(), replica.metrics.clone());
        let pictures = S3Pictures::new(s3, resolver, metrics)?;
        match pictures.probe(&replica.id).await {
            Ok(()) => {}
            Err(S3Problem::Unreachable(why)) => probe.unreachable.push(("fleet.s3", why)),
            Err(problem) => return Err(problem.into()),
        }
    }
    let settings = settings.clone().with_timeout(PROBE_LIMIT);
    let member = Member::new(&settings, replica, None).map_err(FleetError::Url)?;
    match member.link.connect().await {
        Ok(()) => {}
        Err(ConnectError::Credential) => return Err(FleetError::Credential),
        Err(ConnectError::Unreachable(why)) => {
            probe.unreachable.push((REDIS, why));
            return Ok(probe);
        }
    }
    match fit(&member, accounts).await {
        Ok(living) => probe.living = living,
        Err(Misfit::Fleet(error)) => return Err(error),
        Err(Misfit::Engine) if member.link.is_refused() => return Err(FleetError::Credential),
        Err(Misfit::Engine) => {
            let why = "it does not carry out a command".to_owned();
            probe.unreachable.push((REDIS, why));
        }
    }
    Ok(probe)
}

/// Compares secret, division and budgets with those of the live replicas. Returns their number.
async fn fit(member: &Member, accounts: &[ProbedAccount]) -> Result<usize, Misfit> {
    let fleet = member.fleet.clone();
    let [secret, division] = member.stored_settings().await?;
    if secret.is_some_and(|secret| secret != member.secret) {
        return Err(FleetError::OtherSecret(fleet).into());
    }
    let living = member.living().await?.len();
    if living == 0 {
        return Ok(0);
    }
    let own = member.division();
    if let Some(theirs) = division.filter(|theirs| *theirs != own) {
        return Err(FleetError::OtherDivision { fleet, own, theirs }.into());
    }
    for probed in accounts {
        let (provider, base, name) = &probed.account;
        let account = member.secrets.account(provider, base, name);
        let key = format!("fp:{fleet}:{{{account}}}:account");
        let command = redis::cmd("HGET").arg(key).arg("budget").take();
        let value = member.link.send("probe", &command).await?;
        let other = Option::<String>::from_redis_value(value).ok().flatten();
        let own = probed.limits.to_string();
        if let Some(other) = other.filter(|other| *other != own) {
            let instance = probed.instance.clone();
            let budgets = OtherBudget { own, other };
            let error = FleetError::OtherBudget {
                fleet,
                instance,
                budgets,
            };
            return Err(error.into());
        }
    }
    Ok(living)
}

impl From<EngineFailure> for Misfit {
    fn from(EngineFailure: EngineFailure) -> Self {
        Misfit::Engine
    }
}

impl From<FleetError> for Misfit {
    fn from(error: FleetError) -> Self {
        Misfit::Fleet(error)
    }
}
