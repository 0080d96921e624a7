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
//! # Files
//!
//! Looking up:
//!
//! * `faces`: the pipeline as the rest of the program sees it
//! * `lookup`: looks a face up, and waits where the plan says so
//! * `target`: the face to look up, with its key
//! * `requester`: the request that it is looked up for
//! * `preview`: the answer that a request would get, without a call
//! * `served_face`: the results
//! * `patience`: how long a request waits
//! * `single_flight`: one fetch per face at a time
//! * `shared`: the parts that every look-up and fetch uses
//! * `settings`: the settings
//!
//! Fetching, in order:
//!
//! * `fetch`: the steps of one fetch
//! * `identify`: finds the number behind a LID
//! * `take_call`: takes a call from the budget, or waits for it
//! * `ask_in_spellings`: asks for a number that has two spellings
//! * `session_check`: asks for the session before a row of empty answers is believed
//! * `settle`: judges the answer, absorbs it and stores it
//! * `fallback`: asks other accounts
//! * `other_accounts`: their answers
//! * `fetch_error`: why a fetch has no answer
//!
//! The queue of wanted faces:
//!
//! * `queue`: the order
//! * `wanted`: the wanted faces of an account
//! * `queue_worker`: serves them as the budget allows
//! * `latency`: how long the vendor takes just now
//!
//! Persons:
//!
//! * `person`: all names of one face
//! * `account_identities`: the numbers behind LIDs, in memory
//! * `lids`: learns and saves them
//!
//! Accounts:
//!
//! * `instance`: a configured account
//! * `latest_answers`: the latest answers of its vendor
//! * `instances`: all of them, by name
//! * `instance_pattern`: those of a table such as `[instances."shop-*"]`
//! * `name_pattern`: a pattern of names
//! * `forget_names`: forgets unused names of patterns
//!
//! From outside:
//!
//! * `events`: applies webhook events
//! * `event_downloads`: bounds the downloads that events cause
//! * `push`: takes a picture from a program
//! * `warm`: fetches many faces ahead
//! * `relay`: calls the vendor on behalf of a drop-in client
//!
//! Changes of many faces:
//!
//! * `purge`: purges and forgets
//! * `rename`: moves faces to another instance
//! * `memory_copies`: removes copies of a picture from memory
//!
//! A fleet:
//!
//! * `fleet_fetch`: a fetch of an account that several replicas share
//! * `fleet_changes`: applies the siblings' changes
//! * `fleet_publish`: publishes this replica's changes that are not fetches
//! * `unsent_changes`: those that Redis has not taken, which are sent again
//! * `fleet_comparison`: compares entries with the fleet's after changes were missed
//!
//! Telling about changes:
//!
//! * `changes`: a bounded history of each instance
//! * `change_feed`: a listener's place in it
//! * `recent_updates`: the latest changes, for the dashboard
//! * `faces_in_trouble`: the faces whose last fetch ended in trouble, for the dashboard
//!
//! # Lock order
//!
//! The key lock of the pipeline (`Shared::key_locks`) serializes the changes of one entry: the end of a
//! fetch, a purge, a removal. In a fleet, it is held while Redis stores the entry. It is taken before every lock of
//! the store; the order continues in [`store`](crate::store). Look-ups do not take it. The other locks of this module and
//! of `limits` are held for a few instructions, never across an await, and no lock is taken under them, except that `warm`
//! takes the lock of a run's progress under the lock of the list of runs, and `queue_worker` the locks of the
//! admission control and of single-flight under that of the wanted faces.

mod account_identities;
mod ask_in_spellings;
mod change_feed;
mod changes;
mod event_downloads;
mod events;
mod faces;
mod faces_in_trouble;
mod fallback;
mod fetch;
mod fetch_error;
mod fleet_changes;
mod fleet_comparison;
mod fleet_fetch;
mod fleet_publish;
mod forget_names;
mod identify;
mod instance;
mod instance_pattern;
mod instances;
mod latency;
mod latest_answers;
mod lids;
mod lookup;
mod memory_copies;
mod name_pattern;
mod other_accounts;
mod patience;
mod person;
mod preview;
mod purge;
mod push;
mod queue;
mod queue_worker;
mod recent_updates;
mod relay;
mod rename;
mod requester;
mod served_face;
mod session_check;
mod settings;
mod settle;
mod shared;
mod single_flight;
mod take_call;
mod target;
mod unsent_changes;
mod wanted;
mod warm;

pub use account_identities::AccountIdentities;
pub use change_feed::{ChangeFeed, FaceEvent};
pub use changes::{Appearance, ChangeId};
pub use events::EventCounts;
pub use faces::Faces;
pub use faces_in_trouble::FaceInTrouble;
pub use fleet_comparison::{has_unsent_changes, is_saved_as_unsent};
pub use instance::{AccountState, Fallback, Instance, InstanceName, Neighbors};
pub use instance_pattern::{Demand, InstanceMaker, InstancePattern, NotMade, PatternSettings};
pub use instances::{Instances, winner};
pub use latest_answers::{LatestAnswers, LatestTrouble};
pub use lids::TooManyAliases;
pub use lookup::{LookUp, LookUpError, PendingLookUp};
pub use name_pattern::{NamePattern, is_instance_name};
pub use preview::Preview;
pub use purge::{PurgeCounts, PurgeMode, PurgeScope};
pub use push::{Push, PushError};
pub use relay::RelayError;
pub use rename::{RenameCounts, RenameError};
pub use requester::Requester;
pub use served_face::{FetchResult, ServedFace};
pub use settings::Settings;
pub use wanted::{NextFetch, WantedFaces};
pub use warm::{AlreadyRunning, Job, Progress, RunState, Schedule, StopReason, Warmups};
