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
    /// The replicas that live, as far as is known.
    living: u64,
    /// The most replicas, as configured.
    replicas: u32,
    /// Whether this replica has a number, and with it a share of the reserve.
    has_reserve: bool,
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
            reserve_calls: self.metrics.fleet().reserve_calls(),
            redis: redis_is_up,
            pictures,
            pictures_up: pictures_are_up,
            accounts,
        })
    }
}
