//! The log of calls to the vendors and the CDN. A call is recorded when it arrives.

use std::{collections::VecDeque, sync::Mutex};

use serde::Serialize;

use super::vocabulary::{Endpoint, Hop, Vendor};
use crate::sync::lock;

/// The calls since the start or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Calls {
    /// The number of calls to the vendors' API, without `sessions`.
    pub api: usize,
    /// The number of calls for the state of a session of WAHA or Wappfy. They are not in the list.
    pub sessions: usize,
    /// The number of downloads from the CDN.
    pub cdn: usize,
    /// The calls in order of arrival; only the latest 100,000 are kept.
    pub list: VecDeque<Call>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The listener.
    pub hop: Hop,
    /// The vendor called, or the one that gave out the link; `None` if the link does not name it.
    pub vendor: Option<Vendor>,
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The account called for, or the one that the link was given to.
    pub account: String,
    /// The canonical JID in question; as written if it is no JID.
    pub jid: Option<String>,
    /// Whether the caller asked to bypass the vendor's cache.
    pub refresh: bool,
    /// The status of the reply; `None` until it is sent, and for the fault `hang`.
    pub status: Option<u16>,
}

/// The running log.
#[derive(Default)]
pub(super) struct CallLog(Mutex<Log>);

#[derive(Default)]
struct Log {
    calls: Calls,
    /// The id of the first call in the list.
    first: u64,
}

/// Identifies a recorded call, to add its status later.
#[derive(Clone, Copy)]
pub(super) struct CallId(u64);

/// The largest number of calls in the log.
const MAX_CALLS: usize = 100_000;

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

// === impl CallLog ===

impl CallLog {
    pub(super) fn count_session(&self) {
        lock(&self.0).calls.sessions += 1;
    }

    pub(super) fn record(&self, call: Call) -> CallId {
        let mut log = lock(&self.0);
        match call.hop {
            Hop::Api => log.calls.api += 1,
            Hop::Cdn => log.calls.cdn += 1,
        }
        log.calls.list.push_back(call);
        if log.calls.list.len() > MAX_CALLS {
            log.calls.list.pop_front();
            log.first += 1;
        }
        CallId(log.first + log.calls.list.len() as u64 - 1)
    }

    pub(super) fn set_status(&self, id: CallId, status: u16) {
        let mut log = lock(&self.0);
        // A call from before a reset is no longer in the list.
        let Some(nth) = id.0.checked_sub(log.first) else {
            return;
        };
        if let Some(call) = usize::try_from(nth)
            .ok()
            .and_then(|nth| log.calls.list.get_mut(nth))
        {
            call.status = Some(status);
        }
    }

    pub(super) fn calls(&self) -> Calls {
        lock(&self.0).calls.clone()
    }

    pub(super) fn reset(&self) {
        let mut log = lock(&self.0);
        log.first += log.calls.list.len() as u64;
        log.calls = Calls::default();
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
    fn a_status_from_before_a_reset_is_added_to_no_later_call() {
        let log = CallLog::default();
        let old = log.record(call("old"));
        log.reset();
        let new = log.record(call("new"));
        log.set_status(old, 500);
        log.set_status(new, 200);
        let calls = log.calls();
        assert_eq!((calls.api, calls.list.len()), (1, 1));
        assert_eq!(calls.for_account("new").next().unwrap().status, Some(200));
    }
}
