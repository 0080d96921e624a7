//! The vendors and WhatsApp's CDN: what to ask them, what their replies mean, and the guarded
//! client that carries both.
//!
//! What a vendor is asked and what it answers is decided by a [`Provider`], a pair of pure
//! functions; everything that does I/O is written once, in [`Client`].

mod client;
mod dial;
mod guard;
mod link;
mod provider;
mod providers;
mod resolver;

pub use client::{Client, Failed, Gone, Settings, unguarded_client};
pub use guard::{Forbidden, Guard, HostPattern};
pub use link::{BadLink, Link};
pub use provider::{
    Account, Call, Chat, Chats, Failure, Found, List, Page, Provider, Question, Reply, Unsupported,
    Vendor,
};
pub use resolver::Resolver;
