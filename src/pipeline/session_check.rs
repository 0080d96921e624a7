//! Asks a gateway for the state of its session, where its description has a call for that: before the eighth of a
//! row of empty answers is believed, and for the dashboard. The call is made once a minute at most, and its cost is
//! paid from the budget.

use std::sync::Arc;

use super::{
    Faces, Instance,
    fetch::{Cause, Fetch},
    fetch_error::FetchError,
    shared::Shared,
};
use crate::{
    avatar::{Answer, Empty, Entry, Key, Outcome, Report, SpellingMemory, Trouble, absorb},
    clock::Timestamp,
    limits::{EmptyAnswer, EmptyVerdict, Priority},
    upstream::ClientError,
};

/// What the gateway says about its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SessionReply {
    Up,
    Down,
    /// The call was not made, because the budget does not allow it.
    NotAsked,
    /// The call failed.
    Unknown,
}

impl Fetch {
    /// The meaning of an answer: an empty one while the session is down is trouble.
    pub(super) async fn confirm(
        &self,
        asked_at: Timestamp,
        answer: Result<Answer, FetchError>,
    ) -> Result<Answer, FetchError> {
        let is_suspect = matches!(&answer, Ok(Answer::Empty(empty)) if *empty != Empty::NotFound);
        let instance = &self.instance;
        if !is_suspect || !instance.provider().has_session() {
            return answer;
        }
        let admission = instance.admission();
        if !admission.session_watch(|watch| watch.count_empty()) {
            return answer;
        }
        // Concurrent answers wait for one check.
        let _checking = instance.session_check.lock().await;
        let mut verdict =
            admission.session_watch(|watch| watch.judge(asked_at, self.shared.clock.now()));
        if verdict == EmptyVerdict::CheckFirst {
            self.shared.check_session(instance).await;
            verdict = admission.session_watch(|watch| watch.last_verdict());
        }
        if verdict != EmptyVerdict::SessionDown {
            return answer;
        }
        Err(FetchError {
            why: Trouble::SessionDown,
            ..FetchError::vendor_error(
                "the gateway answers \"no picture\", and that its session is down",
            )
        })
    }

    /// Tells the watch over the session how an answer changed the entry.
    pub(super) fn watch_session(&self, asked_at: Timestamp, current: Option<&Entry>, next: &Entry) {
        if matches!(self.cause, Cause::Outside) {
            return;
        }
        let admission = self.instance.admission();
        match next.last.outcome {
            Outcome::Picture => admission.session_watch(|watch| watch.record_picture()),
            Outcome::Empty(empty) if empty != Empty::NotFound => {
                let name = self.instance.cache_name();
                self.shared.copies.add_account(name, admission);
                let before = current.and_then(|entry| entry.picture.clone());
                let answer = EmptyAnswer {
                    subject: self.person,
                    asked_at,
                    before: current.map(|entry| entry.last),
                    lost: before.filter(|_| next.picture.is_none()),
                };
                if let Some(answer) = admission.session_watch(|watch| watch.keep(answer)) {
                    let (shared, instance) = (self.shared.clone(), self.instance.clone());
                    tokio::spawn(take_back(shared, instance, vec![answer]));
                }
            }
            _ => {}
        }
    }
}

impl Faces {
    /// Asks the gateway of `instance` for its session, in the background, if the call costs nothing and the last
    /// check is a minute ago. Used while the dashboard is open.
    pub fn check_session(&self, instance: &Arc<Instance>) {
        let (admission, now) = (instance.admission(), self.now());
        let is_free = instance.provider().session_cost() == Some(0);
        if !is_free || !admission.session_watch(|watch| watch.may_check(now)) {
            return;
        }
        let (shared, instance) = (self.shared.clone(), instance.clone());
        tokio::spawn(async move {
            let Ok(_checking) = instance.session_check.try_lock() else {
                return;
            };
            let (admission, now) = (instance.admission(), shared.clock.now());
            // Another check may have ended meanwhile.
            if admission.session_watch(|watch| watch.may_check(now)) {
                shared.check_session(&instance).await;
            }
        });
    }
}

