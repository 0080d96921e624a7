//! The parts of a server that its caller provides.

use bytes::Bytes;

use crate::{
    clock::Clock,
    server::{Address, InheritedListeners},
    upstream::Resolver,
};

/// The parts of a server that a caller can replace.
#[derive(Debug)]
pub struct Dependencies {
    /// The clock.
    pub clock: Clock,
    /// The DNS resolver.
    pub resolver: Resolver,
    /// Makes an HTML page for `/`, which may link to the addresses.
    pub home: Option<fn(&Addresses) -> Bytes>,
    /// Listening sockets that the service manager has opened.
    pub inherited: InheritedListeners,
    /// The mode of the files of Unix sockets, where it is not the one that the umask gives.
    pub socket_mode: Option<u32>,
}

/// The actual addresses of the listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The public listener's.
    pub public: Address,
    /// The admin listener's.
    pub admin: Address,
}

impl Addresses {
    /// The URL of the public listener's `/`, for a browser on this machine.
    pub fn home_url(&self) -> Option<String> {
        self.public.local_url()
    }

    /// The URL of the dashboard, for a browser that has a page of the public listener. `None` if that browser may be on
    /// another machine, which cannot reach the admin listener.
    pub fn dashboard_url(&self) -> Option<String> {
        let is_local = self.public.is_local() && self.admin.is_local();
        self.admin.local_url().filter(|_| is_local)
    }
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
