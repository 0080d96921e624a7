//! The state of the fleet, at `/v1/fleet`.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Admin, Error};
use crate::{fleet::FleetStatus, http::respond, server::Reply};

/// The state of this replica and its fleet.
#[derive(Serialize, ToSchema)]
pub(super) struct FleetRecord {
    /// The name of the fleet.
    name: String,
    /// The name of this replica.
    replica: String,
    /// The live replicas, as far as is known.
    living: u64,
    /// The most replicas, as configured.
    replicas: u32,
    /// Whether this replica has a number, and with it a share of the reserve.
    has_reserve: bool,
    /// What keeps this replica from being a whole member since it started, and the remedy; `null` if nothing does.
    problem: Option<String>,
    /// The calls to vendors from this replica's reserve since its start, while Redis did not answer.
    reserve_calls: u64,
    /// Whether Redis answers.
    redis: bool,
    /// The engine that has the pictures: `redis` or `s3`.
    pictures: &'static str,
    /// Whether that engine answers.
    pictures_up: bool,
    accounts: Vec<FleetAccount>,
}

/// An account that the replicas share.
#[derive(Serialize, ToSchema)]
struct FleetAccount {
    instance: String,
    /// The name of the account in Redis and in objects' names, a hash.
    account: String,
    /// How far this replica has heard of its siblings' changes: `starting`, `alone` (Redis did not answer at the start),
    /// `comparing` (changes were missed, so entries are served as stale until they are compared) or `current`.
    reading: &'static str,
    /// The last change that this replica heard of, a position in the log.
    position: Option<String>,
    /// How many seconds old the last change was when this replica read it; `null` before the first one.
    lag_seconds: Option<f64>,
    /// How often changes were missed since the start, each time with a comparison of all entries.
    epoch: u32,
}

impl Admin {
    pub(super) fn show_fleet(&self) -> Result<Reply, Error> {
        let record = self.fleet_record().ok_or(Error::NoFleet)?;
        Ok(respond::json(&record))
    }

    /// The record of the fleet; `None` without one.
    pub(super) fn fleet_record(&self) -> Option<FleetRecord> {
        let FleetStatus {
            name,
            replica,
            living,
            replicas,
            has_reserve,
            problem,
            redis_is_up,
            pictures,
            pictures_are_up,
        } = self.faces.fleet()?.status();
        let instances = self.instances.iter().filter_map(|instance| {
            let status = instance.shared()?.status();
            Some(FleetAccount {
                instance: instance.name().to_string(),
                account: status.account,
                reading: status.reading,
                position: status.position,
                lag_seconds: status.lag.map(|lag| lag.as_secs_f64()),
                epoch: status.epoch,
            })
        });
        let mut accounts: Vec<_> = instances.collect();
        accounts.sort_by(|one, other| one.instance.cmp(&other.instance));
        Some(FleetRecord {
            name,
            replica,
            living,
            replicas,
            has_reserve,
            problem,
            reserve_calls: self.metrics.fleet().reserve_calls(),
            redis: redis_is_up,
            pictures,
            pictures_up: pictures_are_up,
            accounts,
        })
    }
}
