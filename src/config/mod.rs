//! The configuration: a TOML file, environment variables over it, and files with secrets. Each module is handed
//! settings of its own types.
//!
//! 1. `load` reads the file into a `source`, with the overrides from the environment over it.
//! 2. `sections` reads each section with its table of [`Key`]s. Reading never stops at the first problem: all
//!    are returned at once, each with its place, its key and its remedy.
//!
//! [`SECTIONS`] is the table of every key; `docs/configuration.md` is written from it.
//!
//! # Files
//!
//! * `load`: reads the file and the environment
//! * `source`: the values as text, with the overrides from the environment
//! * `key`: the table of keys as data
//! * `setting`: the types of values, and how each is read
//! * `units`: durations and sizes
//! * `secret`: the text of a secret
//! * `reader`: reads one table, key by key
//! * `sections/`: a file for each section
//! * `effective_value`: a value with its origin
//! * `configuration`: the result, in the modules' own types
//! * `problem`: a problem with its remedy

mod configuration;
mod effective_value;
mod key;
mod load;
mod problem;
mod reader;
mod secret;
mod sections;
mod setting;
mod source;
mod units;

pub use configuration::{Config, Instance, InstancePattern, Reloadable, Startup};
pub use effective_value::{EffectiveValue, Origin, ValueText};
pub use key::{DefaultValue, Effect, Key, Kind, Range, Section};
pub use load::{catalog_from_file, from_file, from_file_with_secrets, from_text};
pub use problem::{Problem, Problems};
pub use sections::SECTIONS;
pub use units::duration;