impl Shared {
    /// Asks for the state of the session, and records it. If it is down, the empty answers since it was last known to work
    /// are taken back. The caller holds the lock of the check.
    async fn check_session(self: &Arc<Self>, instance: &Arc<Instance>) {
        let reply = self.ask_for_session(instance).await;
        let admission = instance.admission();
        let now = self.clock.now();
        match reply {
            SessionReply::Up => admission.record_session(true),
            SessionReply::Down => {
                tracing::warn!(instance = %instance.name(), "the gateway says that its session is down");
                admission.record_session(false);
                let answers = admission.session_watch(|watch| watch.take_answers());
                tokio::spawn(take_back(self.clone(), instance.clone(), answers));
            }
            SessionReply::Unknown => {
                admission.session_watch(|watch| watch.record_failed_check(now))
            }
            SessionReply::NotAsked => {}
        }
    }

    async fn ask_for_session(&self, instance: &Arc<Instance>) -> SessionReply {
        let provider = instance.provider();
        let Some((call, cost)) = provider.session_call(instance.account()) else {
            return SessionReply::NotAsked;
        };
        let admission = instance.admission();
        let is_paused = admission
            .cooldown()
            .is_some_and(|(_, why)| why != Trouble::SessionDown);
        if is_paused {
            return SessionReply::NotAsked;
        }
        if !self.pay(instance, cost).await {
            return SessionReply::NotAsked;
        }
        let mut result = instance.client.call(&call).await;
        if matches!(result, Err(ClientError::KeptConnectionClosed))
            && self.pay(instance, cost).await
        {
            result = instance.client.call_unpooled(&call).await;
        }
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                tracing::warn!(instance = %instance.name(), %error, "the gateway cannot be asked for its session");
                return SessionReply::Unknown;
            }
        };
        match provider.read_session(&reply) {
            Some(Ok(session)) if session.is_up => SessionReply::Up,
            Some(Ok(_)) => SessionReply::Down,
            Some(Err(failure)) if failure.why == Trouble::SessionDown => SessionReply::Down,
            Some(Err(failure)) => {
                tracing::warn!(
                    instance = %instance.name(),
                    outcome = failure.why.as_str(),
                    detail = %failure.detail,
                    "the gateway does not say whether its session works"
                );
                if failure.why == Trouble::RateLimited {
                    instance.share_trouble(&failure, self.clock.now()).await;
                    instance.save_admission(&self.store).await;
                }
                SessionReply::Unknown
            }
            None => SessionReply::NotAsked,
        }
    }

    /// Takes the cost of a call from the budget. Returns whether the budget has so many calls.
    async fn pay(&self, instance: &Instance, cost: usize) -> bool {
        for _ in 0..cost {
            let call = instance.take_call(Priority::Background, false);
            if call.await.is_err() {
                return false;
            }
        }
        if cost > 0 {
            instance.save_admission(&self.store).await;
        }
        true
    }
}

/// Turns empty answers into trouble with the session, unless a newer answer has come since.
async fn take_back(shared: Arc<Shared>, instance: Arc<Instance>, answers: Vec<EmptyAnswer>) {
    for answer in answers {
        let owner = instance.owner(answer.subject);
        let key = Key::new(&owner.instance, &owner.subject);
        let _lock = shared.key_locks.lock(&key).await;
        let Some(entry) = shared.store.find(&key).await else {
            continue;
        };
        let is_last = entry.last.asked_at == answer.asked_at;
        if !is_last || !matches!(entry.last.outcome, Outcome::Empty(_)) {
            continue;
        }
        let picture = entry.picture.clone().or(answer.lost);
        let before = answer.before.map(|last| Entry { picture, last });
        let report = Report {
            asked_at: answer.asked_at,
            answered_at: shared.clock.now(),
            answer: Answer::Trouble {
                why: Trouble::SessionDown,
                retry_at: None,
            },
            jitter: 0.0,
            spellings: before
                .as_ref()
                .map_or_else(SpellingMemory::default, |entry| entry.last.spellings),
        };
        let policy = &shared.settings.policy;
        if let Some(next) = absorb(before.as_ref(), report, policy) {
            let next = Arc::new(next);
            shared.store.put(&key, &owner, next.clone()).await;
            shared.announce(&owner, Some(&entry), Some(&next));
        }
    }
}
