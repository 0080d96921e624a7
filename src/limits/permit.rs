//! The right to make one call, which is refunded if the call is not made.

use std::{fmt, sync::Arc};

use super::{Admission, NotAdmitted, Priority};

/// The right to make one call, taken from the budget. Dropping it unspent gives the call back.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    priority: Priority,
    with_refresh: bool,
    /// The same call in a budget that is shared with other processes.
    shared: Option<Box<dyn UnspentCall>>,
    is_spent: bool,
}

/// A call of a budget that is shared with other processes, which can be given back.
pub trait UnspentCall: fmt::Debug + Send + Sync {
    /// Gives it back.
    fn refund(self: Box<Self>);
}

impl Permit {
    /// Takes a call from the budget of `admission`.
    pub fn take(
        admission: &Arc<Admission>,
        priority: Priority,
        with_refresh: bool,
    ) -> Result<Self, NotAdmitted> {
        admission.admit(priority, with_refresh)?;
        Ok(Self {
            admission: admission.clone(),
            priority,
            with_refresh,
            shared: None,
            is_spent: false,
        })
    }

    /// The same permit with a call of a shared budget, which is refunded together with it.
    pub fn with_shared(mut self, call: Box<dyn UnspentCall>) -> Self {
        self.shared = Some(call);
        self
    }

    /// Its urgency.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether the call may make the vendor bypass its cache.
    pub fn with_refresh(&self) -> bool {
        self.with_refresh
    }

    /// The call is about to be made.
    pub fn spend(mut self) {
        self.is_spent = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_spent {
            self.admission.refund(self.priority, self.with_refresh);
            if let Some(call) = self.shared.take() {
                call.refund();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{
        clock::{Clock, Timestamp},
        limits::{
            AdmissionLimits, BudgetLimits, CooldownPolicy, DefaultPicturePolicy, Quota, Sensitivity,
        },
    };

    #[test]
    fn a_call_that_was_never_made_is_refunded_and_a_spent_one_is_not() {
        let quota = |burst| Quota {
            per_minute: NonZeroU32::MIN,
            burst: NonZeroU32::new(burst).unwrap(),
        };
        let limits = AdmissionLimits {
            budget: BudgetLimits {
                lookups: quota(2),
                refreshes: quota(1),
                daily: NonZeroU32::new(2),
            },
            cooldown: CooldownPolicy::default(),
            sensitivity: Sensitivity::default(),
            default_pictures: DefaultPicturePolicy::default(),
        };
        let clock = Clock::manual(Timestamp::from_secs(1_795_200_000));
        let admission = Arc::new(Admission::new(limits, clock));
        let take = |with_refresh| Permit::take(&admission, Priority::Interactive, with_refresh);
        for _ in 0..10 {
            drop(take(true).unwrap());
        }
        assert!(admission.is_at_rest());
        take(true).unwrap().spend();
        assert!(take(true).is_err(), "the refresh is used up");
        take(false).unwrap().spend();
        assert!(take(false).is_err(), "the lookups are used up");
    }
}
