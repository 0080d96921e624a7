//! How much may be asked of a vendor, and when: the budget that was granted, the pause that a
//! vendor's answer imposed, and the detector of answers that are not meant. All of it exists to
//! keep a WhatsApp account from being suspended. And how much a client may ask of us.

mod admission;
mod budget;
mod client_limiter;
mod cooldown;
mod governor_clock;
mod soft_throttle;

pub use admission::{Admission, NotAdmitted, SavedAdmission, Session, SessionState};
pub use budget::{Budget, OverBudget, Priority, Quota};
pub use client_limiter::ClientLimiter;
pub use cooldown::{Cooldown, CooldownPolicy};
pub use soft_throttle::{Observation, Sensitivity, SoftThrottleDetector};
