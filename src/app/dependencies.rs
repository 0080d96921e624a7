//! The parts of a server that its caller provides.

use bytes::Bytes;

use crate::{clock::Clock, server::InheritedListeners, upstream::Resolver};

/// The parts of a server that a caller can replace.
#[derive(Debug)]
pub struct Dependencies {
    /// The clock.
    pub clock: Clock,
    /// The DNS resolver.
    pub resolver: Resolver,
    /// An HTML page for `/`.
    pub home: Option<Bytes>,
    /// Listening sockets that the service manager has opened.
    pub inherited: InheritedListeners,
    /// The mode of the files of Unix sockets, where it is not the one that the umask gives.
    pub socket_mode: Option<u32>,
}

impl Default for Dependencies {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            resolver: Resolver::default(),
            home: None,
            inherited: InheritedListeners::default(),
            socket_mode: None,
        }
    }
}
