//! Joins the fleet at the start, and listens to it until the end.
//!
//! 1. Each account catches up: it learns which faces are forgotten before it serves any from the cache.
//! 2. The logs of the accounts are read, and each change of a sibling is applied.
//! 3. An account that has missed changes compares its entries with the fleet's in the background. So does one whose log
//!    has lost changes.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{
    task::JoinHandle,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use super::live::{Live, SharedParts};
use crate::{
    fleet::{
        Change, ChangeLog, EngineFailure, Fleet, FleetError, LogEvent, Replica, Settings,
        SharedAccount,
    },
    pipeline::{self, Instance},
};

/// The state file with this replica's name, which belongs to no instance.
const STATE: &str = ".replica";
/// How long an account that is new here waits for the list of forgotten faces. Without it, faces from the disk are served
/// as ever.
const CATCH_UP: Duration = Duration::from_secs(5);
/// How soon it asks again for a list that did not come.
const AGAIN: Duration = Duration::from_millis(100);
/// How often each account looks whether its log has lost changes, which no connection tells.
const WATCH: Duration = Duration::from_secs(5);
/// How often entries that may differ, because an engine failed, are compared again.
const SETTLE: Duration = Duration::from_secs(5);

/// Joins the fleet, if the configuration has one.
pub(super) async fn join(
    settings: Option<&Settings>,
    pipeline: &pipeline::Settings,
    parts: &SharedParts,
) -> Result<Option<Fleet>, FleetError> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let saved = parts.store.load_state(STATE);
    let saved = saved.and_then(|state| serde_json::from_slice(&state).ok());
    let id = saved.unwrap_or_else(Fleet::new_replica);
    let state = serde_json::to_vec(&id).unwrap_or_default();
    parts.store.save_state(STATE.into(), move || state).await;
    let policy = &pipeline.policy;
    let replica = Replica {
        id,
        keep_entries: policy.ttl + policy.stale_while_revalidate,
        resolver: parts.dependencies.resolver.clone(),
        clock: parts.dependencies.clock.clone(),
        metrics: parts.metrics.clone(),
    };
    Fleet::join(settings, replica).await.map(Some)
}

