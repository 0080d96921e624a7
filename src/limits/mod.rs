//! Rate limits, in two directions that share nothing but the GCRA limiters of the `governor` crate:
//!
//! * **Calls to the vendors.** [`Admission`] decides whether an instance may call its vendor, from the
//!   call [`Budget`], the [`Cooldown`] after a rate limit or a rejected credential, and the
//!   [`SoftThrottleDetector`]. Too many calls can get a WhatsApp account suspended. `Admission` also recognizes the
//!   gateway's default pictures, which are no answer about a contact, and [`SessionWatch`] suspects a session
//!   that is down behind empty answers.
//! * **Requests of our clients.** [`ClientLimiter`] decides whether a client may send another request.
//!
//! # Files
//!
//! * `admission`: whether a vendor may be called now
//! * `budget`: the calls that an instance may make
//! * `daily_calls`: the calls of a day, and the cap on them
//! * `deferral`: the times before which a budget that is shared with other processes has no call
//! * `permit`: the right to make one call
//! * `cooldown`: the pause after a rate limit or a rejected credential
//! * `soft_throttle`: detects empty answers that stand for a rate limit
//! * `session_watch`: suspects a session that is down behind empty answers
//! * `default_pictures`: recognizes gateways' default pictures
//! * `client_limiter`: the rate limit of each client
//! * `governor_clock`: our clock for `governor`

mod admission;
mod budget;
mod cooldown;
mod daily_calls;
mod default_pictures;
mod deferral;
mod permit;
mod session_watch;
mod soft_throttle;

mod client_limiter;

mod governor_clock;

pub use admission::{
    Admission, AdmissionLimits, AdmissionStatus, AnswerVerdict, NotAdmitted, SavedAdmission,
    Session, SessionState,
};
pub use budget::{Budget, BudgetLimits, CallsAhead, OverBudget, Priority, Quota};
pub use client_limiter::ClientLimiter;
pub use cooldown::{Cooldown, CooldownPolicy};
pub use default_pictures::{DefaultPicturePolicy, PictureVerdict, Sighting};
pub use permit::{Permit, UnspentCall};
pub use session_watch::{EmptyAnswer, EmptyVerdict, SessionWatch};
pub use soft_throttle::{Observation, Sensitivity, SoftThrottleDetector};
