//! The pictures on the emulated CDN: cartoon people, drawn and encoded when they are first requested.
//!
//! They are drawn at run time instead of kept as files, as every JID has a picture of its own: tests use
//! thousands of different ones, and as many changes of them.

mod canvas;
mod hair;
mod photo;
mod portrait;

pub(super) use photo::{Photo, PhotoCache};
pub(super) use portrait::Portrait;
