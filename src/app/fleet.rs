//! Joins the fleet at the start, and listens to it until the end.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

use super::live::{Live, SharedParts};
use crate::{
    fleet::{Change, ChangeLog, Fleet, FleetError, Replica, Settings},
    pipeline,
};

/// The state file with this replica's name, which belongs to no instance.
const STATE: &str = ".replica";
/// How long a start waits for the list of forgotten faces. Without it, faces from the disk are served as ever.
const CATCH_UP: Duration = Duration::from_secs(5);

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

/// Applies the list of forgotten faces before anything is served, and from then on each change of a sibling.
pub(super) async fn listen(
    live: &Arc<ArcSwap<Live>>,
    shutdown: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let Some(fleet) = live.load().faces.fleet().cloned() else {
        return Vec::new();
    };
    let mut log = ChangeLog::new(fleet.clone());
    if fleet.is_up() {
        for account in fleet.accounts() {
            // A budget that is not known begins to fill at the first call, at the latest.
            let _ = account.refill().await;
        }
        let first = time::timeout(CATCH_UP, log.next()).await;
        apply(live, first.unwrap_or_default()).await;
    }
    let live = live.clone();
    let reading = async move {
        loop {
            let changes = log.next().await;
            apply(&live, changes).await;
        }
    };
    let (reading_ends, renewal_ends) = (shutdown.clone(), shutdown.clone());
    vec![
        tokio::spawn(async move {
            reading_ends.run_until_cancelled(reading).await;
        }),
        tokio::spawn(async move {
            renewal_ends.run_until_cancelled(fleet.stay()).await;
        }),
    ]
}

async fn apply(live: &ArcSwap<Live>, changes: Vec<Change>) {
    for change in changes {
        let live = live.load_full();
        live.faces.apply_change(&live.instances, change).await;
    }
}
