//! How much may be asked of a vendor, and when: the budget that was granted, and the pause that a
//! vendor's answer imposed. Both exist to keep a WhatsApp account from being suspended.

mod budget;
mod hold;
mod throttle;

pub use budget::{Budget, Lane, Quota, Refused};
pub use hold::{Hold, Pause};
pub use throttle::{Sensitivity, Sight, Throttle};
