//! How much may be asked of a vendor, and when: the budget that was granted, the pause that a
//! vendor's answer imposed, and the detector of answers that are not meant. All of it exists to
//! keep a WhatsApp account from being suspended. And how much a client may ask of us.

mod budget;
mod crowd;
mod gate;
mod hold;
mod throttle;
mod ticks;

pub use budget::{Budget, Lane, Quota, Refused};
pub use crowd::Crowd;
pub use gate::{Closed, Gate, Memory, Session, SessionState};
pub use hold::{Hold, Pause};
pub use throttle::{Sensitivity, Sight, Throttle};
