//! The domain: WhatsApp addresses, pictures, entries, and the decisions about them. Pure: no socket, no
//! file, no clock. Time comes in as an argument, and a decision goes out as a value.

mod absorb;
mod decide;
mod entry;
mod formats;
mod identities;
mod jid;
mod key;
mod media_type;
mod outcome;
mod picture;
mod policy;
mod spelling;
mod structure;

pub use absorb::{Answer, Report, absorb};
pub use decide::{Ask, Forward, Plan, decide};
pub use entry::{Entry, LastAttempt, StoredPicture};
pub use identities::{Identities, IdentitySource, KnownLid};
pub use jid::{Faceless, Jid, Kind, MalformedJid, Subject};
pub use key::Key;
pub use media_type::MediaType;
pub use outcome::{Empty, Outcome, Trouble};
pub use picture::{Digest, InvalidPicture, Picture, Proof};
pub use policy::{NegativeTtls, OnHidden, Policy};
pub use spelling::{Spelling, SpellingMemory, says_nothing};
pub use structure::{Decoding, Structure};
