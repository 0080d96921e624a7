//! The first step of a fetch: takes a call from the budget, or waits for the face's place in the queue of wanted
//! faces.

use std::{sync::Arc, time::Duration};

use tokio::time::{self, Instant};

use super::{
    fetch::{Cause, Fetch, Refresh},
    queue::{CallClass, Wish},
    queue_worker::CallAnswer,
    requester::Requester,
};
use crate::{
    avatar::{Ask, Entry},
    clock::Timestamp,
    limits::{NotAdmitted, Permit, Priority},
    store::CacheAnswer,
};

/// The result of waiting for a call.
pub(super) enum CallGrant {
    /// The call is taken, and has to be made now.
    Call {
        /// Whether it may make the vendor bypass its cache.
        with_refresh: bool,
    },
    /// No call is needed any more, because the entry has become an answer.
    Unneeded(Arc<Entry>),
}

/// Whether the fetch had to wait for its call.
pub(super) enum Wait {
    None,
    InQueue,
}

impl Fetch {
    /// Takes a call from the budget. If a request waits for the face, waits for its place in the queue of wanted
    /// faces, if that comes up in time. Returns whether the call may make the vendor bypass its cache.
    pub(super) async fn take_call(&mut self, refresh: Refresh) -> Result<bool, NotAdmitted> {
        let (permit, _) = self.permit(refresh).await?;
        Ok(self.spend(permit).await)
    }

    /// Takes a call, unless the entry, which was `before`, has become an answer during the wait.
    pub(super) async fn take_needed_call(
        &mut self,
        refresh: Refresh,
        before: &CacheAnswer,
    ) -> Result<CallGrant, NotAdmitted> {
        let (permit, wait) = self.permit(refresh).await?;
        if let Wait::InQueue = wait
            && let Some(entry) = self.answer_since(before).await
        {
            // Dropping the permit refunds the call.
            return Ok(CallGrant::Unneeded(entry));
        }
        let with_refresh = self.spend(permit).await;
        Ok(CallGrant::Call { with_refresh })
    }

    async fn permit(&mut self, refresh: Refresh) -> Result<(Permit, Wait), NotAdmitted> {
        if let Some(permit) = self.granted.take() {
            return Ok((permit, Wait::None));
        }
        let (permit, wait) = match self.granted_call(refresh) {
            Some(permit) => (permit, Wait::None),
            None => self.wait_for_turn(refresh).await?,
        };
        let permit = self.instance.take_shared_call(permit).await?;
        Ok((permit, wait))
    }

    async fn spend(&self, permit: Permit) -> bool {
        let with_refresh = permit.with_refresh();
        permit.spend();
        self.instance.save_admission(&self.shared.store).await;
        self.flight.record_call();
        with_refresh
    }

    /// The entry, if it has become an answer since `before`: a picture was pushed, for example.
    pub(super) async fn answer_since(&self, before: &CacheAnswer) -> Option<Arc<Entry>> {
        let now = self.shared.store.look_up_again(&self.key, before).await;
        now.entry().filter(|entry| self.is_answered(entry)).cloned()
    }

    /// The call that the wish got, if it is of the right kind.
    pub(super) fn granted_call(&mut self, refresh: Refresh) -> Option<Permit> {
        let Cause::Wish { permit, .. } = &mut self.cause else {
            return None;
        };
        let permit = permit.take();
        permit.filter(|permit| permit.with_refresh() || refresh != Refresh::Required)
    }

    pub(super) async fn wait_for_turn(
        &self,
        refresh: Refresh,
    ) -> Result<(Permit, Wait), NotAdmitted> {
        let wanted = self.instance.wanted();
        let with_refresh = self.with_refresh(refresh);
        let priority = self.priority();
        let class = CallClass {
            priority,
            with_refresh,
        };
        let Some(wish) = self.wish(class) else {
            let permit = wanted.take_behind(&self.instance, class)?;
            return Ok((permit, Wait::None));
        };
        let deadline = match &self.cause {
            Cause::Request { deadline, .. } => *deadline,
            _ => None,
        };
        // A fetch that begins later would end too late.
        let start = deadline.map(|deadline| deadline - self.expected_duration());
        let patience = start.map(|start| start.saturating_duration_since(Instant::now()));
        match wanted.ask(&self.shared, &self.instance, wish, patience) {
            CallAnswer::Now(permit) => Ok((permit, Wait::None)),
            CallAnswer::Refused(refusal) => Err(refusal),
            CallAnswer::Later(mut turn) => {
                let patience = patience.unwrap_or_default();
                let granted = match time::timeout(patience, &mut turn).await {
                    Ok(granted) => granted.ok(),
                    Err(_) => turn.try_recv().ok(),
                };
                // If no permit came in time, other work has taken the call. The face stays wanted.
                let id = (self.key, self.ask);
                let granted = granted.map(|permit| (permit, Wait::InQueue));
                granted.ok_or_else(|| wanted.refusal(&self.instance, id, class))
            }
        }
    }

    /// The wish for the face, if a client wants it.
    fn wish(&self, class: CallClass) -> Option<Wish> {
        let client = match &self.cause {
            Cause::Request { requester, .. } => requester.client,
            Cause::Wish { wish, .. } => wish.client,
            Cause::WarmUp | Cause::Outside => return None,
        };
        Some(Wish {
            id: (self.key, self.ask),
            subject: self.subject,
            class,
            client,
            wanted_at: self.shared.clock.moment(),
        })
    }

    /// Keeps the face wanted after a call that failed, if there is no picture to show meanwhile.
    pub(super) fn want_again(&self, entry: Option<&Entry>, retry_at: Timestamp) {
        let class = CallClass {
            priority: self.priority(),
            with_refresh: self.ask == Ask::Refresh,
        };
        let wish = match &self.cause {
            // It ends as long after the last request as any other.
            Cause::Wish { wish, .. } => Some(wish.clone()),
            _ => self.wish(class),
        };
        let has_picture = entry.is_some_and(|entry| entry.picture.is_some());
        if let Some(wish) = wish.filter(|_| !has_picture) {
            let wanted = self.instance.wanted();
            wanted.keep_failed(&self.shared, &self.instance, wish, retry_at);
        }
    }

    /// Whether the call is to make the vendor bypass its cache.
    pub(super) fn with_refresh(&self, refresh: Refresh) -> bool {
        match refresh {
            Refresh::No => false,
            Refresh::IfAvailable => self.instance.admission().has_refresh(),
            Refresh::Required => true,
        }
    }

    /// How long a fetch takes just now, with some slack.
    fn expected_duration(&self) -> Duration {
        let latency = self.instance.wanted().latency(self.shared.clock.moment());
        latency.max(self.shared.settings.first_paint / 10)
    }

    /// The request that caused the fetch, or the part of the server.
    pub(super) fn requester(&self) -> Requester {
        match &self.cause {
            Cause::Request { requester, .. } => *requester,
            Cause::Wish { wish, .. } => Requester {
                client: wish.client,
                ..Requester::named("queue")
            },
            Cause::WarmUp => Requester::named("warm-up"),
            Cause::Outside => Requester::named("push"),
        }
    }

    pub(super) fn priority(&self) -> Priority {
        match &self.cause {
            Cause::Request { priority, .. } => *priority,
            Cause::Wish { wish, .. } => wish.class.priority,
            Cause::WarmUp | Cause::Outside => Priority::Background,
        }
    }
}
