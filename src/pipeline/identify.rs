//! The step of a fetch that finds the number behind a LID. LID and number are one face, so the fetch of the number
//! takes over.

use std::mem;

use tokio::time::Instant;

use super::{
    Faces,
    fetch::{Cause, Fetch, PrefetchedAnswer, Refresh},
    fetch_error::NotIdentified,
    single_flight::Flight,
    target::Target,
};
use crate::{
    avatar::{Jid, Trouble},
    store::CacheAnswer,
};

impl Fetch {
    /// Joins or starts the fetch of the number, if that is known. The flight of a number never waits for that of a LID.
    pub(super) fn forward(&mut self, prefetched: &mut Option<PrefetchedAnswer>) -> Option<Flight> {
        let target = Target::new(&self.instance, self.subject).ok()?;
        if target.key == self.key || self.instance.check_subject(target.subject).is_err() {
            return None;
        }
        let cause = mem::replace(&mut self.cause, Cause::WarmUp);
        let faces = Faces {
            shared: self.shared.clone(),
        };
        let (cached, prefetched) = (CacheAnswer::Unknown, prefetched.take());
        let joined = faces.join(&target, cached, self.ask, cause, prefetched);
        joined.ok().map(|(flight, _)| flight)
    }

    /// The LID, if the gateway can be asked for its number and was not asked lately.
    pub(super) fn unidentified(&self) -> Option<Jid> {
        let now = self.shared.clock.now();
        let lid = self.instance.identities().due(self.subject, now)?;
        self.instance.provider().has_lid().then_some(lid)
    }

    /// Asks the gateway for the number of a LID, inside the budget, and notes the answer.
    pub(super) async fn identify(&mut self, lid: Jid) -> Result<(), NotIdentified> {
        let Some(call) = self
            .instance
            .provider()
            .lid_call(self.instance.account(), &lid)
        else {
            return Ok(());
        };
        let faces = Faces {
            shared: self.shared.clone(),
        };
        if let Some(account) = self.instance.shared()
            && let Ok(Some(number)) = account.number(lid).await
        {
            faces.learn_number(&self.instance, lid, Some(number)).await;
            return Ok(());
        }
        self.take_call(Refresh::No)
            .await
            .map_err(NotIdentified::Refused)?;
        let asked_at = self.shared.clock.now();
        let started = Instant::now();
        let result = self.call(&call, false).await;
        self.record_hop("api", started, result.as_ref().err());
        let reply = result.map_err(|error| NotIdentified::Failed(asked_at, error.into()))?;
        self.vendor_status = Some(reply.status.as_u16());
        let number = match self.instance.provider().read_lid(&reply) {
            Ok(number) => number,
            Err(failure) if failure.why == Trouble::VendorError => {
                // Older versions of some gateways have no such call. It is not repeated for each request.
                self.log_trouble(failure.why, &failure.detail);
                None
            }
            Err(failure) => return Err(NotIdentified::Failed(asked_at, failure.into())),
        };
        faces.note_number(&self.instance, lid, number).await;
        Ok(())
    }
}
