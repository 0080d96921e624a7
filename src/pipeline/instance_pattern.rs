//! The accounts of a table such as `[instances."shop-*"]`: an instance for each name that matches, made when it is first
//! asked for by a client with access.
//!
//! 1. A name that matches and is not made yet is made on a disk thread, one at a time.
//! 2. The table is bounded. Names without requests leave it; the disk keeps their faces and their budgets.
//! 3. Requests without a credential fill half of the table at most, so they never keep out those with one. If their
//!    half is full of names without a picture, such as made-up ones, clients share it: the client that has made most of
//!    them loses one to another client. A name with a picture stays, and so does one that is in use.

use std::{
    collections::HashMap,
    fmt::Debug,
    net::IpAddr,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use secrecy::SecretString;
use tokio::{sync::Mutex, task, time};

use super::{instance::Instance, instances::Instances, name_pattern::NamePattern};
use crate::{
    clock::{Clock, Moment},
    sync::lock,
    telemetry::Limit,
    upstream::Description,
};

/// The common settings of the instances of a pattern.
#[derive(Debug)]
pub struct PatternSettings {
    /// The pattern of their names.
    pub names: NamePattern,
    /// The vendor's names for their accounts; the wildcard is the name of the instance.
    pub account: NamePattern,
    /// The description of the vendor's API.
    pub provider: Arc<Description>,
    /// The credential.
    pub token: SecretString,
    /// The largest number of instances in memory.
    pub max_names: usize,
    /// An instance leaves memory when no client has asked for it for this long.
    pub idle: Duration,
}

/// Makes the instances of a pattern.
pub trait InstanceMaker: Debug + Send + Sync {
    /// Makes the instance called `name`, with the state that it had in `before`, or else on disk. Blocks on the file
    /// system.
    fn make(&self, name: &str, before: Option<&Instances>) -> Arc<Instance>;

    /// Starts the work of the instance, once it is in the table.
    fn start(&self, instance: &Arc<Instance>);

    /// Whether the disk has a state of the instance called `name`. Blocks on the file system.
    fn is_known(&self, name: &str) -> bool;

    /// Removes that state, unless it has a used budget, a pause or a warm-up. Blocks on the file system.
    fn forget(&self, name: &str);
}

/// The reason to make an instance: the kind of client that asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Demand {
    /// A client with a credential.
    Credential,
    /// A client of open faces without a credential, by the address that its limits are kept under.
    Open(Option<IpAddr>),
    /// A client that needs the instance only if it was made before, such as a webhook.
    IfKnown,
}

impl Demand {
    /// The demand of a client with access, which open faces grant without a credential, too.
    pub fn of_client(has_credential: bool, client: Option<IpAddr>) -> Self {
        match has_credential {
            true => Self::Credential,
            false => Self::Open(client),
        }
    }
}

/// An instance was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMade {
    /// No table has this name.
    Unknown,
    /// The limit of instances in use is reached, or the disk does not answer.
    Full,
}

/// The instances of a pattern.
#[derive(Debug)]
pub struct InstancePattern {
    settings: PatternSettings,
    maker: Box<dyn InstanceMaker>,
    clock: Clock,
    /// Held for a few instructions, never across an await.
    names: std::sync::Mutex<Names>,
    /// Held while an instance is made, so that none is made twice.
    making: Arc<Mutex<()>>,
}

/// The instances that are made.
#[derive(Debug, Default)]
struct Names {
    made: HashMap<Arc<str>, PatternInstance>,
    /// Whether another configuration has taken the instances over. No more are made here then: an account must not
    /// have two budgets.
    is_replaced: bool,
}

/// An instance that was made.
#[derive(Clone, Debug)]
pub struct PatternInstance {
    instance: Arc<Instance>,
    /// When it was last asked for.
    asked_at: Moment,
    /// What it was made for.
    demand: Demand,
}

/// How long a request waits for an instance to be made. The disk may hang.
const PATIENCE: Duration = Duration::from_secs(5);
/// When a name without a picture yields to another one, whichever client made it.
const UNPROVEN_IDLE: Duration = Duration::from_secs(3600);

impl InstancePattern {
    /// No instances yet.
    pub fn new(settings: PatternSettings, maker: Box<dyn InstanceMaker>, clock: Clock) -> Self {
        Self {
            settings,
            maker,
            clock,
            names: std::sync::Mutex::default(),
            making: Arc::default(),
        }
    }

    /// The common settings of the instances.
    pub fn settings(&self) -> &PatternSettings {
        &self.settings
    }

    /// The instance of this name, if it is made.
    pub fn get(&self, name: &str) -> Option<Arc<Instance>> {
        let now = self.clock.moment();
        let mut names = self.lock_names();
        let made = names.made.get_mut(name)?;
        made.asked_at = now;
        Some(made.instance.clone())
    }

    /// Whether the instance of this name is made. Does not count as a use of it.
    pub fn is_made(&self, name: &str) -> bool {
        self.lock_names().made.contains_key(name)
    }

    /// All instances that are made.
    pub fn all(&self) -> Vec<Arc<Instance>> {
        let names = self.lock_names();
        let made = names.made.values();
        made.map(|made| made.instance.clone()).collect()
    }

    /// Hands all instances that are made to another configuration.
    pub fn hand_over(&self) -> Vec<PatternInstance> {
        let mut names = self.lock_names();
        names.is_replaced = true;
        names.made.values().cloned().collect()
    }

