//! A fleet: several replicas share an account's faces and its budget through Redis.
//!
//! A hit in memory or on the local disk sends nothing to Redis. Without `[fleet]`, nothing of this module runs.
//!
//! 1. A fetch begins ([`SharedAccount::begin`]): one script finds a sibling's newer entry, a sibling that asks the vendor
//!    just now, a pause, or takes a call from the budget and leases the face.
//! 2. It commits its entry ([`Lease::commit`]): one script compares the version that it is based on, stores entry and
//!    picture, and adds a line to the account's log.
//! 3. The siblings read the log ([`ChangeLog`]) and change their own copies.
//!
//! While Redis does not answer, a replica serves its own faces, and calls vendors from its own share of the budget alone
//! (`reserve.rs`).
//!
//! # Files
//!
//! * `settings`: the settings
//! * `membership`: this replica's membership, and the accounts that it shares
//! * `probe`: looks whether a configuration fits to the fleet
//! * `member`: its link, its number, and the server's clock
//! * `link`: the connection with Redis, with its time limits and its breaker
//! * `connection`: makes connections
//! * `endpoint`: the address of Redis
//! * `scripts`: the scripts that Redis runs
//! * `account`: an account that the replicas share, its leases and its budget
//! * `entries`: its entries and pictures
//! * `changes`: the changes beside fetches, such as a purge
//! * `exchange`: the questions of a fetch, and the answers
//! * `answer`: reads the scripts' answers
//! * `shared_entry`: an entry as it lies in Redis
//! * `pictures`: the store for the bytes of pictures
//! * `s3/`: pictures in an S3 store
//! * `breaker`: the circuit breaker of the S3 store
//! * `face`: the names of faces in Redis
//! * `reserve`: how a budget is divided
//! * `waiters`: the fetches that wait for a sibling's
//! * `change_log`: hears of the siblings' changes
//! * `catch_up`: finds changes that were missed
//! * `status`: the state, as operators see it
//! * `examination`: what `faceplate doctor` looks for in the engines
//! * `reading`: how far an account's log is read
//! * `versions`: the versions that this replica has
//!
//! # In Redis
//!
//! Keys begin with `fp:NAME:{ACCOUNT}:`; the braces keep an account's keys in one slot of a cluster. The fleet's own keys
//! are `fp:NAME:{fleet}:settings`, `numbers`, `heartbeats` and `wake:REPLICA` (`member.rs`).
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `account` | hash | buckets, calls of the day, pause and the last lift of one, time of the last purge of all, since when `readers` is noted |
//! | `entry:FACE` | string | 14 hexadecimal digits of version, then JSON, or nothing after a hard purge; expires |
//! | `picture:FACE` | string | 32 digits of digest, then the bytes; expires |
//! | `lease:FACE` | string | the token of the fetch that asks the vendor; expires |
//! | `forgotten` | sorted set | forgotten faces, by the time until which they are not asked for |
//! | `log` | stream | the last 20,000 changes |
//! | `readers` | hash | for each replica how far it has applied the log |
//! | `lids` | hash | sealed LIDs, and the sealed numbers behind them |
//!
//! A version is `max(4 × the server's milliseconds, the version before + 1)`. All times are the server's, which each
//! script tells; an entry's are translated to this replica's clock.

mod account;
mod answer;
mod breaker;
mod catch_up;
mod change_log;
mod changes;
mod connection;
mod endpoint;
mod entries;
mod examination;
mod exchange;
mod face;
mod link;
mod member;
mod membership;
mod pictures;
mod probe;
mod reading;
mod reserve;
mod s3;
mod scripts;
mod settings;
mod shared_entry;
mod status;
mod versions;
mod waiters;

pub use account::{Lease, OtherBudget, SharedAccount};
pub use catch_up::CatchUp;
pub use change_log::{Change, ChangeKind, ChangeLog, LogEvent};
pub use changes::{LoggedChange, Spread};
pub use entries::SharedFace;
pub use examination::{Examination, examine};
pub use exchange::{Begin, CallKind, Commit, Refusal, Seek, Take};
pub use link::EngineFailure;
pub use member::Replica;
pub use membership::{Fleet, FleetError};
pub use pictures::{PictureName, PictureStore};
pub use probe::{Probe, ProbedAccount, probe};
pub use s3::{S3Problem, S3Settings, check_endpoint};
pub use settings::{Settings, check_url, fingerprint};
pub use shared_entry::{SharedEntry, SharedPicture};
pub use status::{AccountStatus, FleetStatus};
pub use versions::DifferingFace;