/// Lets each account catch up before anything is served, and from then on applies each change of a sibling.
pub(super) async fn listen(
    live: &Arc<ArcSwap<Live>>,
    shutdown: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, FleetError> {
    let Some(fleet) = live.load().faces.fleet().cloned() else {
        return Ok(Vec::new());
    };
    let is_up = fleet.is_up();
    if is_up {
        for instance in live.load().instances.exact() {
            if let Some(account) = instance.shared() {
                fleet.check_budget(account, instance.name()).await?;
            }
        }
    }
    let (added, until) = (fleet.take_added(), Instant::now() + CATCH_UP);
    let mut starting = tokio::spawn({
        let (live, fleet, shutdown) = (live.clone(), fleet.clone(), shutdown.clone());
        async move {
            for account in added {
                begin(&live, &fleet, &account, is_up.then_some(until), &shutdown).await;
            }
        }
    });
    let mut work = Vec::new();
    if time::timeout(CATCH_UP, &mut starting).await.is_err() {
        for account in fleet.accounts() {
            account.go_on_alone();
        }
        // It goes on, because changes that were read are not read again.
        work.push(starting);
    }
    work.extend([
        tokio::spawn(read(live.clone(), fleet.clone(), shutdown.clone())),
        tokio::spawn(add(live.clone(), fleet.clone(), shutdown.clone())),
        spawn(shutdown, settle(live.clone(), fleet.clone())),
        spawn(shutdown, remember_unsent(live.clone(), fleet.clone())),
        tokio::spawn(watch(live.clone(), fleet.clone(), shutdown.clone())),
        spawn(shutdown, async move { fleet.stay().await }),
    ]);
    Ok(work)
}

/// Reads the logs. Changes that were read are applied also during a shutdown, because they are not read again.
async fn read(live: Arc<ArcSwap<Live>>, fleet: Fleet, shutdown: CancellationToken) {
    let mut log = ChangeLog::new(fleet.clone());
    while let Some(event) = shutdown.run_until_cancelled(log.next()).await {
        match event {
            LogEvent::Lines(logs) => {
                for lines in logs {
                    let account = lines.account();
                    let _one = account.begin_catch_up().await;
                    apply(&live, lines.read()).await;
                    account.note_applied().await;
                }
            }
            LogEvent::Connected => {
                for account in fleet.accounts() {
                    catch_up(&live, &account).await;
                }
            }
            LogEvent::Failed => {}
        }
        for account in fleet.accounts() {
            account.note_position().await;
        }
    }
}

/// Lets the accounts that are added later catch up, such as those of patterns.
async fn add(live: Arc<ArcSwap<Live>>, fleet: Fleet, shutdown: CancellationToken) {
    while let Some(added) = shutdown.run_until_cancelled(fleet.added()).await {
        let until = Instant::now() + CATCH_UP;
        for account in added {
            let is_up = fleet.is_up();
            // A budget of another size is that of the last reload, which replaces the budget of the whole fleet.
            let _ = account.refill(true).await;
            let until = is_up.then_some(until);
            begin(&live, &fleet, &account, until, &shutdown).await;
        }
        fleet.read_more().await;
    }
}

/// Compares entries that may differ, as soon as Redis and the store of pictures answer again.
async fn settle(live: Arc<ArcSwap<Live>>, fleet: Fleet) {
    loop {
        time::sleep(SETTLE).await;
        fleet.look_again_for_pictures().await;
        if fleet.is_up() {
            let live = live.load_full();
            for instance in live.instances.iter() {
                live.faces.compare_differing(&instance).await;
            }
        }
    }
}

/// Lets accounts catch up whose logs have lost changes, because Redis was flushed or has failed over.
async fn watch(live: Arc<ArcSwap<Live>>, fleet: Fleet, shutdown: CancellationToken) {
    let wait = async || shutdown.run_until_cancelled(time::sleep(WATCH)).await;
    while wait().await.is_some() {
        for account in fleet.accounts() {
            match account.has_to_catch_up().await {
                Ok(true) => catch_up(&live, &account).await,
                Ok(false) => {}
                // The next connection makes all accounts catch up.
                Err(_) => break,
            }
        }
    }
}

/// Remembers on disk, as soon as an engine fails, which accounts have entries that may differ from those of Redis. A process
/// that is killed compares them again.
async fn remember_unsent(live: Arc<ArcSwap<Live>>, fleet: Fleet) {
    loop {
        fleet.wait_for_unsent(SETTLE).await;
        save_unsent(&live.load_full()).await;
    }
}

/// Saves which accounts have entries that may differ from those of Redis.
pub(super) async fn save_unsent(live: &Live) {
    for instance in live.instances.iter() {
        live.faces.save_unsent(&instance).await;
    }
}

/// Lets an account that is new here catch up. Where Redis answered a moment ago, it is asked again until then: one late
/// answer shows no forgotten face.
async fn begin(
    live: &Arc<ArcSwap<Live>>,
    fleet: &Fleet,
    account: &Arc<SharedAccount>,
    until: Option<Instant>,
    shutdown: &CancellationToken,
) {
    // Changes are applied to the instance, which a reload or a pattern begins to serve after it has made the account.
    while instance_of(live, account).is_none() && Arc::strong_count(account) > 1 {
        if shutdown
            .run_until_cancelled(time::sleep(AGAIN))
            .await
            .is_none()
        {
            return;
        }
    }
    while try_catch_up(live, account).await.is_err() {
        if shutdown.is_cancelled() || until.is_none_or(|until| Instant::now() >= until) {
            account.go_on_alone();
            return;
        }
        time::sleep(AGAIN).await;
        fleet.connect().await;
    }
}

async fn catch_up(live: &Arc<ArcSwap<Live>>, account: &Arc<SharedAccount>) {
    if try_catch_up(live, account).await.is_err() {
        account.go_on_alone();
    }
}

async fn try_catch_up(
    live: &Arc<ArcSwap<Live>>,
    account: &Arc<SharedAccount>,
) -> Result<(), EngineFailure> {
    let _one = account.begin_catch_up().await;
    let missed = account.catch_up().await?;
    apply(live, missed.changes).await;
    let has_to_compare = account.finish_catch_up(missed.has_gap);
    account.note_applied().await;
    if has_to_compare && let Some((live, instance)) = instance_of(live, account) {
        live.faces.compare_in_background(instance);
    }
    Ok(())
}

/// The instance that has the account, with the services that it belongs to.
fn instance_of(
    live: &ArcSwap<Live>,
    account: &Arc<SharedAccount>,
) -> Option<(Arc<Live>, Arc<Instance>)> {
    let live = live.load_full();
    let mut instances = live.instances.iter();
    let instance = instances.find(|instance| instance.has_account(account))?;
    drop(instances);
    Some((live, instance))
}

async fn apply(live: &ArcSwap<Live>, changes: Vec<Change>) {
    for change in changes {
        let live = live.load_full();
        live.faces.apply_change(&live.instances, change).await;
    }
}

fn spawn(
    shutdown: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        shutdown.run_until_cancelled(work).await;
    })
}
