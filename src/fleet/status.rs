//! The state of this replica and its fleet, as operators see it.

use std::time::Duration;

use super::{account::SharedAccount, membership::Fleet, reading::Phase};

/// The state of this replica and its fleet.
#[derive(Clone, Debug)]
pub struct FleetStatus {
    /// The name of the fleet.
    pub name: String,
    /// The name of this replica.
    pub replica: String,
    /// The live replicas, as far as is known.
    pub living: u64,
    /// The most replicas.
    pub replicas: u32,
    /// Whether this replica has a number, and with it a reserve.
    pub has_reserve: bool,
    /// What keeps it from being a whole member, and the remedy.
    pub problem: Option<String>,
    /// Whether Redis answers.
    pub redis_is_up: bool,
    /// The engine that has the pictures.
    pub pictures: &'static str,
    /// Whether that engine answers.
    pub pictures_are_up: bool,
}

/// The state of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStatus {
    /// The name of the account in Redis, a hash.
    pub account: String,
    /// How far this replica has heard of the siblings' changes.
    pub reading: &'static str,
    /// The last change that it heard of.
    pub position: Option<String>,
    /// How old that was when it was heard of.
    pub lag: Option<Duration>,
    /// How often changes were missed since the start.
    pub epoch: u32,
}

impl Fleet {
    /// The state of this replica and its fleet.
    pub fn status(&self) -> FleetStatus {
        let member = &self.member;
        FleetStatus {
            name: member.fleet.clone(),
            replica: member.id.clone(),
            living: member.last_living(),
            replicas: member.replicas,
            has_reserve: member.has_number(member.clock.moment()),
            problem: self.problem(),
            redis_is_up: self.is_up(),
            pictures: member.pictures.engine(),
            pictures_are_up: self.pictures_are_up(),
        }
    }

    /// Whether the store of pictures answers.
    pub fn pictures_are_up(&self) -> bool {
        self.member.pictures.is_up()
    }

    /// Asks a store of pictures that has not answered whether it does again.
    pub async fn look_again_for_pictures(&self) {
        self.member.pictures.look_again().await;
    }
}

impl SharedAccount {
    /// The state of the account.
    pub fn status(&self) -> AccountStatus {
        AccountStatus {
            account: self.name.clone(),
            reading: match self.reading.phase() {
                Phase::Starting => "starting",
                Phase::Alone => "alone",
                Phase::Comparing => "comparing",
                Phase::Current => "current",
            },
            position: self.reading.position().map(|position| position.to_string()),
            lag: self.reading.lag(),
            epoch: self.epoch(),
        }
    }
}