    /// Takes an instance over that was made before a reload.
    pub fn adopt(&self, made: &PatternInstance, before: &Instances) -> Arc<Instance> {
        let name = made.instance.name();
        let instance = self.maker.make(name, Some(before));
        if made.instance.has_shown_picture() {
            instance.record_shown_picture();
        }
        let adopted = PatternInstance {
            instance: instance.clone(),
            ..made.clone()
        };
        self.lock_names().made.insert(name.clone(), adopted);
        self.maker.start(&instance);
        instance
    }

    /// The instance of this name, which is made if it is not there.
    pub async fn make(
        self: &Arc<Self>,
        name: &str,
        demand: Demand,
    ) -> Result<Arc<Instance>, NotMade> {
        if let Some(instance) = self.get(name) {
            return Ok(instance);
        }
        let (pattern, name) = (self.clone(), name.to_owned());
        let work = async move {
            let making = pattern.making.clone().lock_owned().await;
            let work = task::spawn_blocking(move || {
                // The work goes on if the request is cancelled.
                let _making = making;
                pattern.make_now(&name, demand)
            });
            work.await.unwrap_or(Err(NotMade::Full))
        };
        let made = time::timeout(PATIENCE, work).await;
        made.unwrap_or(Err(NotMade::Full))
    }

    /// Drops the instances that no client has asked for lately and that have no work under way.
    pub fn drop_idle(&self) {
        let now = self.clock.moment();
        let idle = self.settings.idle;
        let mut names = self.lock_names();
        names
            .made
            .retain(|_, made| now.since(made.asked_at) < idle || made.is_in_use());
    }

    /// The same, on this thread, which it may block.
    pub fn make_now(&self, name: &str, demand: Demand) -> Result<Arc<Instance>, NotMade> {
        // Another request may have made it meanwhile.
        if let Some(instance) = self.get(name) {
            return Ok(instance);
        }
        if demand == Demand::IfKnown && !self.maker.is_known(name) {
            return Err(NotMade::Unknown);
        }
        if !self.has_room(demand) {
            self.drop_idle();
            self.drop_unproven(demand);
            if !self.has_room(demand) {
                Limit::InstanceNames.report();
                return Err(NotMade::Full);
            }
        }
        let instance = self.maker.make(name, None);
        let made = PatternInstance {
            instance: instance.clone(),
            asked_at: self.clock.moment(),
            demand,
        };
        let mut names = self.lock_names();
        if names.is_replaced {
            return Err(NotMade::Full);
        }
        names.made.insert(instance.name().clone(), made);
        drop(names);
        self.maker.start(&instance);
        Ok(instance)
    }

    /// Removes the state on disk of the instance called `name`, unless it is made.
    pub(super) async fn forget(self: &Arc<Self>, name: &str) {
        let making = self.making.clone().lock_owned().await;
        if self.is_made(name) {
            return;
        }
        let (pattern, name) = (self.clone(), name.to_owned());
        // A panic has been logged, and the state is tried again a day later.
        let _ = task::spawn_blocking(move || {
            let _making = making;
            pattern.maker.forget(&name);
        })
        .await;
    }

    fn has_room(&self, demand: Demand) -> bool {
        let most = self.settings.max_names;
        let made = &self.lock_names().made;
        let has_share = || {
            let open = made.values().filter(|made| made.is_open()).count();
            open < most.div_ceil(2)
        };
        made.len() < most && (!matches!(demand, Demand::Open(_)) || has_share())
    }

    /// Drops a name that yields to the one that a client without a credential asks for.
    fn drop_unproven(&self, demand: Demand) {
        let Demand::Open(client) = demand else {
            return;
        };
        let now = self.clock.moment();
        let mut names = self.lock_names();
        if let Some(name) = names.yielding(client, now) {
            names.made.remove(&name);
        }
    }

    fn lock_names(&self) -> MutexGuard<'_, Names> {
        lock(&self.names)
    }
}

impl Names {
    /// The name that yields to one that `client` asks for, of those that have never shown a picture: one that was not
    /// asked for lately, or else one of the client that has most of them, unless that is `client` itself. Otherwise a
    /// client could go through made-up names, and each would cost a call and a file.
    fn yielding(&self, client: Option<IpAddr>, now: Moment) -> Option<Arc<str>> {
        let unproven = || self.made.iter().filter(|(_, made)| made.may_yield());
        let mut counts = HashMap::<_, usize>::new();
        for (_, made) in unproven() {
            *counts.entry(made.demand).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or_default();
        let own = counts.get(&Demand::Open(client)).copied();
        let is_fair = most > own.unwrap_or_default();
        let yielding = unproven().filter(|(_, made)| {
            let is_idle = now.since(made.asked_at) >= UNPROVEN_IDLE;
            is_idle || (is_fair && counts[&made.demand] == most)
        });
        // Its budget and its pause are on disk, but those of a name without either need not be read again.
        let first = yielding
            .min_by_key(|(_, made)| (!made.instance.admission().is_at_rest(), made.asked_at))?;
        Some(first.0.clone())
    }
}

impl PatternInstance {
    /// The instance.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// Whether it was made for a client without a credential.
    fn is_open(&self) -> bool {
        matches!(self.demand, Demand::Open(_))
    }

    /// Whether it can yield to another name of a client without a credential.
    fn may_yield(&self) -> bool {
        self.is_open() && !self.instance.has_shown_picture() && !self.is_in_use()
    }

    /// Whether a fetch, a warm-up or another configuration holds the instance, or faces of it are wanted.
    fn is_in_use(&self) -> bool {
        let instance = &self.instance;
        Arc::strong_count(instance) > 1
            || Arc::strong_count(instance.admission()) > 1
            || instance.wanted().are_due(instance.admission())
    }
}
