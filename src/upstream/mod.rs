//! The vendors and WhatsApp's CDN: calls, replies, and the guarded client that carries both.
//!
//! A [`Description`] builds a vendor's calls and interprets the replies. It is loaded from a file. All I/O is in
//! [`Client`], once for all vendors.
//!
//! # Files
//!
//! * `provider`: questions, calls, replies and answers
//! * `description/`: how each gateway is asked and read
//! * `client`: sends calls and downloads pictures
//! * `body`: collects the answers
//! * `coding`: decodes compressed replies
//! * `error`: why there is no answer
//! * `guard`: which hosts and addresses may be reached
//! * `public_address`: which addresses are public
//! * `resolver`: the addresses of a host
//! * `dial`: connects to an address that the guard has checked
//! * `link`: the link to a picture
//! * `link_text`: repairs a link that was escaped too often
//! * `default_picture`: the file names of default pictures

mod body;
mod client;
mod coding;
mod default_picture;
mod description;
mod dial;
mod error;
mod guard;
mod link;
mod link_text;
mod provider;
mod public_address;
mod resolver;

pub use client::{Client, ClientSettings, Download, StreamedBody, unguarded_client};
pub use description::{
    Defaults, Description, Param,
    account::{ACCOUNT_PLACEHOLDER, AccountProblem},
    answer::{AnswerFacts, AnswerKind, WrittenAnswer},
    call_head::CallHead,
    catalog::Catalog,
    credential::CredentialMatch,
    event::{Event, EventError, EventFace},
    explain::Explanation,
    lists::Session,
    matching::{HeadMatch, MatchedCall, NoQuestion, ShapeMatch},
    outline::{CallMeaning, CallOutline, CallValue, CallValuePlace},
    parse::{Source, load},
    sample_report::SampleReport,
    shipped::{SHIPPED, shipped},
    table::{DescriptionProblem, nearest},
};
pub use error::ClientError;
pub use guard::{Guard, GuardError, HostPattern};
pub use link::{BadLink, Link};
pub use provider::{
    Account, Chat, ChatList, ChatListCall, Page, Question, UnsupportedSubject, VendorAnswer,
    VendorCall, VendorFailure, VendorReply,
};
pub use resolver::Resolver;
