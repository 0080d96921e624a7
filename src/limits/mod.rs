//! How much may be asked of a vendor, and when: the budget that was granted, the pause that a
//! vendor's answer imposed, and the detector of answers that are not meant. All of it exists to
//! keep a WhatsApp account from being suspended.

mod budget;
mod gate;
mod hold;
mod throttle;

pub use budget::{Budget, Lane, Quota, Refused};
pub use gate::{Closed, Gate, Memory};
pub use hold::{Hold, Pause};
pub use throttle::{Sensitivity, Sight, Throttle};
