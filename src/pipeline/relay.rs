//! Makes a call on behalf of a vendor's client that is about more than one face, such as a page of its chats. The
//! client gets the reply; none of it is stored.
//!
//! 1. Pay: take all lookups from the budget that the call makes the account spend at WhatsApp, or refuse the call.
//! 2. Call, through the instance's client with its guard and its bounds.
//! 3. Record the trouble that the reply reports, so that an account that the vendor limits makes no further calls.

use std::sync::Arc;

use super::{Faces, Instance};
use crate::{
    avatar::Trouble,
    clock::Timestamp,
    limits::Priority,
    upstream::{ClientError, VendorCall, VendorFailure, VendorReply},
};

/// A call was not made, or has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayError {
    /// The budget or a pause does not allow it before this time.
    NotAdmitted {
        /// The reason.
        why: Trouble,
        /// The time.
        retry_at: Timestamp,
    },
    /// The budget never allows so much at once.
    TooMuch {
        /// The most that it allows.
        burst: u64,
    },
    /// The vendor did not answer in time.
    TimedOut,
    /// The vendor cannot be reached.
    Unreachable,
}

impl Faces {
    /// Makes `call`, which costs `cost` calls of the budget. `trouble` finds the trouble in the reply.
    pub async fn relay(
        &self,
        instance: &Arc<Instance>,
        call: &VendorCall,
        cost: usize,
        trouble: impl FnOnce(&VendorReply) -> Option<VendorFailure>,
    ) -> Result<VendorReply, RelayError> {
        let burst = instance.burst();
        if cost as u64 > burst {
            return Err(RelayError::TooMuch { burst });
        }
        let admitted = instance.take_calls(Priority::Interactive, cost).await;
        admitted.map_err(|refusal| RelayError::NotAdmitted {
            why: refusal.why,
            retry_at: refusal.retry_at,
        })?;
        instance.save_admission(&self.shared.store).await;
        let metrics = &self.shared.metrics;
        let reply = match instance.client.call(call).await {
            Ok(reply) => reply,
            Err(error) => {
                metrics.record_transaction(instance.label(), Trouble::VendorError.as_str());
                tracing::warn!(instance = %instance.name(), %error, "the vendor cannot be reached");
                return Err(match error {
                    ClientError::Timeout(_) => RelayError::TimedOut,
                    _ => RelayError::Unreachable,
                });
            }
        };
        let outcome = match trouble(&reply) {
            Some(failure) => {
                instance
                    .share_trouble(&failure, self.shared.clock.now())
                    .await;
                instance.save_admission(&self.shared.store).await;
                failure.why.as_str()
            }
            None => "relayed",
        };
        metrics.record_transaction(instance.label(), outcome);
        Ok(reply)
    }
}
