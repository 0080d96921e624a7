//! The domain: WhatsApp addresses, pictures, entries, and the decisions about them. Pure: no socket, no
//! file, no clock. Time comes in as an argument, and a decision goes out as a value.
//!
//! # Files
//!
//! * `jid`: WhatsApp addresses in canonical form
//! * `spelling`: the two spellings of some mobile numbers
//! * `identities`: the numbers behind LIDs
//! * `key`: the key of an entry
//! * `media_type`: image formats by their first bytes
//! * `picture`: validated pictures and their digests
//! * `formats/`: walks an image file without decoding pixels
//! * `structure`: the facts that this walk finds
//! * `entry`: the stored state of a face
//! * `outcome`: the results of asking a vendor
//! * `policy`: lifetimes and retry times
//! * `decide`: entry, request and time → the plan
//! * `absorb`: entry and answer → the next entry

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
