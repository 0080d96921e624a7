//! The pipeline: looks a face up in the cache, and fetches it from the vendor where necessary.
//!
//! 1. Look the entry up: memory, then disk.
//! 2. Decide: serve it, refresh it, or wait for the vendor.
//! 3. Join the fetch in flight for this face, or start one (single-flight).
//! 4. Wait for its result, up to the first-paint deadline.
//!
//! A fetch that the budget refuses leaves its face wanted (`queue.rs`), and the worker of its account fetches it
//! when the budget allows (`queue_worker.rs`).
//!
//! [`Faces::look_up`] is those steps, and `Fetch::run` in `fetch.rs` the steps of one fetch.
//!
//! # The files
//!
//! * Looking up: `lookup`, `target` (which face), `served_face` (the results), `patience` (how long a request waits),
//!   `single_flight`, `shared` and `settings`. The rest of the program sees `faces`.
//! * Fetching, in order: `identify` (LID to number), `turn` (takes a call), `spelling` (two spellings of a number),
//!   `fetch`, `session_check` (before a row of empty answers is believed), `settle` (judges and stores), `fallback` and
//!   `borrowed` (other accounts), `fetch_error`.
//! * The queue of wanted faces: `queue` (the order), `wanted` (the state), `queue_worker`, `latency` (of the vendor).
//! * Persons: `person` (the names of one face), `identities` and `lids` (LIDs and their numbers).
//! * Accounts: `instance`, `instances`, `instance_pattern` and `name_pattern` (`[instances."shop-*"]`), `forget_names`
//!   (unused names of patterns).
//! * From outside: `events` and `event_downloads` (webhooks), `push`, `warm`, `relay` (WAHA's lists, for drop-in clients).
//! * Changing many: `purge` (and forgetting), `rename`, `copies` (variants and sealed files of a removed picture).
//! * Telling: `changes` (a bounded history) and `change_feed` (its readers), `recent` (for the dashboard).
//!
//! # Lock order
//!
//! The key lock of the pipeline (`Shared::key_locks`) serializes the changes of one entry: the end of a
//! fetch, a purge, a removal. It is taken before every lock of the store; the order continues in
//! [`store`](crate::store). Look-ups do not take it. The other locks of this module and of `limits` are held
//! for a few instructions, never across an await, and no lock is taken under them, except that `warm`
//! takes the lock of a run's progress under the lock of the list of runs, and `queue_worker` the locks of the
//! admission control and of single-flight under that of the wanted faces.

mod account_identities;
mod ask_in_spellings;
mod change_feed;
mod changes;
mod event_downloads;
mod events;
mod faces;
mod fallback;
mod fetch;
mod fetch_error;
mod forget_names;
mod identify;
mod instance;
mod instance_pattern;
mod instances;
mod latency;
mod lids;
mod lookup;
mod memory_copies;
mod name_pattern;
mod other_accounts;
mod patience;
mod person;
mod purge;
mod push;
mod queue;
mod queue_worker;
mod recent_updates;
mod relay;
mod rename;
mod served_face;
mod session_check;
mod settings;
mod settle;
mod shared;
mod single_flight;
mod take_call;
mod target;
mod wanted;
mod warm;

pub use account_identities::AccountIdentities;
pub use change_feed::{ChangeFeed, FaceEvent};
pub use changes::{Appearance, ChangeId};
pub use events::EventCounts;
pub use faces::Faces;
pub use instance::{AccountState, Fallback, Instance, Neighbors};
pub use instance_pattern::{Demand, InstanceMaker, InstancePattern, NotMade, PatternSettings};
pub use instances::{Instances, winner};
pub use lids::TooManyAliases;
pub use lookup::{LookUp, LookUpError, PendingLookUp};
pub use name_pattern::{NamePattern, is_instance_name};
pub use purge::{PurgeCounts, PurgeMode, PurgeScope};
pub use push::{Push, PushError};
pub use relay::RelayError;
pub use rename::{RenameCounts, RenameError};
pub use served_face::{FetchResult, ServedFace};
pub use settings::Settings;
pub use wanted::WantedFaces;
pub use warm::{AlreadyRunning, Job, Progress, RunState, Schedule, StopReason, Warmups};
