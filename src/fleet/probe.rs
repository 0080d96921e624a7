//! Looks whether a configuration fits to the fleet, and changes nothing.

use redis::FromRedisValue;

use super::{
    account::OtherBudget,
    link::ConnectError,
    member::{Member, Replica},
    membership::FleetError,
    settings::Settings,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The replica can be a member, beside so many others that live.
    Fits(usize),
    /// Redis cannot be reached, and the reason.
    Unreachable(String),
}

/// Looks whether a replica with these settings and accounts could be a member now.
pub async fn probe(
    settings: &Settings,
    replica: Replica,
    accounts: &[ProbedAccount],
) -> Result<Probe, FleetError> {
    let member = Member::new(settings, replica).map_err(FleetError::Url)?;
    match member.link.connect().await {
        Ok(()) => {}
        Err(ConnectError::Credential) => return Err(FleetError::Credential),
        Err(ConnectError::Unreachable(why)) => return Ok(Probe::Unreachable(why)),
    }
    let unreachable = || match member.link.is_refused() {
        true => Err(FleetError::Credential),
        false => Ok(Probe::Unreachable("it does not answer".to_owned())),
    };
    let fleet = settings.name.clone();
    let Ok([secret, division]) = member.stored_settings().await else {
        return unreachable();
    };
    if secret.is_some_and(|secret| secret != member.secret) {
        return Err(FleetError::OtherSecret(fleet));
    }
    let Ok(living) = member.living().await else {
        return unreachable();
    };
    if living.is_empty() {
        return Ok(Probe::Fits(0));
    }
    let own = member.division();
    if let Some(theirs) = division.filter(|theirs| *theirs != own) {
        return Err(FleetError::OtherDivision { fleet, own, theirs });
    }
    for ProbedAccount {
        instance,
        account: (provider, base, name),
        limits,
    } in accounts
    {
        let account = member.secrets.account(provider, base, name);
        let key = format!("fp:{fleet}:{{{account}}}:account");
        let command = redis::cmd("HGET").arg(key).arg("budget").take();
        let Ok(value) = member.link.send("probe", &command).await else {
            return unreachable();
        };
        let other = Option::<String>::from_redis_value(value).ok().flatten();
        let own = limits.to_string();
        if let Some(other) = other.filter(|other| *other != own) {
            return Err(FleetError::OtherBudget {
                fleet,
                instance: instance.clone(),
                budgets: OtherBudget { own, other },
            });
        }
    }
    Ok(Probe::Fits(living.len()))
}
