//! The settings of a listener.

use std::time::Duration;

use super::SealedFiles;
use crate::in_flight::InFlight;

/// Settings of one listener.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What clients may use.
    pub limits: Limits,
    /// Whether HTTP/1.1 begins on the fast path; hyper alone serves it otherwise.
    pub fast_path: bool,
    /// Whether the fast path sends long bodies by `sendfile`, out of files in memory.
    pub sendfile: bool,
    /// Removes the files again.
    pub sealed_files: SealedFiles,
    /// The bytes of pictures that may be under way.
    pub in_flight: InFlight,
}

/// What the clients of one listener may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long a client may take over a request's head, and how long a kept-alive connection may be idle: hyper runs
    /// both on one timer.
    pub header_read: Duration,
    /// Requests at once on an HTTP/2 connection.
    pub streams: u32,
    /// The largest request head in bytes; a larger one is answered with 431.
    pub header_bytes: usize,
    /// How long a client may take nothing of a response that is being sent.
    pub send: Duration,
    /// How long requests may take to finish after the shutdown began.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            fast_path: true,
            sendfile: true,
            sealed_files: SealedFiles::default(),
            in_flight: InFlight::new(32 << 20),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_read: Duration::from_secs(30),
            streams: 128,
            header_bytes: 16 * 1024,
            send: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}
