//! Counts what the vendors and the CDN were asked. A call counts from the moment it arrives.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use super::{rule::Hop, vendors::Vendor};

/// What was asked since the start or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Calls {
    /// How many calls the vendors' API got.
    pub api: usize,
    /// How many downloads the CDN got.
    pub cdn: usize,
    /// The calls in order of arrival; only the latest 100,000 are kept.
    pub list: VecDeque<Call>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Which listener was called.
    pub hop: Hop,
    /// The vendor called, or the one that handed out the link; none when the link does not say.
    pub vendor: Option<Vendor>,
    /// What was called.
    pub endpoint: Endpoint,
    /// The account called for, or the one that the link was handed out to.
    pub account: String,
    /// The canonical JID asked about; as written where it is no JID.
    pub jid: Option<String>,
    /// Whether the caller asked to bypass the vendor's cache.
    pub refresh: bool,
    /// The status answered; none until then, and for ever when the fault is a hang.
    pub status: Option<u16>,
}

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// The picture of a chat or of a contact; of the account itself at Wachat.
    Picture,
    /// Wawp's second picture call.
    ContactPicture,
    /// The list of chats.
    Overview,
    /// The account's own profile.
    Profile,
    /// A picture on the CDN.
    Download,
}

/// The running count.
#[derive(Default)]
pub(super) struct Counter(Mutex<Count>);

#[derive(Default)]
struct Count {
    calls: Calls,
    /// The ticket of the first call in the list.
    first: u64,
}

/// Finds a recorded call again when its answer is known.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

const KEPT: usize = 100_000;

// === impl Calls ===

impl Calls {
    /// The calls about `jid`, in its canonical form.
    pub fn for_jid<'a>(&'a self, jid: &'a str) -> impl Iterator<Item = &'a Call> {
        self.list
            .iter()
            .filter(move |call| call.jid.as_deref() == Some(jid))
    }

    /// The calls for `account`.
    pub fn for_account<'a>(&'a self, account: &'a str) -> impl Iterator<Item = &'a Call> {
        self.list.iter().filter(move |call| call.account == account)
    }
}

// === impl Counter ===

impl Counter {
    pub(super) fn record(&self, call: Call) -> Ticket {
        let mut count = self.count();
        match call.hop {
            Hop::Api => count.calls.api += 1,
            Hop::Cdn => count.calls.cdn += 1,
        }
        count.calls.list.push_back(call);
        if count.calls.list.len() > KEPT {
            count.calls.list.pop_front();
            count.first += 1;
        }
        Ticket(count.first + count.calls.list.len() as u64 - 1)
    }

    pub(super) fn answered(&self, ticket: Ticket, status: u16) {
        let mut count = self.count();
        // A call from before a reset is out of the list.
        let Some(nth) = ticket.0.checked_sub(count.first) else {
            return;
        };
        if let Some(call) = usize::try_from(nth)
            .ok()
            .and_then(|nth| count.calls.list.get_mut(nth))
        {
            call.status = Some(status);
        }
    }

    pub(super) fn calls(&self) -> Calls {
        self.count().calls.clone()
    }

    pub(super) fn reset(&self) {
        let mut count = self.count();
        count.first += count.calls.list.len() as u64;
        count.calls = Calls::default();
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(account: &str) -> Call {
        Call {
            hop: Hop::Api,
            vendor: Some(Vendor::Waha),
            endpoint: Endpoint::Picture,
            account: account.to_owned(),
            jid: None,
            refresh: false,
            status: None,
        }
    }

    #[test]
    fn an_answer_from_before_a_reset_marks_no_later_call() {
        let counter = Counter::default();
        let old = counter.record(call("old"));
        counter.reset();
        let new = counter.record(call("new"));
        counter.answered(old, 500);
        counter.answered(new, 200);
        let calls = counter.calls();
        assert_eq!((calls.api, calls.list.len()), (1, 1));
        assert_eq!(calls.for_account("new").next().unwrap().status, Some(200));
    }
}
