//! Publishes this replica's changes that are not fetches to the fleet: purges, forgotten faces and lifted pauses.

use std::time::Duration;

use tokio::time;

use super::{
    Faces, Instance, PurgeCounts, PurgeMode, PurgeScope,
    unsent_changes::{Acceptance, SharedChange, SharedChangeKind},
};
use crate::{
    avatar::Subject,
    fleet::{EngineFailure, SharedFace, Spread},
    store::CacheAnswer,
    telemetry::Limit,
};

/// How long a request to forget a face waits for the siblings.
const FORGET_LIMIT: Duration = Duration::from_secs(5);
/// How often changes are sent again that Redis did not take.
const RETRY: Duration = Duration::from_secs(2);

impl Faces {
    /// Purges one face, at the siblings and here. Redis has it first, so that its entry is not taken again afterwards.
    pub(super) async fn purge_shared_face(
        &self,
        instance: &Instance,
        subject: Subject,
        mode: PurgeMode,
    ) -> PurgeCounts {
        let scope = PurgeScope::Face(instance, subject);
        let Some(account) = instance.shared() else {
            return self.purge_owners(scope, mode).await;
        };
        let owner = instance.owner(subject);
        let cached = self.shared.store.look_up(&owner.key()).await;
        // The disk may have lost the picture of an entry that it has.
        let is_lost = matches!(cached, CacheAnswer::Absent | CacheAnswer::PictureUnreadable);
        if is_lost && let Ok(SharedFace::Entry(shared)) = account.shared_face(&owner.subject).await
        {
            // If this fails, this replica has no copy, and there is nothing to purge here.
            let _ = self.adopt_shared(account, &owner, *shared).await;
        }
        if mode == PurgeMode::Hard {
            let kind = SharedChangeKind::Removed(owner.subject);
            let account = account.clone();
            self.send(SharedChange { account, kind }).await;
            return self.purge_owners(scope, mode).await;
        }
        let counts = self.purge_owners(scope, mode).await;
        if counts.done > 0
            && let Ok(Some((entry, base))) = self.entry_and_version(account, &owner).await
        {
            // A sibling's newer entry answers the purge, too.
            let commit = account.commit(&owner.subject, base, &entry, false, None);
            let _ = commit.await;
        }
        counts
    }

    /// Tells the siblings of a purge of more than one face.
    pub(super) async fn share_purge(&self, scope: PurgeScope<'_>, mode: PurgeMode) {
        let accounts = match (scope, &self.shared.fleet) {
            (PurgeScope::Instance(instance), _) => instance.shared().cloned().into_iter().collect(),
            (PurgeScope::All, Some(fleet)) => fleet.accounts(),
            _ => Vec::new(),
        };
        for account in accounts {
            let kind = SharedChangeKind::Purged(mode.to_text());
            self.send(SharedChange { account, kind }).await;
        }
    }

    /// Tells the siblings to forget a face, which has these names, and waits until the live ones have done so. `None`
    /// without a fleet.
    pub(super) async fn share_forget(
        &self,
        instance: &Instance,
        names: Vec<Subject>,
    ) -> Option<Spread> {
        let account = instance.shared()?;
        let time = self.policy().forget_for;
        let mut last = None;
        for subject in names {
            match account.forget(&subject, time).await {
                Ok(change) => last = Some(change),
                Err(EngineFailure) => {
                    last = None;
                    account.record_differing(subject);
                }
            }
        }
        let spread = match last {
            Some(change) => account.wait_until_applied(change, FORGET_LIMIT).await.ok(),
            None => None,
        };
        let living = self.shared.fleet.as_ref().map_or(1, |fleet| fleet.living());
        // Redis takes the change later. Until then, a sibling of which this replica has not heard may show the face.
        let of = living.max(2);
        Some(spread.unwrap_or(Spread { applied: 1, of }))
    }

    /// Tells the siblings that the pause was lifted.
    pub(super) async fn share_lifted_pause(&self, instance: &Instance) {
        if let Some(account) = instance.shared().cloned() {
            let kind = SharedChangeKind::LiftedPause(account.server_time());
            self.send(SharedChange { account, kind }).await;
        }
    }

    /// Sends a change to the siblings, and if Redis does not take it, again in the background until it does. It is lost if
    /// the process ends before, or if too many wait.
    async fn send(&self, change: SharedChange) {
        if change.send().await.is_ok() {
            return;
        }
        match self.shared.unsent.add(change) {
            Acceptance::First => {
                let faces = self.clone();
                let work = async move { faces.send_again().await };
                self.shared.event_tasks.spawn(work);
            }
            Acceptance::Waits => {}
            Acceptance::Lost => Limit::UnsentChanges.report(),
        }
    }

    async fn send_again(&self) {
        let unsent = &self.shared.unsent;
        loop {
            let pause = time::sleep(RETRY);
            let shutdown = &self.shared.shutdown;
            if shutdown.run_until_cancelled(pause).await.is_none() {
                return;
            }
            while let Some(change) = unsent.take() {
                if change.send().await.is_err() {
                    unsent.put_back(change);
                    break;
                }
            }
            if unsent.is_over() {
                return;
            }
        }
    }
}

impl PurgeMode {
    /// The mode as siblings read it.
    fn to_text(self) -> String {
        match self {
            PurgeMode::Soft => "soft".into(),
            PurgeMode::Changed => "changed".into(),
            PurgeMode::Older(age) => format!("older {}", age.as_secs()),
            PurgeMode::Hard => "hard".into(),
        }
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        match text {
            "soft" => Some(PurgeMode::Soft),
            "changed" => Some(PurgeMode::Changed),
            "hard" => Some(PurgeMode::Hard),
            _ => {
                let age = text.strip_prefix("older ")?.parse().ok()?;
                Some(PurgeMode::Older(Duration::from_secs(age)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sibling_understands_every_mode_of_a_purge() {
        let older = PurgeMode::Older(Duration::from_secs(60));
        for mode in [PurgeMode::Soft, PurgeMode::Changed, PurgeMode::Hard, older] {
            assert_eq!(PurgeMode::from_text(&mode.to_text()), Some(mode));
        }
        assert_eq!(PurgeMode::from_text("of a newer version"), None);
    }
}
