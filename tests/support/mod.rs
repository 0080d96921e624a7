//! What black-box tests stand on: a real server on a real socket with a real cache directory, and
//! the emulated vendors behind it, all going by one clock that the test moves.

#![allow(dead_code, unused_imports, clippy::unwrap_used)]

pub mod answer;
pub mod private;
pub mod program;
pub mod rig;

pub use answer::Answer;
pub use rig::Rig;
