//! The right to make one call, which is refunded if the call is not made.

use std::sync::Arc;

use super::{Admission, NotAdmitted, Priority};

/// The right to make one call, taken from the budget. Dropping it unspent gives the call back.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    priority: Priority,
    with_refresh: bool,
    is_spent: bool,
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
            is_spent: false,
        })
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
        }
    }
}
