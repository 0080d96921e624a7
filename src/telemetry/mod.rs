//! How Faceplate tells what it does.

pub mod log;
