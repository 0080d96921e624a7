//! Asks other accounts for a person without a picture here, or for whom this account's vendor has no call.
//!
//! Other accounts are asked only after an answer that there is no picture. They are not asked after an error, during
//! a pause or when the budget is used up: the account itself may have a picture, and each limit of one account would
//! become load on another one.

use std::{sync::Arc, time::Duration};

use super::{
    Faces, Instance,
    fetch::{Cause, Fetch},
    fetch_error::FetchError,
    other_accounts::BorrowedPicture,
    target::Target,
};
use crate::{
    avatar::{Answer, Empty, Entry, Kind, Outcome, Plan, Subject, decide},
    clock::Timestamp,
    upstream::UnsupportedSubject,
};

/// The shortest time before other accounts are asked again when one of them had no answer.
const SHORTEST_WAIT: Duration = Duration::from_secs(60);

/// The answer of another account.
enum OtherAnswer {
    Picture(BorrowedPicture),
    /// It has no answer before this time.
    Later(Timestamp),
    Nothing,
}

impl Instance {
    /// Whether requests can ask for the face: from the vendor, or from other accounts.
    pub(super) fn check_subject(&self, subject: Subject) -> Result<(), UnsupportedSubject> {
        match self.call(subject, false) {
            Err(error) if self.others(subject).is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the face has nothing but pushed pictures.
    pub(super) fn has_only_pushed(&self, subject: Subject, entry: Option<&Entry>) -> bool {
        let is_own = || {
            let stored = entry.and_then(|entry| entry.picture.as_ref());
            stored.is_some_and(|stored| stored.from.is_none())
        };
        self.provider().is_push() && (self.others(subject).is_empty() || is_own())
    }

    /// The other accounts that may be asked for `subject`. Only a person may be asked for: other accounts need not be
    /// in the same groups.
    fn others(&self, subject: Subject) -> Vec<Arc<Instance>> {
        match subject {
            Subject::Chat(jid) if matches!(jid.kind(), Kind::Contact | Kind::Lid) => {
                self.fallback().instances()
            }
            _ => Vec::new(),
        }
    }
}

impl Fetch {
    /// Whether the vendor has a call for the face.
    pub(super) fn has_call(&self) -> bool {
        self.instance.call(self.subject, false).is_ok()
    }

    /// Asks the other accounts in their order, each inside its own budget, until one has a picture.
    pub(super) async fn ask_others(&mut self, own: &Result<Answer, FetchError>) {
        let Ok(Answer::Empty(Empty::NotSet | Empty::Hidden | Empty::Unknown)) = own else {
            return;
        };
        for other in self.instance.others(self.subject) {
            match self.ask_other(&other).await {
                OtherAnswer::Picture(borrowed) => {
                    self.others.picture = Some(borrowed);
                    return;
                }
                OtherAnswer::Later(at) => {
                    let earlier = self.others.retry_at.filter(|earlier| *earlier < at);
                    self.others.retry_at = earlier.or(Some(at));
                }
                OtherAnswer::Nothing => {}
            }
        }
    }

    /// Looks the face up as another account sees it. The configuration refuses circles of accounts, so no two flights
    /// wait for each other.
    async fn ask_other(&self, other: &Arc<Instance>) -> OtherAnswer {
        let Ok(target) = Target::new(other, self.subject) else {
            return OtherAnswer::Nothing;
        };
        let (now, policy) = (self.shared.clock.now(), &self.shared.settings.policy);
        let cached = self.shared.store.look_up(&target.key).await;
        let entry = cached.entry().cloned();
        let is_due = !other.has_only_pushed(target.subject, entry.as_deref())
            && decide(entry.as_deref(), self.ask, now, policy) != Plan::Serve;
        let (entry, outcome, retry_at) = if is_due {
            let deadline = match &self.cause {
                Cause::Request { deadline, .. } => *deadline,
                _ => None,
            };
            let cause = Cause::Request {
                priority: self.priority(),
                requester: self.requester(),
                deadline,
            };
            let faces = Faces {
                shared: self.shared.clone(),
            };
            let Ok((flight, _)) = faces.join(&target, cached, self.ask, cause, None) else {
                return OtherAnswer::Nothing;
            };
            let result = flight.wait().await;
            (result.entry, Some(result.outcome), result.retry_at)
        } else {
            let last = entry.as_ref().map(|entry| entry.last);
            let outcome = last.map(|last| last.outcome);
            (entry, outcome, last.map(|last| last.retry_at))
        };
        let stored = entry.as_ref().and_then(|entry| entry.picture.as_ref());
        match (stored, outcome) {
            (Some(stored), _) => OtherAnswer::Picture(BorrowedPicture {
                picture: stored.picture.clone(),
                from: stored.from.clone().unwrap_or_else(|| other.name().clone()),
            }),
            (None, Some(Outcome::Trouble(_))) => {
                OtherAnswer::Later(retry_at.unwrap_or(now).max(now + SHORTEST_WAIT))
            }
            (None, _) => OtherAnswer::Nothing,
        }
    }
}
