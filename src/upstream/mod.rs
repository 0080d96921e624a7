//! The vendors and WhatsApp's CDN: calls, replies, and the guarded client that carries both.
//!
//! A [`Provider`] is a pair of pure functions for each vendor: build the call, interpret the reply. All
//! I/O is in [`Client`], once for all vendors.

mod client;
mod coding;
mod default_picture;
mod description;
mod dial;
mod guard;
mod link;
mod link_text;
mod provider;
mod providers;
mod public_address;
mod resolver;
mod vendor;

pub use client::{Client, ClientError, ClientSettings, Download, unguarded_client};
pub use description::{
    AccountProblem, Description, DescriptionProblem, Event, EventFace, Explanation, SHIPPED,
    Session, Source, load, shipped,
};
pub use guard::{Guard, GuardError, HostPattern};
pub use link::{BadLink, Link};
pub use provider::{
    Account, Chat, ChatList, ChatListCall, ChatLister, Page, Provider, Question,
    UnsupportedSubject, VendorAnswer, VendorCall, VendorFailure, VendorReply,
};
pub use resolver::Resolver;
pub use vendor::Vendor;
